"""Controller that protects running tasks: scales idle workers in first, recovers orphaned tasks.

docs/adr/0013-a-task-keeper.md
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes import keda
from components.kubernetes.namespace import PART_OF, PODS_OF_AIRFLOW
from components.support import chart_names
from components.support.hardened_pod import (
    IN_POD,
    container_security,
    plain_env,
    pod_security,
    resources,
    script_checksum,
)
from components.support.named_secret import NamedSecret, annotations, secret_env
from components.support.pull_secret import references

NAME = "task-keeper"
SCRIPTS = sorted((IN_POD / "task_keeper").glob("*.py"))
USER_ID = 50000  # `airflow` in the Airflow image
WORK_DIR = "/keeper"
HEARTBEAT_FILE = "/tmp/heartbeat"  # noqa: S108 - HEARTBEAT_FILE of the script
MEMORY_MB = 512  # measured: 290 MB, most of it Airflow's models


@dataclass(frozen=True, kw_only=True)
class TaskKeeperArgs:
    namespace: pulumi.Input[str]
    image: str
    queues: Sequence[str]
    # Connections to the database and to Redis.
    metadata: NamedSecret
    broker: NamedSecret
    # ConfigMap with the CA bundle of a database with TLS.
    database_ca: str | None
    pull_secret: pulumi.Input[str] | None = None


class TaskKeeper(pulumi.ComponentResource):
    """One pod with access to the database, Redis and the worker pods.

    If it is down, Airflow falls back to its default behavior.
    """

    def __init__(
        self, name: str, args: TaskKeeperArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:TaskKeeper", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        metadata = meta.ObjectMetaArgs(name=NAME, namespace=args.namespace, labels=PART_OF)

        code = {path.name: path.read_text() for path in SCRIPTS}
        config = core.ConfigMap(f"{name}-config", metadata=metadata, data=code, opts=child)
        account = core.ServiceAccount(f"{name}-account", metadata=metadata, opts=child)
        role = k8s.rbac.v1.Role(
            f"{name}-role",
            metadata=metadata,
            # RBAC cannot restrict a patch to annotations.
            rules=[
                k8s.rbac.v1.PolicyRuleArgs(
                    api_groups=[""], resources=["pods"], verbs=["list", "patch"]
                )
            ],
            opts=child,
        )
        k8s.rbac.v1.RoleBinding(
            f"{name}-role-binding",
            metadata=metadata,
            role_ref=k8s.rbac.v1.RoleRefArgs(
                api_group="rbac.authorization.k8s.io", kind="Role", name=role.metadata.name
            ),
            subjects=[
                k8s.rbac.v1.SubjectArgs(
                    kind="ServiceAccount", name=account.metadata.name, namespace=args.namespace
                )
            ],
            opts=child,
        )
        files = {f"{WORK_DIR}/task_keeper": config.metadata.name}
        if args.database_ca is not None:
            files[keda.CA_PATH] = pulumi.Output.from_input(args.database_ca)
        labels = {**PODS_OF_AIRFLOW, "component": NAME}
        k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                selector=meta.LabelSelectorArgs(match_labels=labels),
                # A short gap is harmless; so are two replicas at once.
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                template=core.PodTemplateSpecArgs(
                    metadata=meta.ObjectMetaArgs(
                        labels={**labels, **PART_OF},
                        annotations={
                            **annotations(args.metadata, args.broker),
                            "checksum/script": script_checksum(*code.values()),
                        },
                    ),
                    spec=core.PodSpecArgs(
                        service_account_name=account.metadata.name,
                        enable_service_links=False,
                        image_pull_secrets=references(args.pull_secret),
                        security_context=pod_security(user_id=USER_ID, group_id=0),
                        containers=[_container(args, list(files))],
                        volumes=[
                            core.VolumeArgs(
                                name=f"files-{index}",
                                config_map=core.ConfigMapVolumeSourceArgs(name=config_map),
                            )
                            for index, config_map in enumerate(files.values())
                        ],
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
        "STATSD_HOST": chart_names.STATSD,
        "STATSD_PORT": "9125",
    }
    return core.ContainerArgs(
        name=NAME,
        image=args.image,
        image_pull_policy="IfNotPresent",
        command=["python", "-m", "task_keeper.reconcile"],
        working_dir=WORK_DIR,
        env=[
            *plain_env(settings),
            secret_env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", args.metadata, "connection"),
            secret_env("AIRFLOW__CELERY__BROKER_URL", args.broker, "connection"),
        ],
        resources=resources(MEMORY_MB),
        # A reconcile takes seconds, even if the database is down.
        liveness_probe=core.ProbeArgs(
            exec_=core.ExecActionArgs(
                command=["sh", "-c", f"find {HEARTBEAT_FILE} -mmin -3 | grep -q ."]
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
