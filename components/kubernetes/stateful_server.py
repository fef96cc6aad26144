"""One pod with its own volume: the base of Redis, PostgreSQL, the Git server and the relay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.namespace import PART_OF, selector
from components.support.hardened_pod import container_security, pod_security, resources
from components.support.network_peers import Peer
from components.support.pull_secret import references
from components.support.volume_claim import volume_claim

FileSource = core.ConfigMapVolumeSourceArgs | core.SecretVolumeSourceArgs


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """Another container of the pod, with the same user and the same data volume."""

    name: str
    image: str
    command: Sequence[str] | None = None
    args: Sequence[str] | None = None
    env: Sequence[core.EnvVarArgs] = ()
    port: int
    memory_mb: int
    # By mount path.
    files: Mapping[str, FileSource]
    # Peers that may connect to `port`.
    clients: Sequence[Peer]
    # Mount the data volume read-only.
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class StatefulServerArgs:
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    command: Sequence[str] | None = None
    args: Sequence[str] | None = None
    env: Sequence[core.EnvVarArgs] = ()
    port: int
    # User and group of the image.
    user_id: int
    group_id: int
    data_path: str
    storage_gb: int
    # Of new volumes; None: the default class of the cluster.
    storage_class: str | None = None
    # More volumes of this size, by mount path: the last part of each claim's name.
    more_data: Mapping[str, str] = field(default_factory=dict[str, str])
    # Mount paths of empty volumes, which do not outlive the pod.
    scratch: Sequence[str] = ()
    # Request and limit.
    memory_mb: int
    # Command of the readiness probe.
    ready: Sequence[str]
    after_start: Sequence[str] | None = None
    before_stop: Sequence[str] | None = None
    # By mount path.
    files: Mapping[str, FileSource] = field(default_factory=dict[str, FileSource])
    annotations: Mapping[str, pulumi.Input[str]] = field(
        default_factory=dict[str, pulumi.Input[str]]
    )
    # Peers that may connect to `port`.
    clients: Sequence[Peer]
    sidecars: Sequence[Sidecar] = ()
    # The deployment fails if the pod is not ready by then.
    ready_minutes: int = 10
    pull_secret: pulumi.Input[str] | None = None
    protect: bool = False


class StatefulServer(pulumi.ComponentResource):
    """Server at `<name>` in its namespace, open to its clients only. Data survives the pod."""

    def __init__(
        self, name: str, args: StatefulServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:StatefulServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        own = selector(name)
        labels = {**own, **PART_OF}
        metadata = meta.ObjectMetaArgs(name=name, namespace=args.namespace, labels=labels)

        # Separate claims instead of volumeClaimTemplates: Pulumi can protect them, and `destroy`
        # deletes them.
        def claim(end: str) -> core.PersistentVolumeClaimVolumeSourceArgs:
            return volume_claim(
                f"{name}{end}-data",
                name=f"{name}{end}",
                namespace=args.namespace,
                labels=labels,
                storage_gb=args.storage_gb,
                storage_class=args.storage_class,
                protect=args.protect,
                parent=self,
            )

        data = [
            core.VolumeArgs(name=f"data{end}", persistent_volume_claim=claim(end))
            for end in ("", *(f"-{more}" for more in args.more_data.values()))
        ]
        core.Service(
            f"{name}-service",
            metadata=metadata,
            spec=core.ServiceSpecArgs(selector=own, ports=[core.ServicePortArgs(port=args.port)]),
            opts=child,
        )
        k8s.networking.v1.NetworkPolicy(
            f"{name}-clients",
            metadata=metadata,
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=meta.LabelSelectorArgs(match_labels=own),
                policy_types=["Ingress"],
                ingress=[
                    k8s.networking.v1.NetworkPolicyIngressRuleArgs(
                        from_=part.clients,
                        ports=[
                            k8s.networking.v1.NetworkPolicyPortArgs(port=part.port, protocol="TCP")
                        ],
                    )
                    for part in (args, *args.sidecars)
                    if part.clients  # a rule without peers would admit everyone
                ],
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
            volume_mounts=[*_data_mounts(args), *_mounts("files", args)],
        )
        sidecars = [
            _container(
                side.name,
                side,
                volume_mounts=[
                    *_data_mounts(args, read_only=side.read_only),
                    *_mounts(side.name, side),
                ],
            )
            for side in args.sidecars
        ]
        scratch = [
            core.VolumeArgs(name=f"scratch-{index}", empty_dir=core.EmptyDirVolumeSourceArgs())
            for index in range(len(args.scratch))
        ]
        files = _volumes("files", args)
        for side in args.sidecars:
            files += _volumes(side.name, side)
        minutes = f"{args.ready_minutes}m"
        timeouts = pulumi.CustomTimeouts(create=minutes, update=minutes)
        k8s.apps.v1.StatefulSet(
            f"{name}-server",
            metadata=metadata,
            spec=k8s.apps.v1.StatefulSetSpecArgs(
                replicas=1,
                service_name=name,
                # With the default, a pod that never gets ready blocks its own replacement:
                # https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
                pod_management_policy="Parallel",
                selector=meta.LabelSelectorArgs(match_labels=own),
                template=core.PodTemplateSpecArgs(
                    metadata=meta.ObjectMetaArgs(
                        labels=labels,
                        # Airflow stops while this pod moves: exclude it from consolidation.
                        annotations={"karpenter.sh/do-not-disrupt": "true", **args.annotations},
                    ),
                    spec=core.PodSpecArgs(
                        automount_service_account_token=False,
                        enable_service_links=False,
                        image_pull_secrets=references(args.pull_secret),
                        security_context=pod_security(
                            user_id=args.user_id, group_id=args.group_id, owns_volume=True
                        ),
                        containers=[server, *sidecars],
                        volumes=[*data, *scratch, *files],
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, custom_timeouts=timeouts),
        )
        self.register_outputs({})


def _lifecycle(args: StatefulServerArgs) -> core.LifecycleArgs | None:
    def hook(command: Sequence[str] | None) -> core.LifecycleHandlerArgs | None:
        if command is None:
            return None
        return core.LifecycleHandlerArgs(exec_=core.ExecActionArgs(command=command))

    if args.after_start is None and args.before_stop is None:
        return None
    return core.LifecycleArgs(post_start=hook(args.after_start), pre_stop=hook(args.before_stop))


def _container(name: str, part: StatefulServerArgs | Sidecar, **more: Any) -> core.ContainerArgs:
    return core.ContainerArgs(
        name=name,
        image=part.image,
        image_pull_policy="IfNotPresent",
        command=part.command,
        args=part.args,
        env=part.env,
        ports=[core.ContainerPortArgs(container_port=part.port)],
        resources=resources(part.memory_mb),
        security_context=container_security(),
        **more,
    )


def _data_mounts(
    args: StatefulServerArgs, *, read_only: bool = False
) -> list[core.VolumeMountArgs]:
    volumes = {args.data_path: "data"}
    volumes |= {path: f"data-{more}" for path, more in args.more_data.items()}
    volumes |= {path: f"scratch-{index}" for index, path in enumerate(args.scratch)}
    return [
        core.VolumeMountArgs(name=name, mount_path=path, read_only=read_only or None)
        for path, name in volumes.items()
    ]


def _mounts(prefix: str, part: StatefulServerArgs | Sidecar) -> list[core.VolumeMountArgs]:
    return [
        core.VolumeMountArgs(name=f"{prefix}-{index}", mount_path=path, read_only=True)
        for index, path in enumerate(part.files)
    ]


def _volumes(prefix: str, part: StatefulServerArgs | Sidecar) -> list[core.VolumeArgs]:
    return [
        core.VolumeArgs(name=f"{prefix}-{index}", secret=source)
        if isinstance(source, core.SecretVolumeSourceArgs)
        else core.VolumeArgs(name=f"{prefix}-{index}", config_map=source)
        for index, source in enumerate(part.files.values())
    ]
