"""Nodes have their own NodeClass; when it is not ready, `make up` ends with the reason."""

import pytest

from tests.engine.scenarios.infrastructure.test_protection import changed

pytestmark = pytest.mark.slow
TAGS = {"project": "airflow-platform", "stack": "dev", "managed-by": "pulumi"}
IMPATIENT = ("aws/nodes.py", 'READY_TIMEOUT = "300s"', 'READY_TIMEOUT = "20s"')
NO_TAG_POLICY = ("aws/cluster.py", ', "ec2:CreateLaunchTemplate"]', "]")


@pytest.fixture(scope="module")
def node_class(dev, cluster):
    """The NodeClass after the first `make up` of a program whose cluster may not tag nodes."""
    with changed(dev, *IMPATIENT), changed(dev, *NO_TAG_POLICY):
        status, output = dev.make("up")
    assert status != 0
    assert (
        "Nodes cannot start:\n  NodeClass airflow: Ready is false: UnauthorizedOperation: "
        in output
    )
    assert "Traceback" not in output
    dev.up()
    (found,) = cluster.get("nodeclasses")
    return found


def test_an_own_node_class_is_the_only_one(node_class):
    assert node_class["metadata"]["name"] == "airflow"
    assert node_class["spec"]["tags"] == TAGS


def test_nodes_are_in_private_subnets(node_class, account):
    ids = [term["id"] for term in node_class["spec"]["subnetSelectorTerms"]]
    subnets = account.client("ec2").describe_subnets(SubnetIds=ids)["Subnets"]

    tags = {tag["Key"]: tag["Value"] for subnet in subnets for tag in subnet["Tags"]}
    assert tags.keys() >= {"kubernetes.io/role/internal-elb"}
    assert "kubernetes.io/role/elb" not in tags


def test_a_node_blocks_the_deletion_of_its_pool(node_class, cluster):
    pools = {pool["metadata"]["name"] for pool in cluster.get("nodepools")}
    assert pools == {"airflow-platform", "airflow-workers"}

    (claim,) = cluster.get("nodeclaims")
    (owner,) = claim["metadata"]["ownerReferences"]
    assert (owner["name"], owner["blockOwnerDeletion"]) == ("airflow-platform", True)


def test_volumes_carry_the_tags_of_the_stack(node_class, cluster):
    classes = {each["metadata"]["name"]: each for each in cluster.get("storageclasses")}
    parameters = classes["gp3"]["parameters"]

    found = [v.split("=") for k, v in parameters.items() if k.startswith("tagSpecification_")]
    assert dict(found) == TAGS
