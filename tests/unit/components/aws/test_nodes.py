import json

import pytest

from components.airflow.values import worker_sets
from components.aws.nodes import Nodes, NodesArgs
from ops.plan import fake_cloud
from settings.workers import WorkerSettings

POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_CLASS = "kubernetes:eks.amazonaws.com/v1:NodeClass"
ROLE = "aws:iam/role:Role"
ENTRY = "aws:eks/accessEntry:AccessEntry"
ASSOCIATION = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
ADDON = "aws:eks/addon:Addon"
TAINT = {"key": "airflow-platform/nodes", "value": "workers", "effect": "NoSchedule"}
TAGS = {"project": "airflow-platform", "stack": "mine"}


@pytest.fixture
def nodes(deploy):
    def make(queues=None, *, platform="amd64", tags=TAGS, **workers):
        args = NodesArgs(
            cluster_name="k8s",
            security_group_id="sg-1",
            subnet_ids=["subnet-1", "subnet-2"],
            architecture=platform,
            queues=queues or {"default": WorkerSettings(**workers)},
            tags=tags,
        )
        return deploy(lambda: Nodes("nodes", args))

    return make


@pytest.fixture
def pool(nodes):
    """The template and the disruption of the pool of the default queue."""
    return lambda **workers: nodes(**workers).one(POOL, "nodes-pool").inputs["spec"]


@pytest.fixture
def node_class(nodes):
    return lambda *args, **given: nodes(*args, **given).one(NODE_CLASS).inputs["spec"]


def requirements(spec):
    found = spec["template"]["spec"]["requirements"]
    return {each["key"]: (each["operator"], *each["values"]) for each in found}


@pytest.mark.parametrize(
    ("spot", "capacity"), [(True, ("In", "spot", "on-demand")), (False, ("In", "on-demand"))]
)
def test_spot_is_opt_in_and_falls_back_to_on_demand(pool, spot, capacity):
    assert requirements(pool(spot=spot))["karpenter.sh/capacity-type"] == capacity


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_nodes_have_the_architecture_of_the_queue(pool, architecture):
    found = requirements(pool(architecture=architecture))

    assert found["kubernetes.io/arch"] == ("In", architecture)


def test_every_queue_has_dedicated_nodes(nodes):
    queues = {
        "default": WorkerSettings(),
        "etl": WorkerSettings(spot=True),
    }
    sets = {each["queue"]: each for each in worker_sets(queues, own_nodes=True)}

    pools = {r.name: r.inputs for r in nodes(queues).all(POOL)}
    assert pools.keys() == {"nodes-platform", "nodes-pool", "nodes-pool-etl"}
    default, etl = (pools[name]["spec"] for name in ("nodes-pool", "nodes-pool-etl"))
    assert pools["nodes-pool-etl"]["metadata"]["name"] == "airflow-workers-etl"
    assert requirements(default)["karpenter.sh/capacity-type"] == ("In", "on-demand")
    assert requirements(etl)["karpenter.sh/capacity-type"] == ("In", "spot", "on-demand")
    for spec, queue in ((default, "default"), (etl, "etl")):
        assert spec["template"]["spec"]["taints"] == sets[queue]["tolerations"]
        assert spec["template"]["metadata"]["labels"] == sets[queue]["nodeSelector"]
    assert sets["default"]["tolerations"] != sets["etl"]["tolerations"]


@pytest.mark.parametrize(("grace_seconds", "node"), [(30, "330s"), (7200, "7500s")])
def test_a_node_drain_waits_for_running_tasks(pool, grace_seconds, node):
    spec = pool(grace_seconds=grace_seconds)["template"]["spec"]

    assert spec["terminationGracePeriod"] == node, "longer than the grace period of its workers"


def test_nodes_of_workers_are_tainted(pool):
    assert pool()["template"]["spec"]["taints"] == [TAINT]


def test_all_other_pods_run_on_untainted_on_demand_nodes(nodes):
    platform = nodes(platform="arm64", spot=True).one(POOL, "nodes-platform").inputs

    assert platform["metadata"]["name"] == "airflow-platform"
    template = platform["spec"]["template"]
    assert "taints" not in template["spec"]
    assert "metadata" not in template, "its pods select no label"
    found = requirements(platform["spec"])
    assert found["karpenter.sh/capacity-type"] == ("In", "on-demand")
    assert found["kubernetes.io/arch"] == ("In", "arm64")
    assert template["spec"]["terminationGracePeriod"] == "900s"


def test_no_pool_has_machines_of_before_2017(nodes):
    for pool in nodes({"default": WorkerSettings(), "etl": WorkerSettings()}).all(POOL):
        found = requirements(pool.inputs["spec"])
        assert found["eks.amazonaws.com/instance-generation"] == ("Gt", "4")
        assert found["eks.amazonaws.com/instance-category"] == ("In", "c", "m", "r")


