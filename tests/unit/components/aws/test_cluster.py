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
    settings=EksSettings(kind="eks", private_endpoint=True),
)


@pytest.fixture
def cluster(deploy):
    def make(**settings):
        settings = {"private_endpoint": True, **settings}
        args = replace(ARGS, settings=EksSettings(kind="eks", **settings))
        return deploy(lambda: Cluster("k8s", args))

    return make


def test_kubernetes_secrets_are_encrypted_with_a_key_that_rotates(cluster):
    declaration = cluster()

    key = "arn:aws:kms:eu-west-1:111122223333:key/k8s-secrets"
    assert declaration.one(EKS).inputs["encryptionConfigKeyArn"] == key
    assert declaration.one(KEY, "k8s-secrets").inputs["enableKeyRotation"] is True


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
def test_the_endpoint_is_open_to_the_listed_networks_only(cluster, settings, public, cidrs):
    eks = cluster(**settings).one(EKS).inputs

    assert eks["endpointPublicAccess"] is public
    assert eks.get("publicAccessCidrs") == cidrs
    assert eks["endpointPrivateAccess"] is True, "nodes would leave the VPC to reach it"


@pytest.mark.parametrize("protect", [True, False])
def test_a_protected_cluster_outlives_a_destroy(cluster, protect):
    declaration = cluster(protect=protect)

    assert declaration.one(EKS).protect is protect
    assert declaration.one(EKS).inputs["deletionProtection"] is protect
    assert declaration.one(KEY).protect is protect, "without its key its Secrets are lost"


def test_only_access_entries_let_somebody_in(cluster):
    eks = cluster(admin_role_arns=[ADMIN]).one(EKS).inputs

    assert eks["authenticationMode"] == "API"
    (entry,) = eks["accessEntries"].values()
    assert entry["principalArn"] == ADMIN
    (policy,) = entry["accessPolicies"].values()
    assert policy["policyArn"].endswith(":cluster-access-policy/AmazonEKSClusterAdminPolicy")
    assert policy["accessScope"] == {"type": "cluster"}


def test_nobody_is_administrator_unasked(cluster):
    assert not cluster().one(EKS).inputs.get("accessEntries")


def test_every_log_of_the_control_plane_is_kept(cluster):
    assert set(cluster().one(EKS).inputs["enabledClusterLogTypes"]) == {
        "api",
        "audit",
        "authenticator",
        "controllerManager",
        "scheduler",
    }


def test_eks_runs_the_nodes_itself_and_trusts_pods_through_pod_identity(cluster):
    eks = cluster(version="1.33").one(EKS).inputs

    assert eks["autoMode"]["enabled"] is True
    assert eks["createOidcProvider"] is False
    assert eks["createInstanceRole"] is False, "a role with rights of nodes that nobody wears"
    assert eks["corednsAddonOptions"]["enabled"] is False, "DNS runs on the nodes"
    assert eks["kubeProxyAddonOptions"]["enabled"] is False
    assert eks["version"] == "1.33"


def test_nodes_stand_in_the_private_subnets(cluster):
    eks = cluster().one(EKS).inputs

    assert eks["vpcId"] == "vpc-1"
    assert eks["publicSubnetIds"] == ["subnet-public"]
    assert eks["privateSubnetIds"] == ["subnet-private"]


def test_volumes_are_encrypted_unless_they_say_otherwise(cluster):
    storage = cluster().one("kubernetes:storage.k8s.io/v1:StorageClass").inputs

    assert storage["parameters"] == {"type": "gp3", "encrypted": "true"}
    default = storage["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"]
    assert default == "true", "claims name no class"
    assert storage["provisioner"] == "ebs.csi.eks.amazonaws.com"


def test_a_volume_is_made_in_the_zone_of_its_pod_and_may_grow(cluster):
    storage = cluster().one("kubernetes:storage.k8s.io/v1:StorageClass").inputs

    assert storage["volumeBindingMode"] == "WaitForFirstConsumer"
    assert storage["allowVolumeExpansion"] is True


def test_network_policies_are_enforced(cluster):
    switch = cluster().one("kubernetes:core/v1:ConfigMap").inputs

    assert (switch["metadata"]["namespace"], switch["metadata"]["name"]) == (
        "kube-system",
        "amazon-vpc-cni",
    )
    assert switch["data"] == {"enable-network-policy-controller": "true"}, "off until this says on"


def test_worker_cpu_can_be_measured(cluster):
    addon = cluster().one("aws:eks/addon:Addon").inputs

    assert addon == {"addonName": "metrics-server", "clusterName": "k8s-eks"}


def test_others_know_the_cluster_by_what_eks_made(deploy):
    def program():
        cluster = Cluster("k8s", ARGS)
        pulumi.export("name", cluster.name)
        pulumi.export("nodes", cluster.node_security_group_id)
        pulumi.export("kubeconfig", cluster.kubeconfig)

    exports = deploy(program).exports
    assert exports["name"] == "k8s-eks"
    assert exports["nodes"] == "k8s-eks-cluster-security-group", "Auto Mode nodes wear this one"
    assert "https://k8s-eks.eks.example" in exports["kubeconfig"]


def existing(name):
    settings = ExistingClusterSettings(kind="existing", context="kind-somewhere")
    return ExistingCluster(name, ExistingClusterArgs(settings=settings))


def test_an_existing_cluster_is_the_context_of_the_settings(deploy):
    provider = deploy(lambda: existing("k8s")).one(PROVIDER).inputs

    assert provider["context"] == "kind-somewhere", "the current context may be anything"
    assert "kubeconfig" not in provider


def test_a_new_cluster_is_reached_with_its_own_kubeconfig(cluster):
    provider = cluster().one(PROVIDER).inputs

    assert "https://k8s-eks.eks.example" in provider["kubeconfig"]
    assert "context" not in provider


@pytest.mark.parametrize(
    "make", [existing, lambda name: Cluster(name, ARGS)], ids=["existing", "eks"]
)
def test_secrets_and_config_maps_change_in_place(deploy, make):
    provider = deploy(lambda: make("k8s")).one(PROVIDER).inputs

    assert provider["enableSecretMutable"] == "true", "replaced, it would be gone for a moment"
    assert provider["enableConfigMapMutable"] == "true"
