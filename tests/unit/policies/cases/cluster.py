from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    ANYWHERE,
    CLUSTER,
    CLUSTER_COMPONENT,
    CONFIG_MAP,
    KMS_KEY,
    resource,
)

COMPONENT_URN = f"urn:pulumi:mine::airflow-platform::{CLUSTER_COMPONENT}::it"
ENCRYPTION = {"provider": {"keyArn": "arn:aws:kms:::key/1"}}
PROVIDER = "urn:pulumi:mine::p::pulumi:providers:kubernetes::"


def endpoint(**inputs):
    return resource(CLUSTER_COMPONENT, **inputs)


BREACHES = {
    "cluster-encrypts-secrets": {
        "Set encryptionConfigKeyArn": [
            ("KMS key for Secrets is not set", resource(CLUSTER_COMPONENT)),
            ("KMS key for Secrets is not set", resource(CLUSTER)),
        ],
    },
    "cluster-audit-log-enabled": {
        "Add audit": [
            ('enabledClusterLogTypes is ["api"]', endpoint(enabledClusterLogTypes=["api"])),
            ("enabledClusterLogTypes is not set", resource(CLUSTER)),
        ],
    },
    "cluster-endpoint-access-restricted": {
        "Restrict cluster.public_access_cidrs, or set cluster.private_endpoint": [
            ("publicAccessCidrs is not set", endpoint()),
            (
                'publicAccessCidrs is ["192.0.2.0/24", "0.0.0.0/0"]',
                endpoint(endpointPublicAccess=True, publicAccessCidrs=["192.0.2.0/24", ANYWHERE]),
            ),
            (
                'publicAccessCidrs is ["0.0.0.0/0"]',
                resource(CLUSTER, vpcConfig={"publicAccessCidrs": [ANYWHERE]}),
            ),
        ],
    },
    "explicit-kubernetes-provider": {
        "Pass the provider of the cluster in its resource options": [
            ("the resource uses the default Kubernetes provider", resource(CONFIG_MAP)),
            (
                "the resource uses the default Kubernetes provider",
                resource(CONFIG_MAP, provider=f"{PROVIDER}default_4_32_0::1"),
            ),
        ],
    },
}

COMPLIANT = {
    "cluster-encrypts-secrets": {
        "component": resource(CLUSTER_COMPONENT, encryptionConfigKeyArn="arn"),
        "unknown": resource(CLUSTER_COMPONENT, encryptionConfigKeyArn=UNKNOWN),
        "cluster": resource(CLUSTER, encryptionConfig=ENCRYPTION),
        "child of the component": (
            resource(CLUSTER_COMPONENT),
            resource(CLUSTER, parent=COMPONENT_URN, encryptionConfig=ENCRYPTION),
        ),
    },
    "cluster-audit-log-enabled": {
        "audit": endpoint(enabledClusterLogTypes=["api", "audit"]),
        "unknown": endpoint(enabledClusterLogTypes=UNKNOWN),
    },
    "cluster-endpoint-access-restricted": {
        "private": endpoint(endpointPublicAccess=False),
        "listed networks": endpoint(publicAccessCidrs=["192.0.2.0/24"]),
        "private cluster": resource(CLUSTER, vpcConfig={"endpointPublicAccess": False}),
    },
    "explicit-kubernetes-provider": {
        "explicit": resource(CONFIG_MAP, provider=f"{PROVIDER}cluster-kubernetes::1"),
        "AWS resource": resource(KMS_KEY),
    },
}
