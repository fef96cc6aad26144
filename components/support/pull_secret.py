"""The login to a private registry, for the pods of a namespace."""

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

TYPE = "kubernetes.io/dockerconfigjson"


def pull_secret(
    logical_name: str,
    *,
    name: str | None,
    namespace: pulumi.Input[str],
    credentials: pulumi.Output[str] | None,
    opts: pulumi.ResourceOptions,
) -> pulumi.Input[str] | None:
    """Name of the Secret that pods refer to; with `credentials`, this creates it.

    https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
    """
    if name is None or credentials is None:
        return name
    secret = core.Secret(
        logical_name,
        metadata=meta.ObjectMetaArgs(name=name, namespace=namespace),
        type=TYPE,
        string_data={".dockerconfigjson": credentials},
        opts=opts,
    )
    # Pods that use the output are created after the Secret.
    return secret.metadata.name


def references(name: pulumi.Input[str] | None) -> list[core.LocalObjectReferenceArgs] | None:
    """`imagePullSecrets` of a pod."""
    return [core.LocalObjectReferenceArgs(name=name)] if name is not None else None
