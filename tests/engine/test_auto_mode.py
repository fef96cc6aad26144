"""Auto Mode's controller, with a fake kubectl: which NodeClass is ready, and which node joins."""

import json
from unittest.mock import patch

import pytest

from tests.engine.simulator.backends.auto_mode import AutoMode, node_label
from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.pods import Pods
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.moto_patches import quotas

KINDS = {
    "nodeclasses.eks.amazonaws.com": "NodeClass",
    "nodepools.karpenter.sh": "NodePool",
    "nodeclaims.karpenter.sh": "NodeClaim",
    "nodes": "Node",
}
TAG_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["ec2:CreateLaunchTemplate", "ec2:CreateVolume"],
            "Resource": "*",
        }
    ],
}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "ec2.amazonaws.com"},
            }
        ],
    }
)
MINIMAL = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodeMinimalPolicy"
AUTO_NODE = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAutoNodePolicy"


class Kubectl:
    """Objects in memory."""

    def __init__(self):
        self.objects = {"Node": {"node": {"metadata": {"name": "node", "labels": {}}}}}

    def get(self, kinds, *_):
        names = [KINDS[kind] for kind in kinds.split(",")]
        return {"items": [each for name in names for each in self.objects.get(name, {}).values()]}

    def apply(self, *objects):
        for each in objects:
            kept = self.objects.setdefault(each["kind"], {})
            kept[each["metadata"]["name"]] = {
                **each,
                "metadata": {"uid": "1", **each["metadata"]},
            }

    def run(self, verb, kind, name, *words):
        if verb == "label":
            labels = self.objects["Node"][name]["metadata"]["labels"]
            for word in words:
                key, _, value = word.partition("=")
                if key.endswith("-"):
                    labels.pop(key[:-1], None)
                elif value:
                    labels[key] = value
        if verb == "patch":
            patch = json.loads(words[words.index("--patch") + 1])
            found = self.objects[KINDS[kind]][name]
            if patch.get("metadata") == {"finalizers": None}:
                del self.objects[KINDS[kind]][name]
            found.update(status=patch.get("status", {}))

    def labels(self):
        return self.objects["Node"]["node"]["metadata"]["labels"]

    def ready(self, kind):
        """Status and text of the condition Ready, by name."""
        return {
            name: (condition["status"], f"{condition['reason']}: {condition['message']}")
            for name, found in self.objects[kind].items()
            for condition in found["status"]["conditions"]
        }


