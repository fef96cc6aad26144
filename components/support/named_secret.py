"""Kubernetes Secrets that charts and pods refer to by name, with a checksum that tells when to restart."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s


@dataclass(frozen=True, kw_only=True)
class NamedSecret:
    """`checksum` changes when, and only when, the content does."""

    name: str
    checksum: pulumi.Output[str]


def named_secret(
    logical_name: str,
    *,
    name: str,
    namespace: pulumi.Input[str],
    data: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> NamedSecret:
    """Create the Secret `name`; pods that use it carry its checksum as an annotation."""
    k8s.core.v1.Secret(
        logical_name,
        metadata={"name": name, "namespace": namespace},
        string_data=data,
        opts=opts,
    )
    content = pulumi.Output.all(**data)
    checksum = pulumi.Output.unsecret(content.apply(lambda known: _digest(name, known)))
    return NamedSecret(name=name, checksum=checksum)


def annotations(*secrets: NamedSecret) -> dict[str, pulumi.Output[str]]:
    """Pod annotations that restart a pod when one of these Secrets changes."""
    return {f"checksum/{secret.name}": secret.checksum for secret in secrets}


def _digest(name: str, content: Mapping[str, str]) -> str:
    # The annotation is readable by more people than the Secret, and a configured password may be
    # short: scrypt makes guessing it from here expensive.
    text = json.dumps(content, sort_keys=True)
    return hashlib.scrypt(text.encode(), salt=name.encode(), n=2**12, r=8, p=1, dklen=16).hex()
