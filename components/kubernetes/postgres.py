"""PostgreSQL in a pod: the metadata database of a throw-away stack. It has no backup."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components.aws.database import NAME, PORT, USER
from components.kubernetes import keda
from components.kubernetes.namespace import PODS_OF_AIRFLOW
from components.kubernetes.stateful_server import StatefulServer, StatefulServerArgs
from components.support.named_secret import annotations, named_secret
from components.support.passwords import password
from settings.database import ContainerDatabaseSettings
from settings.versions import POSTGRES_IMAGE

USER_ID = 999  # `postgres` in that image
MEMORY_MB = 512
AIRFLOW = {"pod_selector": {"match_labels": PODS_OF_AIRFLOW}}

# `local` is the inside of the pod; everybody else needs the password.
ACCESS = """\
local all all trust
host all all all scram-sha-256
"""
# The image sets a password when it makes the database and never again. This sets it at each start,
# so that a new one takes effect. TCP is open only once the first start is really over.
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
    """`keda_namespace` is where KEDA asks from; None: there is none."""

    namespace: pulumi.Input[str]
    password: pulumi.Output[str] | None
    password_generation: int
    keda_namespace: str | None
    settings: ContainerDatabaseSettings


class DatabaseContainer(pulumi.ComponentResource):
    """A PostgreSQL that only pods of Airflow reach. Its data outlives its pod, not its volume."""

    host: pulumi.Output[str]
    password: pulumi.Output[str]

    def __init__(
        self, name: str, args: DatabaseContainerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:DatabaseContainer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        # With its namespace: KEDA asks from another one.
        self.host = pulumi.Output.concat(name, ".", args.namespace)
        self.password = password(
            f"{name}-password",
            configured=args.password,
            generation=args.password_generation,
            opts=child,
        )
        secret = named_secret(
            f"{name}-password",
            name=f"{name}-password",
            namespace=args.namespace,
            data={"password": self.password},
            opts=child,
        )
        access = k8s.core.v1.ConfigMap(
            f"{name}-access",
            metadata={"name": f"{name}-access", "namespace": args.namespace},
            data={"pg_hba.conf": ACCESS},
            opts=child,
        )
        StatefulServer(
            name,
            StatefulServerArgs(
                namespace=args.namespace,
                image=POSTGRES_IMAGE,
                args=[
                    "-c",
                    f"max_connections={args.settings.max_connections}",
                    "-c",
                    "hba_file=/etc/postgres/pg_hba.conf",
                ],
                env=[
                    {"name": "POSTGRES_USER", "value": USER},
                    {"name": "POSTGRES_DB", "value": NAME},
                    {"name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata"},
                    {
                        "name": "POSTGRES_PASSWORD",
                        "value_from": {"secret_key_ref": {"name": secret.name, "key": "password"}},
                    },
                ],
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path="/var/lib/postgresql/data",
                storage_gb=args.settings.storage_gb,
                memory_mb=MEMORY_MB,
                ready=["pg_isready", "-q", "-h", "127.0.0.1", "-U", USER],
                after_start=["bash", "-c", AFTER_START],
                files={"/etc/postgres": {"config_map": {"name": access.metadata.name}}},
                annotations=annotations(secret),
                clients=[AIRFLOW, keda.operator(args.keda_namespace)]
                if args.keda_namespace
                else [AIRFLOW],
            ),
            opts=child,
        )
        self.register_outputs({"host": self.host})