class World:
    """A cluster with a NodeClass and a NodePool that can start nodes."""

    def __init__(self, cloud, nodes, cluster_role):
        self.cloud, self.kubectl = cloud, Kubectl()
        # IAM roles of one account have different names.
        self.nodes, self.cluster_role = nodes, cluster_role
        self.auto_mode = AutoMode(cloud, self.kubectl)
        ec2, iam, eks = map(cloud.client, ("ec2", "iam", "eks"))
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone)[
                "Subnet"
            ]["SubnetId"]
            for n, zone in enumerate(("eu-west-1a", "eu-west-1b"))
        ]
        group = {"VpcId": self.vpc, "GroupName": "nodes", "Description": "nodes"}
        self.group = ec2.create_security_group(**group)["GroupId"]
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        nat = ec2.create_nat_gateway(SubnetId=self.subnets[0], AllocationId=address)
        (self.table,) = ec2.describe_route_tables(
            Filters=[{"Name": "vpc-id", "Values": [self.vpc]}]
        )["RouteTables"]
        self.route(NatGatewayId=nat["NatGateway"]["NatGatewayId"])
        self.role = iam.create_role(RoleName=nodes, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.attach_role_policy(RoleName=nodes, PolicyArn=MINIMAL)
        role = iam.create_role(RoleName=cluster_role, AssumeRolePolicyDocument=TRUST)["Role"]
        self.put_tag_policy(TAG_POLICY)
        vpc = {"subnetIds": self.subnets}
        eks.create_cluster(name="k8s", roleArn=role["Arn"], resourcesVpcConfig=vpc)
        eks.create_access_entry(clusterName="k8s", principalArn=self.role, type="EC2")
        eks.associate_access_policy(
            clusterName="k8s",
            principalArn=self.role,
            policyArn=AUTO_NODE,
            accessScope={"type": "cluster"},
        )
        self.declare()

    def route(self, **target):
        ec2, table = self.cloud.client("ec2"), self.table["RouteTableId"]
        anywhere = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
        ec2.create_route(**anywhere, **target)

    def put_tag_policy(self, policy):
        iam = self.cloud.client("iam")
        iam.put_role_policy(
            RoleName=self.cluster_role, PolicyName="tags", PolicyDocument=json.dumps(policy)
        )

    def declare(self, **spec):
        node_class = {
            "role": self.nodes,
            "subnetSelectorTerms": [{"id": id_} for id_ in self.subnets],
            "securityGroupSelectorTerms": [{"id": self.group}],
            "tags": {"stack": "mine"},
            **spec,
        }
        reference = {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "airflow"}
        template = {"spec": {"nodeClassRef": reference, "requirements": []}}
        self.kubectl.apply(
            {"kind": "NodeClass", "metadata": {"name": "airflow"}, "spec": node_class},
            {"kind": "NodePool", "metadata": {"name": "own"}, "spec": {"template": template}},
        )

    def reconcile(self, times=2):
        for _ in range(times):
            self.auto_mode.reconcile("k8s")


@pytest.fixture(scope="module")
def cloud():
    with Cloud() as opened, patch.dict(quotas.changed, {quotas.ELASTIC_IPS: 100}):
        yield opened


@pytest.fixture
def world(cloud):
    # Loading the managed policies of an account takes seconds: one account for all tests.
    number = len(cloud.client("iam").list_roles()["Roles"])
    yield World(cloud, f"nodes-{number}", f"cluster-{number}")
    cloud.client("eks").delete_cluster(name="k8s")


def test_a_pool_with_pods_gets_a_node_that_blocks_its_deletion(world):
    world.reconcile()
    assert "NodeClaim" not in world.kubectl.objects, "no pod wants it"

    world.auto_mode.wanted.add("own")
    world.reconcile()

    (claim,) = world.kubectl.objects["NodeClaim"].values()
    (owner,) = claim["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["blockOwnerDeletion"]) == ("NodePool", "own", True)
    assert claim["metadata"]["finalizers"] == ["karpenter.sh/termination"]
    assert world.kubectl.labels() == {node_label("own"): "true"}
    assert world.kubectl.ready("NodePool")["own"][0] == "True"


def test_a_deleted_node_ends_after_a_while(world, monkeypatch):
    world.auto_mode.wanted.add("own")
    world.reconcile()
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    world.kubectl.objects["NodeClaim"]["own"]["metadata"]["deletionTimestamp"] = "now"
    world.kubectl.objects["NodePool"]["own"]["metadata"]["deletionTimestamp"] = "now"
    world.reconcile()
    assert world.kubectl.objects["NodeClaim"], "its instance is still ending"

    now[0] = 60.0
    world.reconcile()

    assert world.kubectl.objects["NodeClaim"] == {}
    assert world.kubectl.labels() == {}


def _without_tag_policy(world):
    (statement,) = TAG_POLICY["Statement"]
    world.put_tag_policy(
        {**TAG_POLICY, "Statement": [{**statement, "Action": ["ec2:RunInstances"]}]}
    )


def _without_policy(world):
    world.cloud.client("iam").detach_role_policy(RoleName=world.nodes, PolicyArn=MINIMAL)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda w: w.declare(role="nobody"), "InstanceProfileNotReady: role nobody does not exist"),
        (_without_policy, "InstanceProfileNotReady: role nodes-"),
        (lambda w: w.declare(subnetSelectorTerms=[{"id": "subnet-0"}]), "SubnetsNotFound: "),
        (
            lambda w: w.declare(securityGroupSelectorTerms=[{"id": "sg-0"}]),
            "SecurityGroupsNotFound: ",
        ),
        (_without_tag_policy, "UnauthorizedOperation: the cluster role is not authorized"),
    ],
)
def test_a_node_class_that_cannot_start_nodes_is_not_ready(world, break_it, reason):
    break_it(world)
    world.auto_mode.wanted.add("own")
    world.reconcile()

    status, text = world.kubectl.ready("NodeClass")["airflow"]
    assert (status, text[: len(reason)]) == ("False", reason)
    assert world.kubectl.ready("NodePool")["own"] == ("False", f"NodeClassNotReady: {text}")
    assert "NodeClaim" not in world.kubectl.objects


def test_own_tags_are_what_needs_the_tag_policy(world):
    _without_tag_policy(world)
    world.declare(tags={})
    world.reconcile()

    assert world.kubectl.ready("NodeClass")["airflow"][0] == "True"


def test_a_pool_of_a_missing_node_class_is_not_ready(world):
    del world.kubectl.objects["NodeClass"]["airflow"]
    world.reconcile()

    status, text = world.kubectl.ready("NodePool")["own"]
    assert (status, text.partition(": ")[0]) == ("False", "NodeClassNotReady")


def _without_entry(world):
    eks = world.cloud.client("eks")
    eks.delete_access_entry(clusterName="k8s", principalArn=world.role)


def _with_entry_of_a_user(world):
    _without_entry(world)
    world.cloud.client("eks").create_access_entry(clusterName="k8s", principalArn=world.role)


def _public(world):
    ec2, table = world.cloud.client("ec2"), world.table["RouteTableId"]
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=world.vpc)
    world.route(GatewayId=gateway)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (_without_entry, "has no access entry"),
        (_with_entry_of_a_user, "has no access entry of type EC2 with AmazonEKSAutoNodePolicy"),
        (_public, "has no route to the Internet for its nodes"),
    ],
)
def test_an_instance_that_cannot_join_is_no_node(world, break_it, reason):
    break_it(world)
    world.auto_mode.wanted.add("own")
    world.reconcile()

    status, text = world.kubectl.ready("NodeClaim")["own"]
    assert status == "False"
    assert text.startswith("NodeNotRegistered: ")
    assert text.endswith(reason)
    assert world.kubectl.labels() == {}, "its pods stay pending"


