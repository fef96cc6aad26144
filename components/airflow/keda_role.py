"""PostgreSQL role of KEDA, which may read two columns of one table.

docs/adr/0014-keda-reads-with-its-own-role.md
"""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.keda import CA_PATH
from components.kubernetes.namespace import PART_OF, PODS_OF_AIRFLOW
from components.support.hardened_pod import (
    IN_POD,
    container_security,
    input_digest,
    pod_security,
    resources,
)
from components.support.named_secret import NamedSecret, secret_env
from components.support.pull_secret import references

SCRIPT = IN_POD / "keda_role.py"
USER_ID = 50000  # `airflow` in the Airflow image, which contains the PostgreSQL driver
MEMORY_MB = 128
# Same as the timeout of the release: a new node, the image, the first migration.
WAIT_SECONDS = 1200


@dataclass(frozen=True, kw_only=True)
class KedaRoleArgs:
    namespace: pulumi.Input[str]
    image: str
    # Connections of Airflow and of KEDA.
    metadata: NamedSecret
    keda: NamedSecret
    connection_limit: int
    # ConfigMap with the CA bundle of a database with TLS.
    database_ca: str | None
    pull_secret: pulumi.Input[str] | None = None


class KedaRole(pulumi.ComponentResource):
    """Job that creates the role, in parallel to the release: it waits for its migrations."""

    def __init__(
        self, name: str, args: KedaRoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:KedaRole", name, None, opts)

        pod = _pod(args)
        # The NetworkPolicy of the database admits pods of Airflow.
        labels = {**PART_OF, **PODS_OF_AIRFLOW, "component": "keda-role"}
        wait = f"{WAIT_SECONDS}s"
        k8s.batch.v1.Job(
            f"{name}-job",
            metadata=meta.ObjectMetaArgs(
                name=pulumi.Output.concat(name, "-", input_digest(pod, args.keda.checksum)),
                namespace=args.namespace,
                labels=PART_OF,
            ),
            spec=k8s.batch.v1.JobSpecArgs(
                active_deadline_seconds=WAIT_SECONDS,
                template=core.PodTemplateSpecArgs(
                    metadata=meta.ObjectMetaArgs(labels=labels), spec=pod
                ),
            ),
            # The former Job has the name of the next one if a change is taken back.
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(create=wait, update=wait),
            ),
        )
        self.register_outputs({})


def _pod(args: KedaRoleArgs) -> core.PodSpecArgs:
    has_ca = args.database_ca is not None
    container = core.ContainerArgs(
        name="keda-role",
        image=args.image,
        image_pull_policy="IfNotPresent",
        command=["python", "-c", SCRIPT.read_text()],
        env=[
            secret_env("AIRFLOW_CONNECTION", args.metadata, "connection"),
            secret_env("KEDA_CONNECTION", args.keda, "connection"),
            core.EnvVarArgs(name="CONNECTION_LIMIT", value=str(args.connection_limit)),
        ],
        resources=resources(MEMORY_MB),
        # Pulumi prints the message of a container that failed.
        termination_message_policy="FallbackToLogsOnError",
        security_context=container_security(),
        volume_mounts=[core.VolumeMountArgs(name="ca", mount_path=CA_PATH, read_only=True)]
        if has_ca
        else None,
    )
    return core.PodSpecArgs(
        restart_policy="Never",  # every attempt keeps its pod and its log
        automount_service_account_token=False,
        enable_service_links=False,
        image_pull_secrets=references(args.pull_secret),
        security_context=pod_security(user_id=USER_ID, group_id=0),
        containers=[container],
        volumes=[
            core.VolumeArgs(
                name="ca", config_map=core.ConfigMapVolumeSourceArgs(name=args.database_ca)
            )
        ]
        if has_ca
        else None,
    )
