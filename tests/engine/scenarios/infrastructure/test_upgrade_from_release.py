"""The stack prod of the last release is upgraded in place, and deleted by this program.

An upgrade replaces and deletes no resource.
"""

import json
import subprocess
from dataclasses import replace

import pytest
import yaml

from tests.engine.account import OFFICIAL
from tests.harness.checkout import ROOT, Checkout

# The last commit before files, components and texts of the program were renamed.
RELEASE = "cfc90cb209786e12d6e4cf3a56b13ed4cf8c4fa4"
# Without protection the test can delete its stack again.
UNPROTECTED = {
    "cluster": {"protect": False},
    "database": {"protect": False, "final_snapshot": False},
    "redis": {"protect": False},
    "logs": {"protect": False},
}
SAFE = {"same", "update", "read"}
# A Job is immutable and runs once: it is replaced when the text of its script changes.
RUNS_AGAIN = "airflow-keda-role-job"
# Resources that hold data or credentials: only their texts may change.
DATA = {
    "aws:eks/cluster:Cluster",
    "aws:kms/key:Key",
    "aws:rds/instance:Instance",
    "aws:rds/parameterGroup:ParameterGroup",
    "aws:rds/subnetGroup:SubnetGroup",
    "aws:s3/bucket:Bucket",
    "kubernetes:core/v1:PersistentVolumeClaim",
    "random:index/randomId:RandomId",
    "random:index/randomPassword:RandomPassword",
}
TEXTS = {"description", "tags", "tagsAll"}


def _check_out_release(folder):
    archive = subprocess.run(
        ["git", "-C", ROOT, "archive", RELEASE], capture_output=True, check=False
    )
    if archive.returncode:
        pytest.fail(f"needs the full history: git fetch --unshallow: {archive.stderr.decode()}")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return Checkout(folder=folder)


@pytest.fixture(scope="module")
def stacks(deploy, small_charts, account, cluster, dags, tmp_path_factory):
    """The stack prod, deployed by the release, and the same stack in the current checkout."""
    current = deploy("prod", small_charts, dags=dags)
    release = replace(current, checkout=_check_out_release(tmp_path_factory.mktemp("release")))
    _use_the_stack_file_of(release, current)
    try:
        release.pulumi("up", "--yes", "--skip-preview")
        yield release, current
    finally:
        if current.state().get("resources"):
            _down(current, cluster)
    assert account.inventory() == []


def _down(stack, cluster):
    """Delete the stack; its pods stop without their grace period of 30 seconds."""
    for words in (
        ["scale", "deployments", "--all", "--replicas=0"],
        ["delete", "pods", "--all", "--force", "--grace-period=0"],
    ):
        cluster.kubectl("-n", "airflow", *words, check=False)
    status, output = stack.make("down")
    assert status == 0, output
    return output


def _use_the_stack_file_of(release, current):
    """An operator upgrades the program and keeps the stack file."""
    given = current.settings()
    release.change(**UNPROTECTED)
    ca_file = {"ca_file": given["database"]["ca_file"]}
    release.change(charts=given["charts"], dags=given["dags"], database=ca_file)
    if release.account.official:
        release.configure(OFFICIAL)
    new, old = current.checkout.file("prod"), release.checkout.file("prod")
    # The salt of the passphrase belongs to the state that both checkouts share.
    salt = yaml.safe_load(new.read_text())["encryptionsalt"]
    old.write_text(yaml.safe_dump({**yaml.safe_load(old.read_text()), "encryptionsalt": salt}))
    new.write_text(old.read_text())


@pytest.fixture(scope="module")
def steps(stacks):
    """The steps of an upgrade."""
    return json.loads(stacks[1].pulumi("preview", "--json", "--show-sames"))["steps"]


def test_an_upgrade_replaces_and_deletes_no_resource(steps):
    unsafe = [
        f"{step['op']} {step['urn']}"
        for step in steps
        if step["op"] not in SAFE and not step["urn"].endswith(f"::{RUNS_AGAIN}")
    ]

    assert len(steps) > 100
    assert unsafe == [], "a renamed resource needs aliases=[pulumi.Alias(...)]"


def test_an_upgrade_changes_only_texts_of_data_resources(steps):
    data = [step for step in steps if _type(step["urn"]) in DATA]
    changed = {
        step["urn"]: properties
        for step in data
        if step["op"] != "same" and (properties := set(step.get("detailedDiff") or "?") - TEXTS)
    }

    assert {_type(step["urn"]) for step in data} == DATA
    assert changed == {}


def _type(urn):
    return urn.split("::")[2].rpartition("$")[2]


# Tests the simulator's own provider.
@pytest.mark.faults
def test_a_refresh_of_a_new_stack_shows_no_drift(stacks):
    stacks[0].pulumi("refresh", "--preview-only", "--expect-no-changes")


@pytest.mark.slow
def test_down_deletes_everything_of_the_release(stacks, account, cluster):
    """Its nodes of the built-in node pools would leave the security group of EKS behind."""
    output = _down(stacks[1], cluster)

    assert "Removing the built-in node pools of EKS: " in output
    assert "All resources were deleted." in output
    assert account.inventory() == []
