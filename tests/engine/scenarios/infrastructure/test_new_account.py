"""An account that has nothing: the steps of the README from `make bootstrap` to `make down`."""

import re
import shlex
from dataclasses import replace

import pytest

from tests.engine.scenarios.infrastructure.conftest import FROM, unprotect
from tests.engine.simulator.moto_additions import ACCOUNT

BUCKET = "my-pulumi-state"
ROLE = "AWSServiceRoleForEC2Spot"
ELASTIC_IPS = "L_0263D0A3"
INTERNAL = r"internal-k8s-[a-z0-9-]+\.eu-west-1\.elb\.amazonaws\.com"


@pytest.fixture
def new_account(account):
    """The account without what `make bootstrap` creates, also at the end."""
    iam, s3 = account.client("iam"), account.client("s3")
    iam.delete_service_linked_role(RoleName=ROLE)
    yield account
    if ROLE not in {role["RoleName"] for role in iam.list_roles()["Roles"]}:
        iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")
    # Pulumi writes hundreds of versions of the state: more than one page.
    pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET))
    for page in pages:
        for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=BUCKET)
    kms = account.client("kms")
    key = kms.describe_key(KeyId="alias/pulumi")["KeyMetadata"]["KeyId"]
    kms.delete_alias(AliasName="alias/pulumi")
    kms.schedule_key_deletion(KeyId=key)
    account.set_quotas()
    assert account.inventory() == []


def run_printed_commands(stack, output):
    """The commands at the end of `make bootstrap`, as a user would paste them."""
    (backend,) = re.findall(r'^  export PULUMI_BACKEND_URL="(.*)"$', output, re.M)
    (init,) = re.findall(r"^  pulumi (stack init .*)$", output, re.M)
    stack.environment["PULUMI_BACKEND_URL"] = backend
    name, *words = shlex.split(init.removeprefix("stack init "))
    assert name == stack.name
    stack.pulumi("stack", "init", *words, "--non-interactive")


@pytest.mark.slow
def test_prod_is_deployed_from_nothing_and_deleted(new_account, deploy, small_charts, dags):
    # Its endpoint is private, and the machine outside of the VPC.
    stack = replace(deploy("prod", small_charts, initialized=False, dags=dags), variables=(FROM,))
    stack.environment["PULUMI_BACKEND_URL"] = f"s3://{BUCKET}"

    status, output = stack.make("up")
    assert status != 0
    assert f"state bucket {BUCKET}, of PULUMI_BACKEND_URL, does not exist" in output
    status, output = stack.make("bootstrap")
    assert status != 0, "a command without a terminal must not create what was not confirmed"
    assert "Pass YES=1" in output
    assert new_account.inventory() == []

    status, output = stack.make("bootstrap", "YES=1")
    assert status == 0, output
    bootstrapped = new_account.inventory()
    run_printed_commands(stack, output)
    stored = stack.checkout.file("prod").read_text()
    assert "secretsprovider: awskms://alias/pulumi?region=eu-west-1" in stored

    new_account.set_quotas(**{ELASTIC_IPS: 2})
    status, output = stack.make("up")
    assert status != 0
    assert "quota L-0263D0A3 (EC2-VPC Elastic IPs) of eu-west-1 is 2" in output
    assert new_account.inventory() == bootstrapped, "refused before anything is created"
    new_account.set_quotas()

    output = stack.up()
    assert re.search(rf"^  DNS        airflow\.example\.com  CNAME  {INTERNAL}$", output, re.M)
    assert "the Kubernetes API endpoint is private again" in output
    assert not re.search(r"^(note|warning): ", output, re.M)

    # The VPN of the team, whose network is in cluster.private_access_cidrs.
    new_account.move(private="10.8.0.9")
    status, output = stack.make("doctor")
    new_account.move()
    assert status == 0, output
    table = output.partition("| item |")[2]
    for kind in ("Deployment", "StatefulSet", "Job"):
        row = next(line for line in table.splitlines() if f"pods of a {kind} |" in line)
        assert row.endswith("| enforced: the closed port is closed | as documented |")
    for private in (ACCOUNT, "amazonaws.com", "airflow.example.com"):
        assert private not in table, "the table is for a public report"

    unprotect(stack)
    stack.up()
    status, output = stack.make("down")
    assert status == 0, output
    rds = new_account.client("rds")
    for snapshot in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]:
        rds.delete_db_snapshot(DBSnapshotIdentifier=snapshot["DBSnapshotIdentifier"])
    assert new_account.inventory() == bootstrapped
