"""The stack prod of the last release is upgraded in place, and deleted by this program.

An upgrade replaces and deletes no resource.
"""

import json
import subprocess
from dataclasses import replace

import pytest
import yaml

from policies import replacement
from tests.engine.account import OFFICIAL
from tests.engine.scenarios.conftest import package
from tests.harness.checkout import ROOT, Checkout

pytestmark = pytest.mark.slow

# The last commit before files, components and texts of the program were renamed.
RELEASE = "cfc90cb209786e12d6e4cf3a56b13ed4cf8c4fa4"
# Without protection the test can delete its stack again. With the private endpoint of its stack
# file, no machine could finish a first `up` of the release.
UNPROTECTED = {
    "cluster": {
        "protect": False,
        "private_endpoint": False,
        "public_access_cidrs": ["203.0.113.0/24"],
    },
    "database": {"protect": False, "final_snapshot": False},
    "redis": {"protect": False},
    "logs": {"protect": False},
}
SAFE = {"same", "update", "read", "create"}
CLUSTER = "aws:eks/cluster:Cluster"
# Replaced without loss, because a field is immutable: a Job runs again when the text of its script
# changes, a StorageClass, which got tags, has no effect on existing volumes, and StatefulSets, which
# got another pod management policy, have separate claims.
REPLACEABLE = (
    "::airflow-keda-role-job",
    "::cluster-storage",
    "::dag-relay-server",
    "::redis-server",
)
# New passwords: of the users of Redis, and the next keys of two rotations.
NEW = (
    "::redis-admin-password",
    "::redis-exporter-password",
    "::airflow-secrets-fernet-2",
    "::airflow-secrets-jwt-2",
)
# Settings that keep what the release created and AWS cannot change.
KEPT = {"cluster": {"built_in_node_pools": True}, "airflow": {"version": "3.2.2"}}
KEDA_OF_RELEASE = "2.17.2"
# Rules that are new, or that the unprotected stack breaks.
EXCUSED = (
    *("vpc-flow-logs-enabled", "stateful-resources-protected", "database-final-snapshot"),
    # Of the version of the release, which `make upgrade` changes later.
    *("cve-2026-33264", "cve-2026-49487", "cve-2026-58076", "cve-2026-68968", "cve-2026-59245"),
    *("cve-2026-82310", "cve-2026-68982", "cve-2026-77524"),
)
# Resources that hold data or credentials: only their texts may change.
DATA = {
    CLUSTER,
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
# Changed in place. Those of RDS are read by a later update or deletion only.
IN_PLACE = {
    CLUSTER: {"enabledClusterLogTypes", "vpcConfig"},
    "aws:rds/instance:Instance": {"applyImmediately", "finalSnapshotIdentifier"},
}


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
    package("keda", KEDA_OF_RELEASE, small_charts)
    current = deploy("prod", small_charts, dags=dags)
    release = replace(current, checkout=_check_out_release(tmp_path_factory.mktemp("release")))
    _use_the_stack_file_of(release, current)
    try:
        release.pulumi("up", "--yes", "--skip-preview")
        _keep_the_names_of(release, current)
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
    exceptions = current.settings()["policies"]["exceptions"]
    reasons = dict.fromkeys(EXCUSED, "the test deletes its stack within the hour")
    current.change(**KEPT, policies={"exceptions": {**exceptions, **reasons}})


def _keep_the_names_of(release, current):
    """`make up` prints these settings: a new name would replace or rename the resource."""
    resources = {resource["type"]: resource for resource in release.resources().values()}
    instance = resources["aws:rds/instance:Instance"]["outputs"]["identifier"]
    current.change(
        cluster={"name": resources[CLUSTER]["outputs"]["name"]}, database={"identifier": instance}
    )


@pytest.fixture(scope="module")
def steps(stacks):
    """The steps of an upgrade."""
    return json.loads(stacks[1].pulumi("preview", "--json", "--show-sames"))["steps"]


def test_an_upgrade_replaces_and_deletes_no_resource(steps):
    unsafe = [
        f"{step['op']} {step['urn']}"
        for step in steps
        if not _is_safe(step) and not step["urn"].endswith(REPLACEABLE)
    ]

    assert len(steps) > 100
    assert unsafe == [], "a renamed resource needs aliases=[pulumi.Alias(...)]"


def _is_safe(step):
    """Another new resource of these types means that the deployed one is deleted."""
    urn = step["urn"]
    replaces = step["op"] == "create" and _type(urn) in DATA and not urn.endswith(NEW)
    return step["op"] in SAFE and not replaces


def test_an_upgrade_changes_only_texts_of_data_resources(steps):
    data = [s for s in steps if _type(s["urn"]) in DATA and not s["urn"].endswith(NEW)]
    changed = {
        step["urn"]: properties
        for step in data
        if step["op"] != "same" and (properties := _changed(step))
    }

    assert {_type(step["urn"]) for step in data} == DATA
    assert changed == {}


def _changed(step):
    # A path such as `vpcConfig.subnetIds[0]`.
    changed = {path.partition(".")[0] for path in step.get("detailedDiff") or "?"}
    return changed - TEXTS - IN_PLACE.get(_type(step["urn"]), set())


def _type(urn):
    return urn.split("::")[2].rpartition("$")[2]


def test_without_the_settings_for_it_an_upgrade_is_refused(stacks):
    _, current = stacks
    current.change(cluster={"built_in_node_pools": False})
    try:
        plan = json.loads(current.pulumi("preview", "--json"))
    finally:
        current.change(**KEPT)

    (line,) = [each for each in replacement.lost(plan) if "computeConfig" in each]
    assert "Set cluster.built_in_node_pools to true" in line


# Tests the simulator's own provider.
@pytest.mark.faults
def test_a_refresh_of_a_new_stack_shows_no_drift(stacks):
    stacks[0].pulumi("refresh", "--preview-only", "--expect-no-changes")


def test_an_upgrade_keeps_the_entries_and_the_logs(stacks, account):
    """EKS made an entry for the creator, and AWS the log groups: a second create is refused."""
    _, current = stacks
    name = current.settings()["cluster"]["name"]
    eks, logs = account.client("eks"), account.client("logs")

    def entries():
        found = eks.list_access_entries(clusterName=name)["accessEntries"]
        return {
            eks.describe_access_entry(clusterName=name, principalArn=arn)["accessEntry"][
                "accessEntryArn"
            ]
            for arn in found
        }

    before = entries()
    assert not any("retentionInDays" in g for g in logs.describe_log_groups()["logGroups"])
    current.up()

    assert entries() >= before, "an entry was replaced: its principal lost access"
    groups = logs.describe_log_groups()["logGroups"]
    assert {group["logGroupName"] for group in groups} >= {f"/aws/eks/{name}/cluster"}
    assert {group.get("retentionInDays") for group in groups} == {365}
    current.pulumi("preview", "--expect-no-changes")


def test_an_upgrade_ends_with_nodes_of_the_stack(stacks, cluster):
    stacks[1].pulumi("up", "--yes", "--skip-preview")

    pools = {pool["metadata"]["name"] for pool in cluster.get("nodepools")}
    assert pools == {"airflow-platform", "airflow-workers", "general-purpose", "system"}


def test_down_deletes_everything_of_the_release(stacks, account, cluster):
    """Its nodes of the built-in node pools would leave the security group of EKS behind."""
    output = _down(stacks[1], cluster)

    assert "Removing the built-in node pools of EKS: " in output
    assert "All resources were deleted." in output
    assert account.inventory() == []