def test_a_spot_pool_starts_no_node_without_the_role(world):
    (pool,) = world.kubectl.objects["NodePool"].values()
    spot = {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]}
    pool["spec"]["template"]["spec"]["requirements"] = [spot]
    world.auto_mode.wanted.add("own")
    world.reconcile()
    refused = "LaunchFailed: AuthFailure.ServiceLinkedRoleCreationNotPermitted"
    assert world.kubectl.ready("NodeClaim")["own"] == ("False", refused)
    assert world.kubectl.labels() == {}, "its pods stay pending"

    world.cloud.client("iam").create_service_linked_role(AWSServiceName="spot.amazonaws.com")
    del world.kubectl.objects["NodeClaim"]["own"]
    world.reconcile()
    assert world.kubectl.labels() == {node_label("own"): "true"}


def test_built_in_pools_follow_the_cluster_configuration(world):
    world.cloud.client("eks").update_cluster_config(
        name="k8s",
        computeConfig={
            "enabled": True,
            "nodePools": ["general-purpose"],
            "nodeRoleArn": world.role,
        },
    )
    world.auto_mode.wanted.add("general-purpose")
    world.reconcile(3)

    assert world.kubectl.ready("NodePool")["general-purpose"][0] == "True"
    assert world.kubectl.ready("NodeClass")["default"][0] == "True"


POOL = {
    "metadata": {"name": "airflow-platform"},
    "spec": {"template": {"spec": {}}},
}
WORKERS = {
    "metadata": {"name": "airflow-workers"},
    "spec": {
        "template": {
            "metadata": {"labels": {"nodes": "workers"}},
            "spec": {"taints": [{"key": "nodes", "value": "workers", "effect": "NoSchedule"}]},
        }
    },
}
TOLERATION = {"key": "nodes", "operator": "Equal", "value": "workers"}


@pytest.mark.parametrize(
    ("pools", "pod", "pool"),
    [
        ([WORKERS, POOL], {}, "airflow-platform"),
        (
            [POOL, WORKERS],
            {"nodeSelector": {"nodes": "workers"}, "tolerations": [TOLERATION]},
            "airflow-workers",
        ),
        ([POOL, WORKERS], {"nodeSelector": {"nodes": "workers"}}, "none"),
        ([WORKERS], {}, "none"),
        ([], {}, "none"),
    ],
    ids=["platform", "worker", "no toleration", "tainted only", "no pool"],
)
def test_a_pod_waits_for_a_node_of_its_pool(world, pools, pod, pool):
    world.kubectl.objects["NodePool"] = {each["metadata"]["name"]: each for each in pools}
    wanted = set()
    pods = Pods(world.cloud, world.kubectl, Authority(), "127.0.0.1", wanted)
    try:
        spec = pods.mutate({"spec": {"containers": [], **pod}}, "airflow")["spec"]
    finally:
        pods.stop()

    assert spec["nodeSelector"] == {node_label(pool): "true"}
    assert wanted == ({pool} - {"none"})


@pytest.mark.parametrize(
    ("condition", "trusted"),
    [
        ({}, True),
        ({"aws:RequestTag/kubernetes-service-account": "airflow-worker"}, True),
        ({"aws:RequestTag/kubernetes-service-account": "another"}, False),
        ({"aws:RequestTag/eks-cluster-arn": "arn:aws:eks:eu-west-1:111122223333:cluster/k"}, False),
        ({"aws:SourceArn": "arn:aws:eks:eu-west-1:111122223333:cluster/k8s"}, False),
    ],
)
def test_pod_identity_reads_the_trust_policy(world, condition, trusted):
    statement = {
        "Effect": "Allow",
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        **({"Condition": {"StringEquals": condition}} if condition else {}),
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = world.cloud.client("iam").create_role(
        RoleName=f"pod-of-{world.nodes}", AssumeRolePolicyDocument=trust
    )
    world.cloud.client("eks").create_pod_identity_association(
        clusterName="k8s",
        namespace="airflow",
        serviceAccount="airflow-worker",
        roleArn=role["Role"]["Arn"],
    )
    world.kubectl.objects["NodePool"] = {}
    pods = Pods(world.cloud, world.kubectl, Authority(), "127.0.0.1", set())
    review = {
        "request": {
            "uid": "1",
            "namespace": "airflow",
            "object": {
                "spec": {
                    "serviceAccountName": "airflow-worker",
                    "containers": [{"name": "worker", "image": "apache/airflow:3.3.2"}],
                }
            },
        }
    }
    try:
        answer = pods._review(review)["response"]
    finally:
        pods.stop()

    assert answer["allowed"] is trusted
    if not trusted:
        assert "does not trust pods of airflow/airflow-worker" in answer["status"]["message"]
