"""The CLI is killed during operations of AWS; the next command adopts their resources."""

import pytest

from tests.engine.scenarios.infrastructure.conftest import kill

# Faults need the simulator's own provider.
pytestmark = [pytest.mark.faults, pytest.mark.slow]

VPC = "aws:ec2/vpc:Vpc"
INSTANCE = "aws:rds/instance:Instance"
CLUSTER = "aws:eks/cluster:Cluster"


def _pending_release(cluster):
    return cluster.get("secrets", "-l", "owner=helm,status=pending-install")


def test_a_killed_up_leaves_no_orphan_and_no_duplicate(dev, account, cluster):
    account.fault("create", VPC, seconds=300, late=True)
    kill(dev, account, account.waiting, "up")
    assert any("ec2 vpc" in line for line in account.inventory()), (
        "AWS has the VPC, the state does not"
    )

    account.fault("create", INSTANCE, seconds=300, late=True)
    account.fault("create", CLUSTER, seconds=300, late=True)
    kill(dev, account, account.waiting, "up")

    kill(dev, account, lambda: _pending_release(cluster), "up")

    output = dev.up()

    assert "Airflow is healthy." in output
    known = {r["id"] for r in dev.state()["resources"] if r.get("custom")}
    vpcs = account.client("ec2").describe_vpcs(
        Filters=[{"Name": "tag:project", "Values": ["airflow-platform"]}]
    )["Vpcs"]
    assert {vpc["VpcId"] for vpc in vpcs} <= known
    assert len(vpcs) == 1, "the creation of the VPC was requested twice"
    assert len(account.client("rds").describe_db_instances()["DBInstances"]) == 1
    assert len(account.client("eks").list_clusters()["clusters"]) == 1
    # The teardown of `dev` checks for orphaned resources: the account must be empty.
