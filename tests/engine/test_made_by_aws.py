"""What AWS makes by itself: access entries of a new cluster, and log groups without retention."""

import pytest
from botocore.exceptions import ClientError

from tests.engine.simulator import identity
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources import LOOKUPS
from tests.engine.test_moto_patches import Account

NODES = {"enabled": True, "nodePools": ["system"]}


@pytest.fixture(scope="module")
def account():
    with Cloud() as cloud:
        yield Account(cloud)


@pytest.fixture
def cluster(account):
    """Create a cluster; the principals and types of its access entries."""
    created = []

    def make(mode="API", logs=(), compute=None, **access):
        name = f"cluster-{len(created)}"
        created.append(name)
        account.eks.create_cluster(
            **account.cluster(
                name=name,
                accessConfig={"authenticationMode": mode, **access},
                deletionProtection=False,
                **({"computeConfig": _with_role(compute, account.role)} if compute else {}),
                logging={"clusterLogging": [{"types": list(logs), "enabled": True}]},
            )
        )
        listed = account.eks.list_access_entries(clusterName=name)["accessEntries"]
        found = [
            account.eks.describe_access_entry(clusterName=name, principalArn=arn)["accessEntry"]
            for arn in listed
        ]
        return {entry["principalArn"]: entry["type"] for entry in found}

    yield make
    for name in created:
        account.eks.delete_cluster(name=name)


def _with_role(compute, role):
    """EKS accepts a node role only with its own node pools."""
    return compute | ({"nodeRoleArn": role} if compute["nodePools"] else {})


def groups(account):
    found = account.cloud.client("logs").describe_log_groups()["logGroups"]
    return {group["logGroupName"]: group.get("retentionInDays") for group in found}


@pytest.mark.parametrize(
    ("options", "creator"),
    [
        ({}, True),
        ({"bootstrapClusterCreatorAdminPermissions": True}, True),
        ({"bootstrapClusterCreatorAdminPermissions": False}, False),
        ({"mode": "CONFIG_MAP"}, False),
    ],
)
def test_eks_adds_the_creator_by_default(cluster, options, creator):
    assert cluster(**options) == ({identity.CALLER: "STANDARD"} if creator else {})


@pytest.mark.parametrize(("pools", "added"), [(["system"], True), ([], False)])
def test_eks_adds_the_nodes_of_built_in_pools(cluster, account, pools, added):
    found = cluster(compute=NODES | {"nodePools": pools})

    assert (found.get(account.role) == "EC2") is added


@pytest.mark.parametrize("principal", [identity.CALLER, None], ids=["creator", "nodes"])
def test_a_second_entry_of_a_principal_is_refused(cluster, account, principal):
    cluster(compute=NODES)
    (name,) = [c for c in account.eks.list_clusters()["clusters"] if c.startswith("cluster-")]

    with pytest.raises(ClientError, match="ResourceInUseException") as refusal:
        account.eks.create_access_entry(clusterName=name, principalArn=principal or account.role)
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409


def test_the_role_of_a_session_has_its_path(account):
    arn = account.cloud.client("sts").get_caller_identity()["Arn"]
    found = LOOKUPS["aws:iam/getSessionContext:getSessionContext"](account.cloud, {"arn": arn})

    assert identity.PATH not in arn
    assert found["issuerArn"] == identity.CALLER


def test_eks_makes_a_missing_log_group(cluster, account):
    cluster(logs=["audit"])

    assert groups(account) == {"/aws/eks/cluster-0/cluster": None}
    account.cloud.client("logs").delete_log_group(logGroupName="/aws/eks/cluster-0/cluster")
    account.eks.delete_cluster(name="cluster-0")
    assert groups(account) == {"/aws/eks/cluster-0/cluster": None}, "EKS writes the last events"
    account.eks.create_cluster(**account.cluster(name="cluster-0", deletionProtection=False))
    account.cloud.client("logs").delete_log_group(logGroupName="/aws/eks/cluster-0/cluster")


def test_a_cluster_without_logs_has_no_log_group(cluster, account):
    cluster()

    assert groups(account) == {}


def test_rds_makes_a_missing_log_group(account):
    name = {"DBInstanceIdentifier": "logging"}
    account.rds.create_db_instance(
        **account.instance(**name, EnableCloudwatchLogsExports=["upgrade"])
    )

    assert groups(account) == {"/aws/rds/instance/logging/upgrade": None}
    logs = account.cloud.client("logs")
    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        logs.create_log_group(logGroupName="/aws/rds/instance/logging/upgrade")


def test_log_groups_are_in_the_inventory(account):
    account.cloud.client("logs").create_log_group(logGroupName="/left")

    assert "logs group /left" in account.cloud.inventory()


def test_an_entry_made_by_eks_can_be_tagged(cluster, account):
    cluster()
    where = {"clusterName": "cluster-0", "principalArn": identity.CALLER}
    arn = account.eks.describe_access_entry(**where)["accessEntry"]["accessEntryArn"]

    account.eks.tag_resource(resourceArn=arn, tags={"stack": "dev", "old": "1"})
    account.eks.untag_resource(resourceArn=arn, tagKeys=["old"])
    assert account.eks.describe_access_entry(**where)["accessEntry"]["tags"] == {"stack": "dev"}
