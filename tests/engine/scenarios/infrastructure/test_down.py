"""`make down` ends with nothing, whatever blocks, kills or precedes it."""

import json

import pytest

from tests.engine.scenarios.infrastructure.conftest import kill

pytestmark = pytest.mark.slow

ADDON = "aws:eks/addon:Addon"
CLUSTER = "aws:eks/cluster:Cluster"
INSTANCE = "aws:rds/instance:Instance"
DONE = "All resources were deleted."
# A node that does not end: its pod runs until the test removes the finalizer.
NODE_CLAIM = {
    "apiVersion": "karpenter.sh/v1",
    "kind": "NodeClaim",
    "metadata": {"name": "stuck", "finalizers": ["karpenter.sh/termination"]},
}
INGRESS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "airflow-ingress", "namespace": "airflow"},
    "spec": {
        "ingressClassName": "airflow",
        "defaultBackend": {"service": {"name": "airflow-api-server", "port": {"number": 8080}}},
    },
}


def _down(stack):
    status, output = stack.make("down")
    assert "Traceback" not in output
    return status, output


def _vpc(account):
    filters = [{"Name": "tag:project", "Values": ["airflow-platform"]}]
    (vpc,) = account.client("ec2").describe_vpcs(Filters=filters)["Vpcs"]
    return vpc["VpcId"]


def test_down_says_what_is_in_the_way_and_then_leaves_nothing(dev, account, cluster):
    dev.up()
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(INGRESS))
    lines = account.inventory()
    for kind in ("ec2 volume", "elbv2 load balancer"):
        assert any(line.startswith(kind) for line in lines), kind
    account.late_logs()
    ec2 = account.client("ec2")
    foreign = {"VpcId": _vpc(account), "GroupName": "foreign", "Description": "of another team"}
    group = ec2.create_security_group(**foreign)["GroupId"]

    status, output = _down(dev)
    assert status != 0
    assert "aws:ec2/vpc:Vpc network-vpc: DependencyViolation" in output
    assert f"security group {group} (foreign)" in output
    assert DONE not in output
    left = {line.rpartition(" ")[0] for line in account.inventory()}
    assert left == {"ec2 vpc", "ec2 security group"}, "nothing else is blocked"

    ec2.delete_security_group(GroupId=group)
    status, output = _down(dev)
    assert status == 0, output
    assert DONE in output
    assert account.inventory() == []


# Faults need the simulator's own provider.
@pytest.mark.faults
def test_a_killed_down_ends_the_same_when_it_is_repeated(dev, account, cluster):
    dev.up()
    account.fault("delete", ADDON, seconds=300)
    kill(dev, account, account.waiting, "down")

    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(NODE_CLAIM))
    workloads = "kubernetes:core/v1:Namespace namespace-namespace"
    kill(dev, account, lambda: workloads not in dev.resources(), "down")
    assert account.client("eks").list_clusters()["clusters"], "a node is left"
    free = '{"metadata": {"finalizers": null}}'
    cluster.kubectl("patch", "nodeclaim", "stuck", "--type=merge", "--patch", free)
    cluster.kubectl("delete", "nodeclaim", "stuck", "--ignore-not-found")

    for kind in (CLUSTER, INSTANCE):
        account.fault("delete", kind, seconds=300, late=True)
        kill(dev, account, account.waiting, "down")

    status, output = _down(dev)
    assert status == 0, output
    assert DONE in output
    assert account.inventory() == []


def test_down_of_a_cluster_that_no_longer_exists(dev, account):
    dev.up()
    account.late_logs()
    eks = account.client("eks")
    (name,) = eks.list_clusters()["clusters"]
    eks.delete_cluster(name=name)
    assert any(line.startswith("ec2 volume") for line in account.inventory())

    status, output = _down(dev)
    assert status == 0, output
    assert "the EKS cluster no longer exists" in output
    assert DONE in output
    assert account.inventory() == []
