"""Who has access to the cluster of the stack dev, and where its logs are."""

import pytest

from tests.engine.simulator import identity

pytestmark = pytest.mark.slow

CLUSTER = "airflow-dev"
LOGS = "/aws/eks/airflow-dev/cluster"


@pytest.fixture(scope="module")
def deployed(dev, account):
    """A stack whose log group has outlived a former stack of this name."""
    account.client("logs").create_log_group(logGroupName=LOGS)
    dev.up()
    return dev


def entries(account):
    """The policies by principal, without the nodes."""
    eks = account.client("eks")
    listed = eks.list_access_entries(clusterName=CLUSTER)["accessEntries"]
    found = [eks.describe_access_entry(clusterName=CLUSTER, principalArn=arn) for arn in listed]
    return {
        entry["accessEntry"]["principalArn"]: [
            policy["policyArn"].rpartition("/")[2]
            for policy in eks.list_associated_access_policies(
                clusterName=CLUSTER, principalArn=entry["accessEntry"]["principalArn"]
            )["associatedAccessPolicies"]
        ]
        for entry in found
        if entry["accessEntry"]["type"] == "STANDARD"
    }


def test_the_caller_has_one_declared_entry(deployed, account):
    declared = [
        resource["outputs"]["principalArn"]
        for resource in deployed.resources().values()
        if resource["type"] == "aws:eks/accessEntry:AccessEntry"
    ]

    assert identity.CALLER in declared, "the path of the role is missing in the session"
    assert entries(account)[identity.CALLER] == ["AmazonEKSClusterAdminPolicy"]


def test_eks_adds_no_entry_for_the_creator(deployed):
    cluster = deployed.resources()["aws:eks/cluster:Cluster cluster-eks-eksCluster"]

    access = cluster["inputs"]["accessConfig"]
    assert access["bootstrapClusterCreatorAdminPermissions"] is False, (
        "the transform did not reach the child of pulumi-eks"
    )


def test_a_second_up_changes_nothing(deployed):
    deployed.pulumi("preview", "--expect-no-changes")


def test_a_remaining_log_group_is_imported(deployed, account):
    (group,) = account.client("logs").describe_log_groups(logGroupNamePrefix=LOGS)["logGroups"]

    assert group["retentionInDays"] == 30
