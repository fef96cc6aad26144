"""What no stack may declare, whatever its settings say. Each rule names the resource and the reason."""

import json
from collections.abc import Iterator
from typing import Any

from plan.engine import Declaration, Declared, Secret
from plan.values import RELEASE, at

ANYWHERE = {"0.0.0.0/0", "::/0"}


def databases_are_private_and_encrypted(declaration: Declaration) -> Iterator[str]:
    for instance in declaration.all("aws:rds/instance:Instance"):
        if instance.inputs.get("publiclyAccessible") is not False:
            yield f"{instance.name}: publiclyAccessible must be false"
        if instance.inputs.get("storageEncrypted") is not True:
            yield f"{instance.name}: storageEncrypted must be true"


def databases_speak_tls_only(declaration: Declaration) -> Iterator[str]:
    for group in declaration.all("aws:rds/parameterGroup:ParameterGroup"):
        parameters = {p["name"]: p["value"] for p in group.inputs.get("parameters", [])}
        if parameters.get("rds.force_ssl") != "1":
            yield f"{group.name}: rds.force_ssl must be 1"


def buckets_are_closed(declaration: Declaration) -> Iterator[str]:
    blocks = declaration.all("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    closed = {
        block.inputs["bucket"]
        for block in blocks
        if all(
            block.inputs.get(key) is True
            for key in (
                "blockPublicAcls",
                "blockPublicPolicy",
                "ignorePublicAcls",
                "restrictPublicBuckets",
            )
        )
    }
    for bucket in declaration.all("aws:s3/bucket:Bucket"):
        if bucket.name not in closed:
            yield f"{bucket.name}: needs a BucketPublicAccessBlock that blocks everything"


def firewalls_are_closed_to_the_internet(declaration: Declaration) -> Iterator[str]:
    for rule in declaration.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        if ANYWHERE & {rule.inputs.get("cidrIpv4"), rule.inputs.get("cidrIpv6")}:
            yield f"{rule.name}: must not admit the whole Internet"
    for group in declaration.all("aws:ec2/securityGroup:SecurityGroup"):
        if group.inputs.get("ingress"):
            yield f"{group.name}: rules belong into SecurityGroupIngressRule, where they are checked"


def nobody_may_do_everything(declaration: Declaration) -> Iterator[str]:
    for policy in declaration.all("aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            actions = statement.get("Action", [])
            broad = [
                a for a in ([actions] if isinstance(actions, str) else actions) if a.endswith("*")
            ]
            if broad and statement["Resource"] in ("*", ["*"]):
                yield f"{policy.name}: {broad} on every resource"


def clusters_encrypt_secrets_and_keep_logs(declaration: Declaration) -> Iterator[str]:
    for cluster in declaration.all("eks:index:Cluster"):
        if not cluster.inputs.get("encryptionConfigKeyArn"):
            yield f"{cluster.name}: Kubernetes Secrets need a KMS key"
        if "audit" not in cluster.inputs.get("enabledClusterLogTypes", []):
            yield f"{cluster.name}: the audit log must be on"


def kubernetes_secrets_are_secret(declaration: Declaration) -> Iterator[str]:
    for secret in declaration.all("kubernetes:core/v1:Secret"):
        texts = {**secret.inputs.get("data", {}), **secret.inputs.get("stringData", {})}
        for key, value in texts.items():
            if not isinstance(value, Secret):
                yield f"{secret.name}: {key} would stand in plain text in the state"


def releases_hold_no_secret(declaration: Declaration) -> Iterator[str]:
    for release in declaration.all(RELEASE):
        for path in _secret_paths(release.inputs.get("values", {}), "values"):
            yield f"{release.name}: {path} is secret, and Helm keeps values in plain text"


def kubernetes_has_one_way_in(declaration: Declaration) -> Iterator[str]:
    for resource in declaration.resources.values():
        if resource.type.startswith("kubernetes:") and not resource.provider:
            yield f"{resource.name}: would go wherever kubectl points at; pass the provider of the cluster"


def pods_are_restricted(declaration: Declaration) -> Iterator[str]:
    for workload in declaration.all("kubernetes:apps/v1:StatefulSet"):
        pod = workload.inputs["spec"]["template"]["spec"]
        if at(pod, "securityContext.runAsNonRoot") is not True:
            yield f"{workload.name}: runs as root"
        for container in pod["containers"]:
            if at(container, "securityContext.allowPrivilegeEscalation") is not False:
                yield f"{workload.name}: {container['name']} may gain privileges"
            if not at(container, "resources.limits.memory"):
                yield f"{workload.name}: {container['name']} has no memory limit"
    for namespace in declaration.all("kubernetes:core/v1:Namespace"):
        labels = at(namespace.inputs, "metadata.labels") or {}
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{namespace.name}: Pod Security must be restricted"


def protection_is_whole(declaration: Declaration) -> Iterator[str]:
    for resource in _with_deletion_protection(declaration):
        if resource.protect is not resource.inputs.get("deletionProtection", False):
            yield f"{resource.name}: protect and deletionProtection must agree"


RULES = (
    databases_are_private_and_encrypted,
    databases_speak_tls_only,
    buckets_are_closed,
    firewalls_are_closed_to_the_internet,
    nobody_may_do_everything,
    clusters_encrypt_secrets_and_keep_logs,
    kubernetes_secrets_are_secret,
    releases_hold_no_secret,
    kubernetes_has_one_way_in,
    pods_are_restricted,
    protection_is_whole,
)


def broken(declaration: Declaration) -> list[str]:
    """Every broken rule, as `rule name: resource: reason`."""
    return [
        f"{rule.__name__.replace('_', ' ')}: {reason}"
        for rule in RULES
        for reason in rule(declaration)
    ]


def _with_deletion_protection(declaration: Declaration) -> list[Declared]:
    return declaration.all("aws:rds/instance:Instance") + declaration.all("eks:index:Cluster")


def _secret_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Secret):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _secret_paths(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secret_paths(inner, f"{path}[{index}]")
