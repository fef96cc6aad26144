"""Airflow itself: the official Helm chart, with values from values/ and from the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.airflow import values as airflow_values
from components.airflow.keda_role import KedaRole, KedaRoleArgs
from components.airflow.secrets import AirflowSecrets, AirflowSecretsArgs
from components.airflow.task_keeper import TaskKeeper, TaskKeeperArgs
from components.kubernetes.namespace import PODS_OF_AIRFLOW
from components.support.charts import chart_reference
from components.support.named_secret import annotations
from settings import Secrets, sizing
from settings.airflow import AirflowSettings
from settings.charts import ChartSettings
from settings.dags import DagSettings
from settings.rotation import RotationSettings
from settings.versions import AIRFLOW_CHART
from settings.workers import DEFAULT_QUEUE, WorkerSettings, need_keda

VALUES = Path(__file__).parents[2] / "values"
# Helm waits so long for every pod: a new node, the image, the first migration.
TIMEOUT_SECONDS = 1200
DATABASE_CA = "rds-ca"  # the ConfigMap that values/aws.yaml mounts


@dataclass(frozen=True, kw_only=True)
class AirflowArgs:
    """`value_files` lie in values/, later ones win. Without a `log_bucket` task logs stay on the pods.

    `queues`: settings of the workers by queue; with `own_nodes` those of each go to nodes of their own.
    `load_balancer_cidr` is where requests of the load balancer come from; None: there is none.
    `database_ca` are the certificates (PEM) that vouch for the database; None: it speaks no TLS.
    """

    namespace: pulumi.Input[str]
    value_files: Sequence[str]
    database_host: pulumi.Input[str]
    database_password: pulumi.Output[str]
    database_ca: str | None = None
    redis_host: pulumi.Input[str]
    redis_password: pulumi.Output[str]
    log_bucket: pulumi.Output[str] | None = None
    log_region: pulumi.Output[str] | None = None
    load_balancer_cidr: str | None = None
    airflow: AirflowSettings
    queues: Mapping[str, WorkerSettings]
    own_nodes: bool = False
    dags: DagSettings
    charts: ChartSettings
    rotation: RotationSettings
    secrets: Secrets


class Airflow(pulumi.ComponentResource):
    """The release `airflow`. It is up when every pod is ready."""

    url: str

    def __init__(
        self, name: str, args: AirflowArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:Airflow", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        secrets = AirflowSecrets(
            f"{name}-secrets",
            AirflowSecretsArgs(
                namespace=args.namespace,
                database_host=args.database_host,
                database_password=args.database_password,
                database_tls=args.database_ca is not None,
                redis_host=args.redis_host,
                redis_password=args.redis_password,
                for_keda=need_keda(args.queues.values()),
                rotation=args.rotation,
                configured=args.secrets,
            ),
            opts=child,
        )
        needed: list[pulumi.Resource] = [secrets]
        if args.database_ca is not None:
            needed.append(
                k8s.core.v1.ConfigMap(
                    f"{name}-database-ca",
                    metadata={"name": DATABASE_CA, "namespace": args.namespace},
                    data={"ca.pem": args.database_ca},
                    opts=child,
                )
            )
        k8s.helm.v3.Release(
            f"{name}-release",
            **chart_reference(AIRFLOW_CHART, args.charts.source),
            name="airflow",
            namespace=args.namespace,
            value_yaml_files=[pulumi.FileAsset(str(VALUES / file)) for file in args.value_files],
            values=_values(args, secrets),
            timeout=TIMEOUT_SECONDS,
            # A roll-back would bring old pods back to a database that is migrated already.
            atomic=False,
            cleanup_on_fail=True,
            max_history=10,
            opts=pulumi.ResourceOptions(parent=self, depends_on=needed, delete_before_replace=True),
        )
        database_ca = DATABASE_CA if args.database_ca is not None else None
        metadata, broker, *_ = secrets.every_pod
        TaskKeeper(
            f"{name}-task-keeper",
            TaskKeeperArgs(
                namespace=args.namespace,
                image=args.airflow.image_reference,
                queues=list(args.queues),
                metadata=metadata,
                broker=broker,
                database_ca=database_ca,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=needed),
        )
        if secrets.keda is not None:
            KedaRole(
                f"{name}-keda-role",
                KedaRoleArgs(
                    namespace=args.namespace,
                    image=args.airflow.image_reference,
                    metadata=metadata,
                    keda=secrets.keda,
                    connection_limit=sizing.keda_connection_limit(args.queues.values()),
                    database_ca=database_ca,
                ),
                # Beside the release: KEDA can log in before the release has its workers.
                opts=pulumi.ResourceOptions(parent=self, depends_on=needed),
            )
        self.url = args.airflow.url
        self.register_outputs({"url": self.url})


def _values(args: AirflowArgs, secrets: AirflowSecrets) -> dict[str, Any]:
    metadata, broker, fernet, api = secrets.every_pod
    (jwt,) = secrets.signing
    basic = annotations(*secrets.every_pod)
    signing = {**basic, **annotations(*secrets.signing)}
    replicas = args.airflow.replicas
    values: dict[str, Any] = {
        "airflowVersion": args.airflow.version,
        "defaultAirflowRepository": args.airflow.image,
        "defaultAirflowTag": args.airflow.version,
        "data": {"metadataSecretName": metadata.name, "brokerUrlSecretName": broker.name},
        "fernetKeySecretName": fernet.name,
        "apiSecretKeySecretName": api.name,
        "jwtSecretName": jwt.name,
        "createUserJob": {"jobAnnotations": annotations(secrets.admin)},
        "dags": {"gitSync": airflow_values.git_sync(args.dags)},
        "workers": {
            "celery": {
                "enableDefault": False,
                "sets": airflow_values.worker_sets(
                    args.queues,
                    annotations=basic,
                    own_nodes=args.own_nodes,
                ),
            }
        },
        "scheduler": {
            "replicas": replicas.scheduler,
            "podAnnotations": signing,
            "env": airflow_values.scheduler_env(args.airflow, args.queues.values()),
        },
        "dagProcessor": {
            "replicas": replicas.dag_processor,
            "podAnnotations": basic,
            **airflow_values.dag_bundles(args.dags),
        },
        "triggerer": {"replicas": replicas.triggerer, "podAnnotations": basic},
        "apiServer": {
            "replicas": replicas.api_server,
            "podAnnotations": signing,
            "networkPolicy": {
                "ingress": {"from": [{"podSelector": {"matchLabels": PODS_OF_AIRFLOW}}]}
            },
        },
        "config": airflow_values.airflow_config(
            args.airflow, args.queues[DEFAULT_QUEUE], args.dags
        ),
    }
    if args.airflow.digest is not None:
        values["defaultAirflowDigest"] = args.airflow.digest
    if args.airflow.ingress is not None and args.load_balancer_cidr is not None:
        source = {"ipBlock": {"cidr": args.load_balancer_cidr}}
        ingress = airflow_values.ingress(args.airflow.ingress, webhook=args.dags.webhook)
        values["ingress"] = {"apiServer": ingress}
        values["apiServer"]["networkPolicy"]["ingress"]["from"].append(source)
        # Whose word about https and the client's address the API server takes.
        values["apiServer"]["env"] = [
            {"name": "FORWARDED_ALLOW_IPS", "value": args.load_balancer_cidr}
        ]
    if args.log_bucket is not None and args.log_region is not None:
        folder = pulumi.Output.concat("s3://", args.log_bucket)
        values["config"]["logging"] = {
            "remote_base_log_folder": folder,
            **values["config"].get("logging", {}),
        }
        # A connection in the environment: looking it up elsewhere, a worker would lose its first lines.
        connection = pulumi.Output.concat("aws://?region_name=", args.log_region)
        values["env"] = [{"name": "AIRFLOW_CONN_AWS_DEFAULT", "value": connection}]
    return values
