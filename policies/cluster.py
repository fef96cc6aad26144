"""Rules for the Kubernetes cluster and the way into it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from policies.network import ANYWHERE
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, at, differs, is_, items

COMPONENT = "eks:index:Cluster"
CLUSTER = "aws:eks/cluster:Cluster"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A cluster, from the component (offline) or from what the component makes (in the engine)."""

    resource: Resource
    key: Any
    public: Any
    cidrs: Any


def clusters(stack: Stack) -> list[Resource]:
    """Each cluster once. In the engine the component is only the parent of the real one."""
    components = stack.all(COMPONENT)
    hollow = {parent.urn for parent in components if list(stack.inside(parent, CLUSTER))}
    return [*stack.all(CLUSTER), *(parent for parent in components if parent.urn not in hollow)]


def facts(cluster: Resource) -> Facts:
    if cluster.type == COMPONENT:
        key = cluster.inputs.get("encryptionConfigKeyArn")
        reach = cluster.inputs
    else:
        key = at(cluster.inputs, "encryptionConfig.provider.keyArn")
        reach = cluster.inputs.get("vpcConfig") or {}
    return Facts(
        resource=cluster,
        key=key,
        public=at(reach, "endpointPublicAccess"),
        cidrs=at(reach, "publicAccessCidrs"),
    )


def _encrypts_secrets(stack: Stack) -> Iterator[Finding]:
    for cluster in map(facts, clusters(stack)):
        if not cluster.key:
            yield Finding(
                resource=cluster.resource.name,
                urn=cluster.resource.urn,
                what=is_("KMS key for Secrets", cluster.key),
                fix="Set encryptionConfigKeyArn",
            )


def _keeps_an_audit_log(stack: Stack) -> Iterator[Finding]:
    for cluster in clusters(stack):
        value = cluster.inputs.get("enabledClusterLogTypes")
        if value is not UNKNOWN and "audit" not in items(value):
            yield Finding(
                resource=cluster.name,
                urn=cluster.urn,
                what=is_("enabledClusterLogTypes", value),
                fix="Add audit",
            )


def _endpoint_is_limited(stack: Stack) -> Iterator[Finding]:
    for cluster in map(facts, clusters(stack)):
        # AWS opens the endpoint to everybody unless it is told otherwise.
        open_to_all = cluster.cidrs is None or bool(ANYWHERE & set(items(cluster.cidrs)))
        if differs(cluster.public, False) and open_to_all:
            yield Finding(
                resource=cluster.resource.name,
                urn=cluster.resource.urn,
                what=is_("publicAccessCidrs", cluster.cidrs),
                fix="List your networks in cluster.public_access_cidrs, or set cluster.private_endpoint",
            )


def _one_way_in(stack: Stack) -> Iterator[Finding]:
    for resource in stack.resources:
        ambient = not resource.provider or "::default" in resource.provider
        if resource.type.startswith("kubernetes:") and ambient:
            yield Finding(
                resource=resource.name,
                urn=resource.urn,
                what="provider is the ambient one",
                fix="Pass the provider of the cluster in its options",
            )


RULES = (
    Rule(
        name="cluster-encrypts-secrets",
        reason="Backups of etcd hold every Kubernetes Secret",
        check=_encrypts_secrets,
    ),
    Rule(
        name="cluster-keeps-an-audit-log",
        reason="Without it nobody can tell who read a Secret or started a pod",
        check=_keeps_an_audit_log,
    ),
    Rule(
        name="cluster-endpoint-is-limited",
        reason="A stolen token is worth less where only your networks reach the API",
        check=_endpoint_is_limited,
        excusable=True,
    ),
    Rule(
        name="kubernetes-has-one-way-in",
        reason="It would go wherever kubectl points at",
        check=_one_way_in,
    ),
)
