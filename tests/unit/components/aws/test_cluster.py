import json
from dataclasses import replace

import pulumi
import pytest

from components.aws.cluster import Cluster, ClusterArgs, without_entry_of_the_creator
from components.kubernetes.existing_cluster import ExistingCluster, ExistingClusterArgs
from ops.plan import fake_cloud
from settings.cluster import EksSettings, ExistingClusterSettings

SESSION_CONTEXT = "aws:iam/getSessionContext:getSessionContext"
EKS = "eks:index:Cluster"
KEY = "aws:kms/key:Key"
PROVIDER = "pulumi:providers:kubernetes"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ENTRY = "aws:eks/accessEntry:AccessEntry"
POLICY = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
ADMIN = "arn:aws:iam::111122223333:role/admins"
USER = "arn:aws:iam::111122223333:user/ops/anna"
SSO = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Ops_1"
CALLER = fake_cloud.LOOKUPS[SESSION_CONTEXT]["issuerArn"]
ARGS = ClusterArgs(
    vpc_id="vpc-1",
    private_subnet_ids=["subnet-private"],
    name="airflow-test",
    log_retention_days=20,
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
    snapshot = cluster(admin_role_arns=[ADMIN])

    assert snapshot.one(EKS).inputs["authenticationMode"] == "API"
    assert {e.inputs["principalArn"] for e in snapshot.all(ENTRY)} == {ADMIN, CALLER}
    for entry in snapshot.all(ENTRY):
        (policy,) = snapshot.children(entry.urn)
        assert policy.inputs == {
            "clusterName": "k8s-eks",
            "principalArn": entry.inputs["principalArn"],
            "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
            "accessScope": {"type": "cluster"},
        }
        assert entry.urn in policy.depends_on, "a policy needs its entry"


def entries(snapshot):
    return {entry.name: entry.inputs["principalArn"] for entry in snapshot.all(ENTRY)}


def test_by_default_only_the_caller_has_access(cluster):
    assert entries(cluster()) == {"k8s-admin-111122223333:role/deployer": CALLER}


def test_a_caller_in_the_list_has_one_entry(cluster):
    assert entries(cluster(admin_role_arns=[CALLER])) == entries(cluster())
    assert len(cluster(admin_role_arns=[ADMIN, CALLER, ADMIN]).all(ENTRY)) == 2


def test_the_order_of_administrators_does_not_matter(cluster):
    """A name from the position would replace the entries: EKS refuses a second one."""
    listed = [ADMIN, USER, SSO]

    assert entries(cluster(admin_role_arns=listed)) == entries(
        cluster(admin_role_arns=[*reversed(listed)])
    )


def test_entries_of_an_earlier_release_are_kept(cluster, wire):
    cluster(admin_role_arns=[ADMIN, USER])

    former = {
        name: [alias.spec.name for alias in request.aliases]
        for name, request in wire.items()
        if getattr(request, "type", None) == ENTRY
    }
    assert former == {
        "k8s-admin-111122223333:role/admins": ["k8s-eks-admin-0"],
        "k8s-admin-111122223333:user/ops/anna": ["k8s-eks-admin-1"],
        "k8s-admin-111122223333:role/deployer": [],
    }
    # The engine derives the aliases of a child from this prefix.
    assert {r.name for r in cluster().all(POLICY)} == {"k8s-admin-111122223333:role/deployer-admin"}


def test_administrators_get_the_policy_of_their_partition(cluster, monkeypatch):
    gov = {"id": "aws-us-gov", "partition": "aws-us-gov", "dnsSuffix": "amazonaws.com"}
    monkeypatch.setitem(fake_cloud.LOOKUPS, "aws:index/getPartition:getPartition", gov)

    (policy,) = cluster().all(POLICY)

    assert policy.inputs["policyArn"].startswith("arn:aws-us-gov:eks::aws:cluster-access-policy/")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::111122223333:root",
        "arn:aws:sts::111122223333:federated-user/anna",
        "arn:aws:sts::111122223333:assumed-role/gone/session",
    ],
)
def test_a_caller_without_access_to_eks_is_refused(cluster, monkeypatch, arn):
    monkeypatch.setitem(fake_cloud.LOOKUPS, SESSION_CONTEXT, {"issuerArn": arn})

    with pytest.raises(pulumi.RunError, match=rf"{arn}; log in with an IAM role"):
        cluster()


def test_eks_adds_no_entry_for_the_creator(cluster, wire):
    cluster()
    opts = pulumi.ResourceOptions(ignore_changes=["bootstrapSelfManagedAddons"])
    props = {
        "name": "one",
        "accessConfig": {
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": True,
        },
    }

    def transformed(type_):
        return without_entry_of_the_creator(
            pulumi.ResourceTransformArgs(True, type_, "one", props, opts)
        )

    assert len(wire["k8s-eks"].transforms) == 1
    changed = transformed("aws:eks/cluster:Cluster")
    assert changed.props["accessConfig"] == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }
    assert changed.props["name"] == "one"
    assert changed.opts is opts
    assert transformed("aws:iam/role:Role") is None


def test_kubernetes_objects_wait_for_access(cluster):
    snapshot = cluster(private_access_cidrs=["10.9.0.0/16"])

    before = snapshot.waits_for(snapshot.one(PROVIDER).urn)
    assert {r.urn for r in [*snapshot.all(POLICY), *snapshot.all(RULE)]} <= before


def test_the_private_endpoint_admits_the_listed_networks(cluster):
    assert not cluster().all(RULE)

    rules = cluster(private_access_cidrs=["10.9.0.0/16", "10.8.0.0/16", "10.9.0.0/16"]).all(RULE)
    assert {rule.name for rule in rules} == {"k8s-api-10.8.0.0/16", "k8s-api-10.9.0.0/16"}
    (rule,) = [rule for rule in rules if rule.inputs["cidrIpv4"] == "10.9.0.0/16"]
    assert rule.inputs == {
        "cidrIpv4": "10.9.0.0/16",
        "description": "Kubernetes API from cluster.private_access_cidrs",
        "fromPort": 443,
        "ipProtocol": "tcp",
        "securityGroupId": "k8s-eks-cluster-security-group",
        "tags": {"Name": "k8s-api-10.9.0.0/16"},
        "toPort": 443,
    }


def test_the_log_group_exists_before_the_cluster(cluster):
    snapshot = cluster(log_types=["audit", "api"])
    group, eks = snapshot.one(LOG_GROUP), snapshot.one(EKS)

    assert group.inputs == {"name": "/aws/eks/airflow-test/cluster", "retentionInDays": 30}
    assert eks.inputs["name"] == "airflow-test"
    assert eks.inputs["enabledClusterLogTypes"] == ["audit", "api"]
    assert group.urn in eks.depends_on, "EKS would create the group without retention"


def test_a_cluster_without_logs_has_no_log_group(cluster):
    snapshot = cluster(log_types=[])

    assert not snapshot.all(LOG_GROUP)
    assert snapshot.one(EKS).inputs["enabledClusterLogTypes"] == []


def test_the_logs_of_the_control_plane_are_off(cluster):
    """AWS operates the control plane, and CloudWatch charges each GB."""
    logs = cluster().one(EKS).inputs["enabledClusterLogTypes"]

    assert logs == ["audit", "authenticator"]


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
    assert eks["privateSubnetIds"] == ["subnet-private"]
    assert "publicSubnetIds" not in eks, "Auto Mode may start a node in every subnet"


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
