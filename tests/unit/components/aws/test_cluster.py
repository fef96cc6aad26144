import json
from dataclasses import replace

import pulumi
import pytest

from components.aws.cluster import Cluster, ClusterArgs
from components.kubernetes.existing_cluster import ExistingCluster, ExistingClusterArgs
from settings.cluster import EksSettings, ExistingClusterSettings

EKS = "eks:index:Cluster"
KEY = "aws:kms/key:Key"
PROVIDER = "pulumi:providers:kubernetes"
ADMIN = "arn:aws:iam::111122223333:role/admins"
ARGS = ClusterArgs(
    vpc_id="vpc-1",
    public_subnet_ids=["subnet-public"],
    private_subnet_ids=["subnet-private"],
    tags={"stack": "mine", "project": "airflow-platform"},
    settings=EksSettings(kind="eks", private_endpoint=True),
)


@pytest.fixture
def cluster(deploy):
    def make(**settings):
        settings = {"private_endpoint": True, **settings}
        args = replace(ARGS, settings=EksSettings(kind="eks", **settings))
        return deploy(lambda: Cluster("k8s", args))

    return make


@pytest.mark.parametrize(
    ("settings", "public", "cidrs"),
    [
        ({"private_endpoint": True}, False, None),
        (
            {"private_endpoint": False, "public_access_cidrs": ["203.0.113.0/24"]},
            True,
            ["203.0.113.0/24"],
        ),
    ],
    ids=["private", "public"],
)
def test_the_public_endpoint_admits_only_listed_networks(cluster, settings, public, cidrs):
    eks = cluster(**settings).one(EKS).inputs

    assert eks["endpointPublicAccess"] is public
    assert eks.get("publicAccessCidrs") == cidrs
    assert eks["endpointPrivateAccess"] is True, "nodes would reach the API through NAT"


@pytest.mark.parametrize("protect", [True, False])
def test_a_protected_cluster_survives_destroy(cluster, protect):
    snapshot = cluster(protect=protect)

    assert snapshot.one(EKS).protect is protect
    assert snapshot.one(EKS).inputs["deletionProtection"] is protect
    assert snapshot.one(KEY).protect is protect, "without the key, the Secrets are lost"


def test_only_access_entries_grant_access(cluster):
    eks = cluster(admin_role_arns=[ADMIN]).one(EKS).inputs

    assert eks["authenticationMode"] == "API"
    (entry,) = eks["accessEntries"].values()
    assert entry["principalArn"] == ADMIN
    (policy,) = entry["accessPolicies"].values()
    assert policy["policyArn"].endswith(":cluster-access-policy/AmazonEKSClusterAdminPolicy")
    assert policy["accessScope"] == {"type": "cluster"}


def test_no_administrator_is_added_by_default(cluster):
    assert not cluster().one(EKS).inputs.get("accessEntries")


def test_the_cluster_has_no_node_pools_of_eks(cluster):
    assert cluster().one(EKS).inputs["autoMode"] == {
        "enabled": True,
        "createNodeRole": False,
        "computeConfig": {"nodePools": []},
    }, "EKS accepts no node role without its own pools"


def test_a_cluster_of_an_earlier_release_keeps_its_pools(cluster):
    auto_mode = cluster(built_in_node_pools=True).one(EKS).inputs["autoMode"]

    assert auto_mode == {"enabled": True, "createNodeRole": True}


def test_eks_may_set_the_tags_of_the_stack(cluster):
    snapshot = cluster()

    policy = snapshot.one("aws:iam/rolePolicy:RolePolicy")
    assert policy.inputs["role"] == "k8s-eks-role", "the role of the cluster"
    allowed = json.loads(policy.inputs["policy"])["Statement"]
    of_this_cluster = {
        "aws:RequestTag/eks:eks-cluster-name": "${aws:PrincipalTag/eks:eks-cluster-name}"
    }
    assert all(each["Condition"]["StringEquals"] == of_this_cluster for each in allowed)
    actions = {action for each in allowed for action in each["Action"]}
    assert actions >= {
        "ec2:CreateLaunchTemplate",
        "ec2:CreateVolume",
        "ec2:CreateNetworkInterface",
        "elasticloadbalancing:CreateLoadBalancer",
    }
    storage = snapshot.one("kubernetes:storage.k8s.io/v1:StorageClass").urn
    assert policy.urn in snapshot.waits_for(storage)


