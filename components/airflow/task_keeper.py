"""What Celery, KEDA and Kubernetes leave open: which worker goes first, and what becomes of its tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core import v1 as core

from components.kubernetes import keda
from components.kubernetes.namespace import PART_OF, PODS_OF_AIRFLOW
from components.support.hardened_pod import (
    IN_POD,
    container_security,
    pod_security,
    resources,
    script_checksum,
)
from components.support.named_secret import NamedSecret, annotations

NAME = "task-keeper"
SCRIPTS = sorted((IN_POD / "task_keeper").glob("*.py"))
USER_ID = 50000  # `airflow` in the Airflow image
WORK_DIR = "/keeper"
MEMORY_MB = 512  # measured: 290 MB, most of it Airflow's models


@dataclass(frozen=True, kw_only=True)
class TaskKeeperArgs:
    """`metadata` and `broker` hold the connections to the database and to Redis.

    `database_ca` names the ConfigMap with its certificates; None: it speaks no TLS.
    """

    namespace: pulumi.Input[str]
    image: str
    queues: Sequence[str]
    metadata: NamedSecret
    broker: NamedSecret
    database_ca: str | None


class TaskKeeper(pulumi.ComponentResource):
    """One pod that reads the database, Redis and the worker pods. Without it Airflow does as ever."""

    def __init__(
        self, name: str, args: TaskKeeperArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:TaskKeeper", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        metadata = k8s.meta.v1.ObjectMetaArgs(name=NAME, namespace=args.namespace, labels=PART_OF)

        code = {path.name: path.read_text() for path in SCRIPTS}
        config = core.ConfigMap(f"{name}-config", metadata=metadata, data=code, opts=child)
        account = core.ServiceAccount(f"{name}-account", metadata=metadata, opts=child)
        # RBAC cannot say "annotations only".
        role = k8s.rbac.v1.Role(
            f"{name}-role",
            metadata=metadata,
            rules=[{"api_groups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}],
            opts=child,
        )
        k8s.rbac.v1.RoleBinding(
            f"{name}-role-binding",
            metadata=metadata,
            role_ref={
                "api_group": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": role.metadata.name,
            },
            subjects=[
                {
                    "kind": "ServiceAccount",
                    "name": account.metadata.name,
                    "namespace": args.namespace,
                }
            ],
            opts=child,
        )
        volumes: dict[str, Any] = {
            f"{WORK_DIR}/task_keeper": {"config_map": {"name": config.metadata.name}}
        }
        if args.database_ca is not None:
            volumes[keda.CA_PATH] = {"config_map": {"name": args.database_ca}}
        files: Any = [
            {"name": f"files-{index}", **source} for index, source in enumerate(volumes.values())
        ]
        labels = {**PODS_OF_AIRFLOW, "component": NAME}
        k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels),
                # Two of them would do no harm, and nobody waits for one.
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                template=core.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(
                        labels={**labels, **PART_OF},
                        annotations={
                            **annotations(args.metadata, args.broker),
                            "checksum/script": script_checksum(*code.values()),
                        },
                    ),
                    spec=core.PodSpecArgs(
                        service_account_name=account.metadata.name,
                        enable_service_links=False,
                        security_context=pod_security(user_id=USER_ID, group_id=0),
                        containers=[_container(args, list(volumes))],
                        volumes=files,
                    ),
                ),
            ),
            opts=child,
        )
        self.register_outputs({})


def _container(args: TaskKeeperArgs, paths: Sequence[str]) -> core.ContainerArgs:
    settings: dict[str, pulumi.Input[str]] = {
        "NAMESPACE": args.namespace,
        "QUEUES": ",".join(args.queues),
        # Where the chart's exporter of metrics listens.
        "STATSD_HOST": "airflow-statsd",
        "STATSD_PORT": "9125",
    }
    secret = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": args.metadata.name,
        "AIRFLOW__CELERY__BROKER_URL": args.broker.name,
    }
    env: Any = [
        *({"name": key, "value": value} for key, value in settings.items()),
        *(
            {"name": key, "value_from": {"secret_key_ref": {"name": name, "key": "connection"}}}
            for key, name in secret.items()
        ),
    ]
    return core.ContainerArgs(
        name=NAME,
        image=args.image,
        image_pull_policy="IfNotPresent",
        command=["python", "-m", "task_keeper.reconcile"],
        working_dir=WORK_DIR,
        env=env,
        resources=resources(MEMORY_MB),
        # A turn takes seconds, also when the database is away.
        liveness_probe=core.ProbeArgs(
            exec_=core.ExecActionArgs(
                command=["sh", "-c", "find /tmp/turned -mmin -3 | grep -q ."]
            ),
            initial_delay_seconds=180,
            period_seconds=60,
        ),
        security_context=container_security(),
        volume_mounts=[
            core.VolumeMountArgs(name=f"files-{index}", mount_path=path, read_only=True)
            for index, path in enumerate(paths)
        ],
    )
