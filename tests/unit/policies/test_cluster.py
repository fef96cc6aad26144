import pytest

from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    ANYWHERE,
    CLUSTER,
    CLUSTER_COMPONENT,
    CONFIG_MAP,
    KMS_KEY,
    assert_complies,
    breaches,
    resource,
)

COMPONENT_URN = f"urn:pulumi:mine::airflow-platform::{CLUSTER_COMPONENT}::it"
ENCRYPTION = {"provider": {"keyArn": "arn:aws:kms:::key/1"}}
CLUSTER_PROVIDER = "urn:pulumi:mine::p::pulumi:providers:kubernetes::cluster-kubernetes::1"
DEFAULT_PROVIDER = "urn:pulumi:mine::p::pulumi:providers:kubernetes::default_4_32_0::1"
RESTRICT = "Restrict cluster.public_access_cidrs, or set cluster.private_endpoint"


@pytest.mark.parametrize("type", [CLUSTER_COMPONENT, CLUSTER])
def test_a_cluster_without_a_kms_key_is_a_breach(type):
    assert breaches("cluster-encrypts-secrets", resource(type)) == [
        ("it", "KMS key for Secrets is not set", "Set encryptionConfigKeyArn")
    ]


@pytest.mark.parametrize(
    "cluster",
    [
        resource(CLUSTER_COMPONENT, encryptionConfigKeyArn="arn"),
        resource(CLUSTER_COMPONENT, encryptionConfigKeyArn=UNKNOWN),
        resource(CLUSTER, encryptionConfig=ENCRYPTION),
    ],
)
def test_a_cluster_with_a_kms_key_complies(cluster):
    assert_complies("cluster-encrypts-secrets", cluster)


def test_the_child_counts_if_the_component_has_one():
    child = resource(CLUSTER, parent=COMPONENT_URN, encryptionConfig=ENCRYPTION)
    assert_complies("cluster-encrypts-secrets", resource(CLUSTER_COMPONENT), child)


@pytest.mark.parametrize(
    ("cluster", "found"),
    [
        (resource(CLUSTER_COMPONENT, enabledClusterLogTypes=["api"]), 'is ["api"]'),
        (resource(CLUSTER), "is not set"),
    ],
)
def test_a_cluster_without_audit_log_is_a_breach(cluster, found):
    assert breaches("cluster-audit-log-enabled", cluster) == [
        ("it", f"enabledClusterLogTypes {found}", "Add audit")
    ]


@pytest.mark.parametrize("types", [["api", "audit"], UNKNOWN])
def test_a_cluster_with_audit_log_complies(types):
    cluster = resource(CLUSTER_COMPONENT, enabledClusterLogTypes=types)
    assert_complies("cluster-audit-log-enabled", cluster)


@pytest.mark.parametrize(
    ("cluster", "found"),
    [
        (resource(CLUSTER_COMPONENT), "is not set"),
        (
            resource(
                CLUSTER_COMPONENT,
                endpointPublicAccess=True,
                publicAccessCidrs=["192.0.2.0/24", ANYWHERE],
            ),
            'is ["192.0.2.0/24", "0.0.0.0/0"]',
        ),
        (resource(CLUSTER, vpcConfig={"publicAccessCidrs": [ANYWHERE]}), 'is ["0.0.0.0/0"]'),
    ],
)
def test_an_endpoint_open_to_the_internet_is_a_breach(cluster, found):
    assert breaches("cluster-endpoint-access-restricted", cluster) == [
        ("it", f"publicAccessCidrs {found}", RESTRICT)
    ]


@pytest.mark.parametrize(
    "cluster",
    [
        resource(CLUSTER_COMPONENT, endpointPublicAccess=False),
        resource(CLUSTER_COMPONENT, publicAccessCidrs=["192.0.2.0/24"]),
        resource(CLUSTER, vpcConfig={"endpointPublicAccess": False}),
    ],
)
def test_a_restricted_endpoint_complies(cluster):
    assert_complies("cluster-endpoint-access-restricted", cluster)


@pytest.mark.parametrize("provider", ["", DEFAULT_PROVIDER])
def test_the_default_kubernetes_provider_is_a_breach(provider):
    assert breaches("explicit-kubernetes-provider", resource(CONFIG_MAP, provider=provider)) == [
        (
            "it",
            "the resource uses the default Kubernetes provider",
            "Pass the provider of the cluster in its resource options",
        )
    ]


def test_an_explicit_kubernetes_provider_complies():
    config_map = resource(CONFIG_MAP, provider=CLUSTER_PROVIDER)
    assert_complies("explicit-kubernetes-provider", config_map)


def test_aws_resources_may_use_the_default_provider():
    assert_complies("explicit-kubernetes-provider", resource(KMS_KEY))
