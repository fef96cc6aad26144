"""PostgreSQL in a pod: the metadata database of a stack on an existing cluster."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes import keda
from components.kubernetes.database_backup import (
    CRON_JOB,
    USER_ID,
    DatabaseBackup,
    DatabaseBackupArgs,
)
from components.kubernetes.namespace import selector
from components.kubernetes.stateful_server import StatefulServer, StatefulServerArgs
from components.support import network_peers
from components.support.database_login import NAME, PORT, USER
from components.support.named_secret import annotations, named_secret, secret_env
from components.support.passwords import password
from settings.database import ContainerDatabaseSettings

MEMORY_MB = 512

# `local` connections come from inside the pod; all others need the password.
ACCESS = """\
local all all trust
host all all all scram-sha-256
"""
# The image sets the password only when it creates the database. Set it at every start, so that a
# new password takes effect. TCP opens only after the initial setup has finished.
AFTER_START = r"""
until pg_isready -q -h 127.0.0.1; do sleep 0.2; done
psql -q -U "$POSTGRES_USER" -d postgres -v ON_ERROR_STOP=1 <<'SQL'
\getenv password POSTGRES_PASSWORD
\getenv user POSTGRES_USER
ALTER ROLE :"user" PASSWORD :'password';
SQL
"""


@dataclass(frozen=True, kw_only=True)
class DatabaseContainerArgs:
    namespace: pulumi.Input[str]
    password: pulumi.Output[str] | None
    password_rotation: int
    # Namespace of the KEDA that queries this database.
    keda_namespace: str | None
    # Begins the name of each dump.
    dump_prefix: str
    settings: ContainerDatabaseSettings
    pull_secret: pulumi.Input[str] | None = None
    storage_class: str | None = None


class DatabaseContainer(pulumi.ComponentResource):
    """PostgreSQL for the pods of Airflow and KEDA. Data survives the pod, not the volume."""

    host: pulumi.Output[str]
    password: pulumi.Output[str]

    def __init__(
        self, name: str, args: DatabaseContainerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:DatabaseContainer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        # With the namespace: KEDA connects from another namespace.
        self.host = pulumi.Output.concat(name, ".", args.namespace)
        self.password = password(
            f"{name}-password",
            configured=args.password,
            rotation=args.password_rotation,
            opts=child,
        )
        secret = named_secret(
            f"{name}-password",
            name=f"{name}-password",
            namespace=args.namespace,
            data={"password": self.password},
            opts=child,
        )
        access = core.ConfigMap(
            f"{name}-access",
            metadata=meta.ObjectMetaArgs(name=f"{name}-access", namespace=args.namespace),
            data={"pg_hba.conf": ACCESS},
            opts=child,
        )
        clients = [network_peers.airflow_pods()]
        if args.keda_namespace:
            clients.append(keda.operator(args.keda_namespace))
        if args.settings.backup_days:
            clients.append(network_peers.pods(selector(CRON_JOB)))
            DatabaseBackup(
                CRON_JOB,
                DatabaseBackupArgs(
                    namespace=args.namespace,
                    server=name,
                    host=self.host,
                    password=secret,
                    dump_prefix=args.dump_prefix,
                    settings=args.settings,
                    pull_secret=args.pull_secret,
                    storage_class=args.storage_class,
                ),
                opts=child,
            )
        StatefulServer(
            name,
            StatefulServerArgs(
                namespace=args.namespace,
                pull_secret=args.pull_secret,
                storage_class=args.storage_class,
                image=args.settings.image_reference,
                args=[
                    "-c",
                    f"max_connections={args.settings.max_connections}",
                    "-c",
                    "hba_file=/etc/postgres/pg_hba.conf",
                ],
                env=[
                    core.EnvVarArgs(name="POSTGRES_USER", value=USER),
                    core.EnvVarArgs(name="POSTGRES_DB", value=NAME),
                    core.EnvVarArgs(name="PGDATA", value="/var/lib/postgresql/data/pgdata"),
                    secret_env("POSTGRES_PASSWORD", secret, "password"),
                ],
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path="/var/lib/postgresql/data",
                storage_gb=args.settings.storage_gb,
                memory_mb=MEMORY_MB,
                ready=["pg_isready", "-q", "-h", "127.0.0.1", "-U", USER],
                after_start=["bash", "-c", AFTER_START],
                files={"/etc/postgres": core.ConfigMapVolumeSourceArgs(name=access.metadata.name)},
                annotations=annotations(secret),
                clients=clients,
                protect=args.settings.protect,
            ),
            opts=child,
        )
        self.register_outputs({"host": self.host})
