"""Nightly dumps of PostgreSQL in a pod, on a volume of their own.

docs/adr/0033-nightly-dumps-on-a-volume.md
"""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.namespace import PART_OF, selector
from components.support import network_peers
from components.support.database_login import NAME, PORT, USER
from components.support.hardened_pod import (
    IN_POD,
    container_security,
    plain_env,
    pod_security,
    resources,
)
from components.support.named_secret import NamedSecret, secret_env
from components.support.pull_secret import references
from components.support.volume_claim import volume_claim
from settings.database import ContainerDatabaseSettings

SCRIPT = IN_POD / "database_backup.sh"
SCHEDULE = "0 2 * * *"  # an hour before the clean-up of the database
CRON_JOB = "database-backup"
CONTAINER = "dump"
FOLDER = "/backups"
USER_ID = 999  # `postgres` in the image
# A row, such as an XCom, is in memory several times.
MEMORY_MB = 256
ATTEMPTS = 3
# A job that hangs would keep the next ones from starting.
LIMIT_SECONDS = 4 * 3600
DNS_PORT = 53


@dataclass(frozen=True, kw_only=True)
class DatabaseBackupArgs:
    namespace: pulumi.Input[str]
    # `app.kubernetes.io/name` of the pod of the database.
    server: str
    host: pulumi.Input[str]
    # With the key `password`.
    password: NamedSecret
    dump_prefix: str
    settings: ContainerDatabaseSettings
    pull_secret: pulumi.Input[str] | None = None
    storage_class: str | None = None


class DatabaseBackup(pulumi.ComponentResource):
    """CronJob with a volume, which no other pod mounts. It deletes old dumps by itself."""

    def __init__(
        self, name: str, args: DatabaseBackupArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:DatabaseBackup", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        labels = {**selector(name), **PART_OF}
        metadata = meta.ObjectMetaArgs(name=name, namespace=args.namespace, labels=labels)

        dumps = volume_claim(
            f"{name}-data",
            name=name,
            namespace=args.namespace,
            labels=labels,
            storage_gb=args.settings.backup_storage_gb,
            storage_class=args.storage_class,
            protect=args.settings.protect,
            parent=self,
        )
        k8s.networking.v1.NetworkPolicy(
            f"{name}-egress",
            metadata=metadata,
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=meta.LabelSelectorArgs(match_labels=selector(name)),
                policy_types=["Egress"],
                egress=[
                    k8s.networking.v1.NetworkPolicyEgressRuleArgs(
                        to=[network_peers.pods(selector(args.server))], ports=_ports(PORT, "TCP")
                    ),
                    k8s.networking.v1.NetworkPolicyEgressRuleArgs(
                        ports=_ports(DNS_PORT, "UDP", "TCP")
                    ),
                ],
            ),
            opts=child,
        )
        container = core.ContainerArgs(
            name=CONTAINER,
            image=args.settings.image_reference,
            image_pull_policy="IfNotPresent",
            command=["sh", "-c", SCRIPT.read_text()],
            working_dir=FOLDER,
            env=[
                *plain_env(
                    {
                        "PGHOST": args.host,
                        "PGUSER": USER,
                        "PGDATABASE": NAME,
                        "BACKUP_DAYS": str(args.settings.backup_days),
                        "DUMP_PREFIX": args.dump_prefix,
                    }
                ),
                secret_env("PGPASSWORD", args.password, "password"),
            ],
            resources=resources(MEMORY_MB),
            security_context=container_security(read_only=True),
            volume_mounts=[core.VolumeMountArgs(name="dumps", mount_path=FOLDER)],
        )
        template = core.PodTemplateSpecArgs(
            metadata=meta.ObjectMetaArgs(labels=labels),
            spec=core.PodSpecArgs(
                restart_policy="Never",
                automount_service_account_token=False,
                enable_service_links=False,
                image_pull_secrets=references(args.pull_secret),
                security_context=pod_security(user_id=USER_ID, group_id=USER_ID, owns_volume=True),
                containers=[container],
                volumes=[core.VolumeArgs(name="dumps", persistent_volume_claim=dumps)],
            ),
        )
        k8s.batch.v1.CronJob(
            f"{name}-cron-job",
            metadata=metadata,
            spec=k8s.batch.v1.CronJobSpecArgs(
                schedule=SCHEDULE,
                time_zone="Etc/UTC",
                concurrency_policy="Forbid",
                job_template=k8s.batch.v1.JobTemplateSpecArgs(
                    spec=k8s.batch.v1.JobSpecArgs(
                        backoff_limit=ATTEMPTS - 1,
                        active_deadline_seconds=LIMIT_SECONDS,
                        template=template,
                    )
                ),
            ),
            opts=child,
        )
        self.register_outputs({})


def _ports(port: int, *protocols: str) -> list[k8s.networking.v1.NetworkPolicyPortArgs]:
    return [
        k8s.networking.v1.NetworkPolicyPortArgs(port=port, protocol=protocol)
        for protocol in protocols
    ]
