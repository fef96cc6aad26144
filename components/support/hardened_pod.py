"""What every pod of this program has in common: Pod Security `restricted`, mounted scripts."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi_kubernetes.core import v1 as core

IN_POD = Path(__file__).parents[1] / "in_pod"  # programs that run in containers


def plain_env(variables: Mapping[str, pulumi.Input[str]]) -> list[core.EnvVarArgs]:
    """Environment variables of a container without secrets."""
    return [core.EnvVarArgs(name=name, value=value) for name, value in variables.items()]


def pod_security(
    *, user_id: int, group_id: int, owns_volume: bool = False
) -> core.PodSecurityContextArgs:
    """Security context of a pod under Pod Security `restricted`.

    With `owns_volume`, Kubernetes makes the group the owner of the pod's volumes.
    """
    return core.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=user_id,
        run_as_group=group_id,
        fs_group=group_id if owns_volume else None,
        fs_group_change_policy="OnRootMismatch" if owns_volume else None,
        seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security(*, read_only: bool = False) -> core.SecurityContextArgs:
    """Security context of a container under Pod Security `restricted`.

    With `read_only`, it writes to its volumes only.
    """
    return core.SecurityContextArgs(
        allow_privilege_escalation=False,
        capabilities=core.CapabilitiesArgs(drop=["ALL"]),
        read_only_root_filesystem=read_only or None,
    )


def resources(memory_mb: int) -> core.ResourceRequirementsArgs:
    """Resources of a small server: 50 millicores, and `memory_mb` MiB as request and limit."""
    memory = f"{memory_mb}Mi"
    return core.ResourceRequirementsArgs(
        requests={"cpu": "50m", "memory": memory}, limits={"memory": memory}
    )


def script_checksum(*scripts: str) -> str:
    """Value of a pod annotation that rolls the pod when one of its scripts changes.

    A running process does not reload its script.
    """
    return hashlib.sha256("".join(scripts).encode()).hexdigest()


def input_digest(*inputs: Any) -> pulumi.Output[str]:
    """Part of the name of a Job, which is immutable and runs once: it changes with its inputs."""
    text = pulumi.Output.json_dumps(list(inputs), sort_keys=True, default=vars)
    return text.apply(lambda known: hashlib.sha256(known.encode()).hexdigest()[:10])
