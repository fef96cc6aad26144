"""Kubernetes Secrets with fixed names, and the checksums that restart the pods that use them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta


@dataclass(frozen=True, kw_only=True)
class NamedSecret:
    name: str
    # Changes when, and only when, the content changes.
    checksum: pulumi.Output[str]


def named_secret(
    logical_name: str,
    *,
    name: str,
    namespace: pulumi.Input[str],
    data: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> NamedSecret:
    """Create the Secret `name`. Pods that use it carry its checksum as an annotation."""
    core.Secret(
        logical_name,
        metadata=meta.ObjectMetaArgs(name=name, namespace=namespace),
        string_data=data,
        opts=opts,
    )
    content = pulumi.Output.all(**data)
    checksum = pulumi.Output.unsecret(content.apply(lambda known: _digest(name, known)))
    return NamedSecret(name=name, checksum=checksum)


def annotations(*secrets: NamedSecret) -> dict[str, pulumi.Output[str]]:
    """Pod annotations that restart a pod when one of these Secrets changes."""
    return {f"checksum/{secret.name}": secret.checksum for secret in secrets}


def secret_env(variable: str, secret: NamedSecret, key: str) -> core.EnvVarArgs:
    """Environment variable with the value of `key` in `secret`."""
    reference = core.SecretKeySelectorArgs(name=secret.name, key=key)
    return core.EnvVarArgs(
        name=variable, value_from=core.EnvVarSourceArgs(secret_key_ref=reference)
    )


def _digest(name: str, content: Mapping[str, str]) -> str:
    # More people can read the annotation than the Secret, and a configured password may be short:
    # scrypt makes it expensive to guess the password from the checksum.
    text = json.dumps(content, sort_keys=True)
    return hashlib.scrypt(text.encode(), salt=name.encode(), n=2**12, r=8, p=1, dklen=16).hex()
