"""One pod with a volume of its own: what Redis, PostgreSQL and the Git server have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.namespace import PART_OF


@dataclass(frozen=True, kw_only=True)
class StatefulServerArgs:
    """`clients` are the NetworkPolicy peers that may connect; `volumes` maps mount paths to sources."""

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    command: Sequence[str] | None = None
    args: Sequence[str] | None = None
    env: Sequence[Mapping[str, Any]] = ()
    port: int
    user_id: int
    group_id: int
    data_path: str
    storage_gb: int
    memory_mb: int
    ready: Sequence[str]
    after_start: Sequence[str] | None = None
    volumes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    clients: Sequence[Mapping[str, Any]]
    protect: bool = False


class StatefulServer(pulumi.ComponentResource):
    """Reachable as `<name>` in its namespace, by its clients only. Its data outlives its pod."""

    def __init__(
        self, name: str, args: StatefulServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:StatefulServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        selector = {"app.kubernetes.io/name": name}
        labels = {**selector, **PART_OF}
        metadata = {"name": name, "namespace": args.namespace, "labels": labels}

        # A claim of its own instead of a template in the StatefulSet: Pulumi can protect it,
        # and `destroy` deletes it.
        claim = k8s.core.v1.PersistentVolumeClaim(
            f"{name}-data",
            metadata={**metadata, "annotations": {"pulumi.com/skipAwait": "true"}},
            spec={
                "access_modes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": f"{args.storage_gb}Gi"}},
            },
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        k8s.core.v1.Service(
            f"{name}-service",
            metadata=metadata,
            spec={"selector": selector, "ports": [{"port": args.port}]},
            opts=child,
        )
        k8s.networking.v1.NetworkPolicy(
            f"{name}-clients",
            metadata=metadata,
            spec={
                "pod_selector": {"match_labels": selector},
                "policy_types": ["Ingress"],
                "ingress": [
                    {"from_": list(args.clients), "ports": [{"port": args.port, "protocol": "TCP"}]}
                ],
            },
            opts=child,
        )
        mounts = {f"files-{index}": path for index, path in enumerate(args.volumes)}
        after_start = args.after_start and {"post_start": {"exec_": {"command": args.after_start}}}
        container = {
            "name": name,
            "image": args.image,
            "image_pull_policy": "IfNotPresent",
            "command": args.command,
            "args": args.args,
            "env": list(args.env),
            "ports": [{"container_port": args.port}],
            "lifecycle": after_start,
            "readiness_probe": {
                "exec_": {"command": args.ready},
                "period_seconds": 3,
                "timeout_seconds": 3,
            },
            "resources": {
                "requests": {"cpu": "50m", "memory": f"{args.memory_mb}Mi"},
                "limits": {"memory": f"{args.memory_mb}Mi"},
            },
            "security_context": {
                "allow_privilege_escalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
            "volume_mounts": [
                {"name": "data", "mount_path": args.data_path},
                *({"name": key, "mount_path": path, "read_only": True} for key, path in mounts.items()),
            ],
        }
        k8s.apps.v1.StatefulSet(
            f"{name}-server",
            metadata=metadata,
            spec={
                "replicas": 1,
                "service_name": name,
                "selector": {"match_labels": selector},
                "template": {
                    "metadata": {
                        "labels": labels,
                        # Karpenter must not move it to save a node: Airflow would stop meanwhile.
                        "annotations": {"karpenter.sh/do-not-disrupt": "true", **args.annotations},
                    },
                    "spec": {
                        "automount_service_account_token": False,
                        "enable_service_links": False,
                        "security_context": {
                            "run_as_non_root": True,
                            "run_as_user": args.user_id,
                            "run_as_group": args.group_id,
                            "fs_group": args.group_id,
                            "fs_group_change_policy": "OnRootMismatch",
                            "seccomp_profile": {"type": "RuntimeDefault"},
                        },
                        "containers": [container],
                        "volumes": [
                            {
                                "name": "data",
                                "persistent_volume_claim": {"claim_name": claim.metadata.name},
                            },
                            *({"name": key, **args.volumes[path]} for key, path in mounts.items()),
                        ],
                    },
                },
            },
            opts=child,
        )
        self.register_outputs({})