def test_a_queue_lists_its_instance_families(pool):
    found = requirements(pool(instance_families=["r8gd", "r7gd"]))

    assert found["eks.amazonaws.com/instance-family"] == ("In", "r8gd", "r7gd")
    assert not {key for key in found if key.endswith(("-category", "-generation"))}, (
        "every requirement must hold: a family of generation 4 would have no instance"
    )


def test_a_queue_with_gpus_gets_instances_with_gpus(pool):
    found = requirements(pool(gpu=1))

    assert found["eks.amazonaws.com/instance-category"] == ("In", "g", "p")
    assert found["eks.amazonaws.com/instance-gpu-manufacturer"] == ("In", "nvidia"), (
        "not AMD's g4ad"
    )
    assert found["eks.amazonaws.com/instance-generation"] == ("Gt", "4")


def test_unused_nodes_are_removed(nodes):
    for pool in nodes().all(POOL):
        assert pool.inputs["spec"]["disruption"] == {
            "consolidationPolicy": "WhenEmptyOrUnderutilized",
            "consolidateAfter": "60s",
        }


def test_every_pool_uses_the_node_class_of_the_stack(nodes):
    snapshot = nodes()

    node_class = snapshot.one(NODE_CLASS)
    for pool in snapshot.all(POOL):
        assert pool.inputs["spec"]["template"]["spec"]["nodeClassRef"] == {
            "group": "eks.amazonaws.com",
            "kind": "NodeClass",
            "name": node_class.inputs["metadata"]["name"],
        }
        assert node_class.urn in snapshot.waits_for(pool.urn)
    for each in (node_class, *snapshot.all(POOL)):
        metadata = each.inputs["metadata"]
        assert metadata["labels"] == {"app.kubernetes.io/part-of": "airflow-platform"}
        assert metadata["annotations"] == {"pulumi.com/waitFor": "condition=Ready"}, (
            "an update would end with success although no node can start"
        )


def test_nodes_are_in_the_given_subnets_and_group(node_class):
    spec = node_class()

    assert spec["subnetSelectorTerms"] == [{"id": "subnet-1"}, {"id": "subnet-2"}]
    assert spec["securityGroupSelectorTerms"] == [{"id": "sg-1"}]
    assert spec["networkPolicy"] == "DefaultAllow"


def test_nodes_carry_the_tags_of_the_stack(node_class):
    assert node_class()["tags"] == TAGS
    assert "tags" not in node_class(tags={}), "EKS refuses none"


@pytest.mark.parametrize(("disk_gb", "size"), [(10, "80Gi"), (200, "234Gi")])
def test_the_disk_of_nodes_fits_the_largest_queue(node_class, disk_gb, size):
    queues = {"default": WorkerSettings(), "etl": WorkerSettings(disk_gb=disk_gb)}

    assert node_class(queues)["ephemeralStorage"] == {"size": size}


def test_nodes_may_join_the_cluster_and_pull_images(nodes):
    snapshot = nodes()

    role = snapshot.one(ROLE)
    (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}
    arn = f"arn:aws:iam::111122223333:role/{role.name}"
    assert snapshot.one(ENTRY).inputs == {
        "clusterName": "k8s",
        "principalArn": arn,
        "type": "EC2",
    }
    policy = snapshot.one(ASSOCIATION).inputs
    assert policy["policyArn"].endswith(":cluster-access-policy/AmazonEKSAutoNodePolicy")
    assert policy["accessScope"] == {"type": "cluster"}
    assert {each.inputs["policyArn"] for each in snapshot.all(ATTACHMENT)} == {
        "arn:aws:iam::aws:policy/AmazonEKSWorkerNodeMinimalPolicy",
        "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
    }
    node_class = snapshot.one(NODE_CLASS)
    assert node_class.inputs["spec"]["role"] == role.name
    needed = {each.urn for kind in (ENTRY, ASSOCIATION, ATTACHMENT) for each in snapshot.all(kind)}
    assert needed <= snapshot.waits_for(node_class.urn)


def test_a_partition_has_its_own_policies_and_principals(nodes, monkeypatch):
    china = {"id": "aws-cn", "partition": "aws-cn", "dnsSuffix": "amazonaws.com.cn"}
    monkeypatch.setitem(fake_cloud.LOOKUPS, "aws:index/getPartition:getPartition", china)

    found = nodes()

    policies = [
        each.inputs["policyArn"] for each in [*found.all(ATTACHMENT), *found.all(ASSOCIATION)]
    ]
    assert {arn.split("AmazonE")[0] for arn in policies} == {
        "arn:aws-cn:iam::aws:policy/",
        "arn:aws-cn:eks::aws:cluster-access-policy/",
    }
    assert "ec2.amazonaws.com.cn" in found.one(ROLE).inputs["assumeRolePolicy"]


def test_the_metrics_server_has_nodes_to_run_on(nodes):
    snapshot = nodes()

    addon = snapshot.one(ADDON)
    assert addon.inputs == {"addonName": "metrics-server", "clusterName": "k8s"}
    assert {pool.urn for pool in snapshot.all(POOL)} <= snapshot.waits_for(addon.urn)
