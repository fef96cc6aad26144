"""Airflow: the official Helm chart with values from values/ and from the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.airflow import layers, sso
from components.airflow.keda_role import KedaRole, KedaRoleArgs
from components.airflow.secrets import AirflowSecrets, AirflowSecretsArgs
from components.airflow.sso_check import SsoCheck, SsoCheckArgs
from components.airflow.task_keeper import TaskKeeper, TaskKeeperArgs
from components.airflow.values import chart_values
from components.airflow.xcom_check import XComCheck, XComCheckArgs
from components.support import cluster_rules
from components.support.charts import chart_reference
from components.support.database_login import DatabaseLogin
from policies.chart_values import merge, read
from settings import Secrets, sizing
from settings.airflow import AirflowSettings
from settings.charts import ChartSettings
from settings.dags import DagSettings
from settings.kubernetes import KubernetesSettings
from settings.logs import LogSettings
from settings.rotation import RotationSettings
from settings.versions import AIRFLOW_CHART
from settings.workers import WorkerSettings, need_keda

VALUES = Path(__file__).parents[2] / "values"
# Helm waits this long for every pod: a new node, the image, the first migration.
TIMEOUT_SECONDS = 1200
DATABASE_CA = "rds-ca"  # ConfigMap that values/database-tls.yaml mounts


@dataclass(frozen=True, kw_only=True)
class AirflowArgs:
    namespace: pulumi.Input[str]
    # Files in values/; later files override earlier ones.
    value_files: Sequence[str]
    database: DatabaseLogin
    redis_host: pulumi.Input[str]
    redis_password: pulumi.Output[str]
    # Bucket of this program. Without one, `logs` may name a bucket of the user.
    log_bucket: pulumi.Output[str] | None = None
    log_region: pulumi.Output[str] | None = None
    # Source of requests through the load balancer.
    load_balancer_cidrs: Sequence[str] = ()
    airflow: AirflowSettings
    queues: Mapping[str, WorkerSettings]
    # Where tasks of queues with `pod_operator` start pods.
    task_namespace: str
    # Schedule the workers of each queue on the queue's nodes.
    own_nodes: bool = False
    dags: DagSettings
    logs: LogSettings
    charts: ChartSettings
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    # Environment variables of the proxy.
    proxy: Mapping[str, str] = field(default_factory=dict[str, str])
    # Registry with copies of the images of the chart.
    registry: str | None = None
    rotation: RotationSettings
    secrets: Secrets
    pull_secret: pulumi.Input[str] | None = None


class Airflow(pulumi.ComponentResource):
    """Installs the `airflow` Helm release and waits until all its pods are ready."""

    url: str
    # Known once the release is deployed.
    released: pulumi.Output[Any]
    fernet_keys: pulumi.Output[str]

    def __init__(
        self, name: str, args: AirflowArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:Airflow", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        secrets = AirflowSecrets(
            f"{name}-secrets",
            AirflowSecretsArgs(
                namespace=args.namespace,
                database=args.database,
                redis_host=args.redis_host,
                redis_password=args.redis_password,
                for_keda=need_keda(args.queues.values()),
                admin_user=args.airflow.admin_user,
                for_sso=args.airflow.sso is not None,
                rotation=args.rotation,
                configured=args.secrets,
            ),
            opts=child,
        )
        prerequisites: list[pulumi.Resource] = [secrets]
        database_ca = None
        if args.database.ca is not None:
            database_ca = DATABASE_CA
            prerequisites.append(
                k8s.core.v1.ConfigMap(
                    f"{name}-database-ca",
                    metadata=k8s.meta.v1.ObjectMetaArgs(name=database_ca, namespace=args.namespace),
                    data={"ca.pem": args.database.ca},
                    opts=child,
                )
            )
        if args.airflow.sso is not None and secrets.sso is not None:
            check_args = SsoCheckArgs(
                namespace=args.namespace,
                image=args.airflow.image_reference,
                configuration=sso.configuration(args.airflow, args.airflow.sso),
                client_secret=secrets.sso,
                ca=sso.ca(args.airflow.sso),
                pull_secret=args.pull_secret,
                proxy=args.proxy,
            )
            # A failed check leaves the release as it is.
            check_opts = pulumi.ResourceOptions(parent=self, depends_on=[*prerequisites])
            prerequisites.append(SsoCheck(f"{name}-sso-check", check_args, opts=check_opts))
        if args.airflow.xcom_bucket:
            xcom_args = XComCheckArgs(
                namespace=args.namespace,
                image=args.airflow.image_reference,
                pull_secret=args.pull_secret,
            )
            prerequisites.append(XComCheck(f"{name}-xcom-check", xcom_args, opts=child))
        release = k8s.helm.v3.Release(
            f"{name}-release",
            **chart_reference(AIRFLOW_CHART, args.charts.source),
            name="airflow",
            namespace=args.namespace,
            value_yaml_files=[pulumi.FileAsset(str(VALUES / file)) for file in args.value_files],
            values=_values(args, secrets),
            timeout=TIMEOUT_SECONDS,
            # A rollback would restore old pods on a database that is already migrated.
            atomic=False,
            cleanup_on_fail=True,
            max_history=10,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=prerequisites, delete_before_replace=True
            ),
        )
        TaskKeeper(
            f"{name}-task-keeper",
            TaskKeeperArgs(
                namespace=args.namespace,
                image=args.airflow.image_reference,
                queues=list(args.queues),
                metadata=secrets.metadata,
                broker=secrets.broker,
                database_ca=database_ca,
                pull_secret=args.pull_secret,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=prerequisites),
        )
        if secrets.keda is not None:
            # Not after the release: KEDA must be able to log in before the release has workers.
            KedaRole(
                f"{name}-keda-role",
                KedaRoleArgs(
                    namespace=args.namespace,
                    image=args.airflow.image_reference,
                    metadata=secrets.metadata,
                    keda=secrets.keda,
                    connection_limit=sizing.keda_connection_limit(args.queues.values()),
                    database_ca=database_ca,
                    pull_secret=args.pull_secret,
                ),
                opts=pulumi.ResourceOptions(parent=self, depends_on=prerequisites),
            )
        self.url = args.airflow.url
        self.released = release.status
        self.fernet_keys = secrets.fernet_keys
        self.register_outputs({"url": self.url})


def _values(args: AirflowArgs, secrets: AirflowSecrets) -> dict[str, Any]:
    """All values of the release that are not in files."""
    files = {file: read(str(VALUES / file)) for file in args.value_files}
    wired = chart_values(
        airflow=args.airflow,
        task_namespace=args.task_namespace,
        queues=args.queues,
        own_nodes=args.own_nodes,
        dags=args.dags,
        secrets=secrets,
        load_balancer_cidrs=args.load_balancer_cidrs,
        log_bucket=args.log_bucket,
        log_region=args.log_region,
        logs=args.logs,
        registry=args.registry,
        pull_secret=args.pull_secret,
        proxy=args.proxy,
    )
    wired |= cluster_rules.pod_values(args.kubernetes)
    values = layers.on_files(files, wired, options=args.airflow.options)
    if args.kubernetes.cpu_limits:
        return cluster_rules.with_cpu_limits(reduce(merge, files.values()), values)
    return values