def test_auto_mode_needs_no_node_role_and_no_oidc_provider(cluster):
    eks = cluster(version="1.33").one(EKS).inputs

    assert eks["createOidcProvider"] is False
    assert eks["createInstanceRole"] is False, "Auto Mode does not use this role"
    assert eks["corednsAddonOptions"]["enabled"] is False, "Auto Mode runs DNS on the nodes"
    assert eks["kubeProxyAddonOptions"]["enabled"] is False
    assert eks["version"] == "1.33"


def test_nodes_run_in_private_subnets(cluster):
    eks = cluster().one(EKS).inputs

    assert eks["vpcId"] == "vpc-1"
    assert eks["publicSubnetIds"] == ["subnet-public"]
    assert eks["privateSubnetIds"] == ["subnet-private"]


def test_volumes_are_encrypted_by_default(cluster):
    storage = cluster().one("kubernetes:storage.k8s.io/v1:StorageClass").inputs

    assert storage["parameters"]["type"] == "gp3"
    assert storage["parameters"]["encrypted"] == "true"
    default = storage["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"]
    assert default == "true", "claims use the default class"
    assert storage["provisioner"] == "ebs.csi.eks.amazonaws.com"


def test_volumes_carry_the_tags_of_the_stack(cluster):
    parameters = cluster().one("kubernetes:storage.k8s.io/v1:StorageClass").inputs["parameters"]

    assert parameters["tagSpecification_1"] == "project=airflow-platform"
    assert parameters["tagSpecification_2"] == "stack=mine"


def test_volumes_follow_their_pod_and_can_grow(cluster):
    storage = cluster().one("kubernetes:storage.k8s.io/v1:StorageClass").inputs

    assert storage["volumeBindingMode"] == "WaitForFirstConsumer"
    assert storage["allowVolumeExpansion"] is True


def test_network_policies_are_enforced(cluster):
    switch = cluster().one("kubernetes:core/v1:ConfigMap").inputs

    assert (switch["metadata"]["namespace"], switch["metadata"]["name"]) == (
        "kube-system",
        "amazon-vpc-cni",
    )
    assert switch["data"] == {"enable-network-policy-controller": "true"}, (
        "enforcement is off by default"
    )


def test_the_name_is_that_of_the_eks_cluster(deploy):
    snapshot = deploy(lambda: pulumi.export("name", Cluster("k8s", ARGS).name))

    assert snapshot.exports["name"] == "k8s-eks"


def existing(name):
    settings = ExistingClusterSettings(kind="existing", context="kind-somewhere")
    return ExistingCluster(name, ExistingClusterArgs(settings=settings))


def test_an_existing_cluster_uses_the_configured_context(deploy):
    provider = deploy(lambda: existing("k8s")).one(PROVIDER).inputs

    assert provider["context"] == "kind-somewhere", "the current context must not matter"
    assert "kubeconfig" not in provider


def test_a_new_cluster_uses_its_own_kubeconfig(cluster):
    provider = cluster().one(PROVIDER).inputs

    assert "https://k8s-eks.eks.example" in provider["kubeconfig"]
    assert "context" not in provider


@pytest.mark.parametrize(
    "make", [existing, lambda name: Cluster(name, ARGS)], ids=["existing", "eks"]
)
def test_secrets_and_config_maps_are_updated_in_place(deploy, make):
    provider = deploy(lambda: make("k8s")).one(PROVIDER).inputs

    assert provider["enableSecretMutable"] == "true", "a replacement would delete it for a moment"
    assert provider["enableConfigMapMutable"] == "true"
