"""Rules for the EKS cluster and its Kubernetes provider."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from policies.network import ANYWHERE
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, as_list, at, describe, differs

COMPONENT = "eks:index:Cluster"
CLUSTER = "aws:eks/cluster:Cluster"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A cluster, from the inputs of the component (offline) or of its child (in the engine)."""

    resource: Resource
    key: Any
    public: Any
    cidrs: Any


def clusters(stack: Stack) -> list[Resource]:
    """Each cluster once. In the engine, the component is only the parent of the EKS cluster."""
    components = stack.all(COMPONENT)
    with_child = {parent.urn for parent in components if list(stack.descendants(parent, CLUSTER))}
    return [*stack.all(CLUSTER), *(parent for parent in components if parent.urn not in with_child)]


def facts(cluster: Resource) -> Facts:
    if cluster.type == COMPONENT:
        key = cluster.inputs.get("encryptionConfigKeyArn")
        access = cluster.inputs
    else:
        key = at(cluster.inputs, "encryptionConfig.provider.keyArn")
        access = cluster.inputs.get("vpcConfig") or {}
    return Facts(
        resource=cluster,
        key=key,
        public=at(access, "endpointPublicAccess"),
        cidrs=at(access, "publicAccessCidrs"),
    )


def _encrypts_secrets(stack: Stack) -> Iterator[Finding]:
    for cluster in map(facts, clusters(stack)):
        if not cluster.key:
            yield Finding(
                resource=cluster.resource.name,
                urn=cluster.resource.urn,
                what=describe("KMS key for Secrets", cluster.key),
                fix="Set encryptionConfigKeyArn",
            )


def _audit_log_is_enabled(stack: Stack) -> Iterator[Finding]:
    for cluster in clusters(stack):
        value = cluster.inputs.get("enabledClusterLogTypes")
        if value is not UNKNOWN and "audit" not in as_list(value):
            yield Finding(
                resource=cluster.name,
                urn=cluster.urn,
                what=describe("enabledClusterLogTypes", value),
                fix="Add audit",
            )


def _endpoint_access_is_restricted(stack: Stack) -> Iterator[Finding]:
    for cluster in map(facts, clusters(stack)):
        # Without publicAccessCidrs, EKS allows 0.0.0.0/0.
        open_to_all = cluster.cidrs is None or bool(ANYWHERE & set(as_list(cluster.cidrs)))
        if differs(cluster.public, False) and open_to_all:
            yield Finding(
                resource=cluster.resource.name,
                urn=cluster.resource.urn,
                what=describe("publicAccessCidrs", cluster.cidrs),
                fix="Restrict cluster.public_access_cidrs, or set cluster.private_endpoint",
            )


def _explicit_provider(stack: Stack) -> Iterator[Finding]:
    for resource in stack.resources:
        is_default = not resource.provider or "::default" in resource.provider
        if resource.type.startswith("kubernetes:") and is_default:
            yield Finding(
                resource=resource.name,
                urn=resource.urn,
                what="the resource uses the default Kubernetes provider",
                fix="Pass the provider of the cluster in its resource options",
            )


RULES = (
    Rule(
        name="cluster-encrypts-secrets",
        reason="etcd and its backups contain every Kubernetes Secret",
        check=_encrypts_secrets,
    ),
    Rule(
        name="cluster-audit-log-enabled",
        former_name="cluster-keeps-an-audit-log",
        reason="Without the audit log, reads of Secrets and pod creations cannot be traced",
        check=_audit_log_is_enabled,
    ),
    Rule(
        name="cluster-endpoint-access-restricted",
        former_name="cluster-endpoint-is-limited",
        reason="A stolen token works from every network that can reach the API",
        check=_endpoint_access_is_restricted,
        excusable=True,
    ),
    Rule(
        name="explicit-kubernetes-provider",
        former_name="kubernetes-has-one-way-in",
        reason="The default provider deploys to the current kubectl context",
        check=_explicit_provider,
    ),
)
