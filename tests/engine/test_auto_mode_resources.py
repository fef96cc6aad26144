"""What Auto Mode makes in the account, and what a deleted cluster leaves there."""

import itertools
import threading

import pytest

from tests.engine.simulator.cloud import Cloud
from tests.engine.test_moto_patches import TRUST, ZONES

VOLUMES, INGRESSES, NODES = (
    "persistentvolumes",
    "ingresses.networking.k8s.io",
    "nodeclaims.karpenter.sh",
)
LOGGED = {"clusterLogging": [{"types": ["audit"], "enabled": True}]}


def volume(name, storage_class="gp3"):
    return {"metadata": {"name": name}, "spec": {"storageClassName": storage_class}}


def ingress(name, ingress_class="airflow"):
    metadata = {"namespace": "airflow", "name": name}
    return {"metadata": metadata, "spec": {"ingressClassName": ingress_class}}


class Eks:
    """An account with one cluster, and the objects in the cluster by kind."""

    def __init__(self, cloud, objects, name):
        self.cloud, self.objects, self.name = cloud, objects, name
        self.log_group = f"/aws/eks/{name}/cluster"
        ec2, iam = cloud.client("ec2"), cloud.client("iam")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone)[
                "Subnet"
            ]
            for n, zone in enumerate(ZONES)
        ]
        self.before = cloud.inventory()
        self.role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]

    def create(self, node_pools=()):
        self.cloud.client("eks").create_cluster(
            name=self.name,
            roleArn=self.role,
            resourcesVpcConfig={"subnetIds": [s["SubnetId"] for s in self.subnets]},
            computeConfig={
                "enabled": True,
                "nodePools": list(node_pools),
                **({"nodeRoleArn": self.role} if node_pools else {}),
            },
            logging=LOGGED,
        )

    def delete(self):
        self.cloud.client("eks").delete_cluster(name=self.name)

    def has(self, kind):
        """Resources of a kind that this test has created."""
        new = sorted(set(self.cloud.inventory()) - set(self.before))
        return [line for line in new if line.startswith(kind)]


OBJECTS = {}
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def cloud():
    with Cloud(objects=lambda kind: OBJECTS.get(kind, [])) as opened:
        yield opened


@pytest.fixture
def eks(cloud):
    yield Eks(cloud, OBJECTS, f"cluster-{next(NUMBERS)}")
    OBJECTS.clear()
    cloud.late_logs.enabled = False
    for name in cloud.client("eks").list_clusters()["clusters"]:
        cloud.client("eks").delete_cluster(name=name)


def test_a_cluster_without_nodes_goes_with_its_group(eks):
    eks.create()
    assert eks.has("ec2 security group")

    eks.delete()
    assert eks.has("ec2 security group") == []


@pytest.mark.parametrize("built_in", [True, False], ids=["built-in pools", "own pools"])
def test_a_cluster_with_nodes_leaves_its_group(eks, built_in):
    eks.create(["general-purpose", "system"] if built_in else [])
    if not built_in:
        eks.objects[NODES] = [{"metadata": {"name": "airflow-platform-x"}}]
    assert eks.has("ec2 network interface")

    eks.delete()
    assert eks.has("ec2 network interface") == [], "EKS ends the nodes"
    (group,) = eks.cloud.client("ec2").describe_security_groups(
        Filters=[{"Name": "tag:aws:eks:cluster-name", "Values": [eks.name]}]
    )["SecurityGroups"]
    assert group["GroupName"].startswith(f"eks-cluster-sg-{eks.name}-")


def test_a_cluster_in_creation_has_no_nodes_yet(eks, monkeypatch):
    """The load balancers of the simulator look at the account every two seconds."""
    ec2, had = eks.cloud.auto_mode.ec2, []
    create_security_group = ec2.create_security_group

    def look_first(**group):
        had.append(eks.has("ec2 network interface"))
        return create_security_group(**group)

    monkeypatch.setattr(ec2, "create_security_group", look_first)
    eks.create(["general-purpose"])

    assert had == [[]]
    assert eks.has("ec2 network interface")


def test_two_looks_at_the_account_create_one_load_balancer(eks, monkeypatch):
    auto_mode, others = eks.cloud.auto_mode, []
    create_security_group = auto_mode.ec2.create_security_group

    def look_meanwhile(**group):
        monkeypatch.undo()
        others.append(threading.Thread(target=auto_mode.sync))
        others[0].start()
        others[0].join(timeout=0.5)
        return create_security_group(**group)

    eks.create()
    eks.objects[INGRESSES] = [ingress("airflow")]
    monkeypatch.setattr(auto_mode.ec2, "create_security_group", look_meanwhile)
    auto_mode.sync()
    others[0].join()

    assert len(eks.has("elbv2 load balancer")) == 1


def test_built_in_pools_end_their_nodes_when_they_are_removed(eks):
    eks.create(["general-purpose"])
    assert eks.has("ec2 network interface")

    eks.cloud.client("eks").update_cluster_config(
        name=eks.name, computeConfig={"enabled": True, "nodePools": []}
    )
    assert eks.has("ec2 network interface") == []
    eks.delete()
    assert eks.has("ec2 security group") == []


def test_a_group_that_a_rule_names_outlives_the_cluster(eks):
    eks.create()
    ec2 = eks.cloud.client("ec2")
    config = eks.cloud.client("eks").describe_cluster(name=eks.name)["cluster"][
        "resourcesVpcConfig"
    ]
    clients = {"GroupId": config["clusterSecurityGroupId"]}
    group = ec2.create_security_group(VpcId=config["vpcId"], GroupName="a", Description="a")
    rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [clients]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])

    eks.delete()
    assert len(eks.has("ec2 security group")) == 2


def test_a_volume_follows_its_object_until_the_cluster_goes(eks):
    eks.create()
    eks.objects[VOLUMES] = [volume("pvc-1"), volume("pvc-2"), volume("other", "standard")]
    assert len(eks.has("ec2 volume")) == 2

    eks.objects[VOLUMES] = [volume("pvc-1")]
    assert len(eks.has("ec2 volume")) == 1
    eks.delete()
    eks.objects.clear()
    assert len(eks.has("ec2 volume")) == 1


def test_a_load_balancer_follows_its_ingress(eks):
    eks.create()
    eks.objects[INGRESSES] = [ingress("airflow-ingress"), ingress("other", "nginx")]
    assert len(eks.has("elbv2 load balancer")) == 1
    assert len(eks.has("ec2 security group")) == 2, "of the cluster and of the load balancer"

    eks.objects.clear()
    assert eks.has("elbv2 load balancer") == []
    assert len(eks.has("ec2 security group")) == 1


def test_a_load_balancer_stays_without_its_cluster(eks):
    eks.create()
    eks.objects[INGRESSES] = [ingress("airflow-ingress")]
    eks.delete()
    eks.objects.clear()

    assert eks.has("elbv2 load balancer")
    assert eks.has("ec2 security group")


def test_late_events_create_the_deleted_log_group_again(eks):
    logs = eks.cloud.client("logs")
    eks.cloud.late_logs.enable()
    logs.create_log_group(logGroupName=eks.log_group)
    eks.create()
    eks.delete()

    logs.delete_log_group(logGroupName=eks.log_group)
    assert eks.has("logs group") == [f"logs group {eks.log_group}"]
    logs.delete_log_group(logGroupName=eks.log_group)
    assert eks.has("logs group") == [], "only once"


def test_late_events_create_a_log_group_that_does_not_exist(eks):
    eks.cloud.late_logs.enable()
    eks.create()
    eks.delete()

    assert eks.has("logs group") == [f"logs group {eks.log_group}"]
