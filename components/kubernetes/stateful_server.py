"""One pod with a volume of its own: what Redis, PostgreSQL, Git server and relay have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core import v1 as core

from components.kubernetes.namespace import PART_OF
from components.support.hardened_pod import container_security, pod_security, resources


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """A second container on the same volume, with `files` of its own; else as the server itself.

    `read_only` is about the volume. Without `clients` nobody connects.
    """

    name: str
    image: str
    command: Sequence[str] | None = None
    args: Sequence[str] | None = None
    env: Sequence[Mapping[str, Any]] = ()
    port: int
    memory_mb: int
    files: Mapping[str, Mapping[str, Any]]
    clients: Sequence[Mapping[str, Any]]
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class StatefulServerArgs:
    """`clients` are the NetworkPolicy peers that may connect; `files` are volume sources by mount path.

    `user_id` and `group_id` are those of the image; `memory_mb` is request and limit, in MiB. A
    deployment fails when the pod is not ready after `ready_minutes`.
    """

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
    before_stop: Sequence[str] | None = None
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    annotations: Mapping[str, pulumi.Input[str]] = field(
        default_factory=dict[str, pulumi.Input[str]]
    )
    clients: Sequence[Mapping[str, Any]]
    sidecars: Sequence[Sidecar] = ()
    ready_minutes: int = 10
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
        metadata = k8s.meta.v1.ObjectMetaArgs(name=name, namespace=args.namespace, labels=labels)

        # A claim of its own instead of a template in the StatefulSet: Pulumi can protect it,
        # and `destroy` deletes it.
        claim = core.PersistentVolumeClaim(
            f"{name}-data",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=args.namespace,
                labels=labels,
                # It is bound when its pod is there, and its pod waits for it.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec={
                "access_modes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": f"{args.storage_gb}Gi"}},
            },
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        core.Service(
            f"{name}-service",
            metadata=metadata,
            spec={"selector": selector, "ports": [{"port": args.port}]},
            opts=child,
        )
        clients: Any = [
            {"from_": part.clients, "ports": [{"port": part.port, "protocol": "TCP"}]}
            for part in (args, *args.sidecars)
            if part.clients  # a rule that names nobody admits everybody
        ]
        k8s.networking.v1.NetworkPolicy(
            f"{name}-clients",
            metadata=metadata,
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
                policy_types=["Ingress"],
                ingress=clients,
            ),
            opts=child,
        )
        server = _container(
            name,
            args,
            lifecycle=_lifecycle(args),
            readiness_probe=core.ProbeArgs(
                exec_=core.ExecActionArgs(command=args.ready), period_seconds=3, timeout_seconds=3
            ),
            volume_mounts=_mounts("files", args, args.data_path),
        )
        sidecars = [
            _container(side.name, side, volume_mounts=_mounts(side.name, side, args.data_path))
            for side in args.sidecars
        ]
        files: list[Any] = _volumes("files", args)
        for side in args.sidecars:
            files += _volumes(side.name, side)
        minutes = f"{args.ready_minutes}m"
        ready = pulumi.CustomTimeouts(create=minutes, update=minutes)
        k8s.apps.v1.StatefulSet(
            f"{name}-server",
            metadata=metadata,
            spec=k8s.apps.v1.StatefulSetSpecArgs(
                replicas=1,
                service_name=name,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
                template=core.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(
                        labels=labels,
                        # Karpenter must not move it to save a node: Airflow would stop meanwhile.
                        annotations={"karpenter.sh/do-not-disrupt": "true", **args.annotations},
                    ),
                    spec=core.PodSpecArgs(
                        automount_service_account_token=False,
                        enable_service_links=False,
                        security_context=pod_security(
                            user_id=args.user_id, group_id=args.group_id, owns_volume=True
                        ),
                        containers=[server, *sidecars],
                        volumes=[
                            core.VolumeArgs(
                                name="data",
                                persistent_volume_claim=core.PersistentVolumeClaimVolumeSourceArgs(
                                    claim_name=claim.metadata.name
                                ),
                            ),
                            *files,
                        ],
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, custom_timeouts=ready),
        )
        self.register_outputs({})


def _lifecycle(args: StatefulServerArgs) -> core.LifecycleArgs | None:
    commands = {"post_start": args.after_start, "pre_stop": args.before_stop}
    hooks: dict[str, Any] = {
        hook: core.LifecycleHandlerArgs(exec_=core.ExecActionArgs(command=command))
        for hook, command in commands.items()
        if command
    }
    return core.LifecycleArgs(**hooks) if hooks else None


def _container(name: str, part: StatefulServerArgs | Sidecar, **more: Any) -> core.ContainerArgs:
    env: Any = part.env
    return core.ContainerArgs(
        name=name,
        image=part.image,
        image_pull_policy="IfNotPresent",
        command=part.command,
        args=part.args,
        env=env,
        ports=[core.ContainerPortArgs(container_port=part.port)],
        resources=resources(part.memory_mb),
        security_context=container_security(),
        **more,
    )


def _mounts(
    prefix: str, part: StatefulServerArgs | Sidecar, data_path: str
) -> list[core.VolumeMountArgs]:
    return [
        core.VolumeMountArgs(
            name="data",
            mount_path=data_path,
            read_only=True if isinstance(part, Sidecar) and part.read_only else None,
        ),
        *(
            core.VolumeMountArgs(name=f"{prefix}-{index}", mount_path=path, read_only=True)
            for index, path in enumerate(part.files)
        ),
    ]


def _volumes(prefix: str, part: StatefulServerArgs | Sidecar) -> list[dict[str, Any]]:
    return [
        {"name": f"{prefix}-{index}", **source} for index, source in enumerate(part.files.values())
    ]
