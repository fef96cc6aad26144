"""The backend of an RDS instance: a PostgreSQL pod with its user, password, parameters and TLS."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from moto.rds.models import rds_backends

from settings.versions import POSTGRES_IMAGE
from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.kubectl import Kubectl
from tests.engine.simulator.backends.kubernetes import NAMESPACE
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.moto_backups import of_region

PORT = 5432
USER_ID = 999
FILES = "/etc/rds"
READY_SECONDS = 120
# Parameters of RDS that PostgreSQL does not have.
RDS_PREFIX = "rds."
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
TLS_OPTIONAL = "host all all all scram-sha-256\n"
TLS_REQUIRED = "hostssl all all all scram-sha-256\n"
LOCAL = "local all all trust\n"


class Postgres:
    """`names` are IP addresses by host name; `create` and `delete` maintain them."""

    def __init__(
        self, cloud: Cloud, kubectl: Kubectl, authority: Authority, names: dict[str, str]
    ) -> None:
        self.cloud = cloud
        self.kubectl = kubectl
        self.authority = authority
        self.names = names
        # By snapshot: SQL of its roles and of its database.
        self.dumps: dict[str, str] = {}

    def create(
        self, identifier: str, username: str, password: str, db_name: str
    ) -> tuple[str, int]:
        """Start the server: its host name in the format of RDS, and its port."""
        # Host names of RDS contain a hash that depends on account and Region.
        region = self._region(identifier)
        part = hashlib.sha256(f"{self.cloud.account}{region}".encode()).hexdigest()[:12]
        host = f"{identifier}.{part}.{region}.rds.amazonaws.com"
        issued = self.authority.issue(host)
        parameters = self._parameters(identifier)
        access = TLS_REQUIRED if parameters.get("rds.force_ssl", "1") == "1" else TLS_OPTIONAL
        files = {
            "tls.crt": issued.certificate,
            "tls.key": issued.key,
            "pg_hba.conf": LOCAL + access,
            "password": password,
        }
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": identifier, "namespace": NAMESPACE},
                "stringData": files,
            },
            _pod(identifier, username, db_name, parameters),
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": identifier, "namespace": NAMESPACE},
                "spec": {"selector": {"instance": identifier}, "ports": [{"port": PORT}]},
            },
        )
        where = ["--namespace", NAMESPACE]
        self.kubectl.run(
            "wait",
            "--for=condition=Ready",
            f"pod/{identifier}",
            f"--timeout={READY_SECONDS}s",
            *where,
        )
        service = self.kubectl.get("service", identifier, *where)
        self.names[host] = service["spec"]["clusterIP"]
        return host, PORT

    def change(self, identifier: str, username: str, password: str) -> None:
        """Set a new password, as RDS does: immediately, open connections stay."""
        quoted = password.replace("'", "''")
        self._psql(identifier, username, f"ALTER ROLE \"{username}\" PASSWORD '{quoted}';")

    def snapshot(self, name: str, identifier: str) -> None:
        self.dumps[name] = self._dump(identifier)

    def lose_region(self) -> None:
        """End the servers of the Region. Replicated backups have what they had until now."""
        for backup in of_region(self.cloud.account, self.cloud.region):
            self.snapshot(backup.arn, backup.instance.db_instance_identifier)
            backup.ended = datetime.now(UTC)
        self.delete_all()

    def delete_all(self) -> None:
        for identifier in list(rds_backends[self.cloud.account][self.cloud.region].databases):
            self.delete(identifier)

    def restore(self, identifier: str, snapshot: str) -> None:
        """Load a snapshot into a new server; an automated one, of moto, is empty."""
        if snapshot in self.dumps:
            self._load(identifier, self.dumps[snapshot])

    def copy(self, identifier: str, source: str) -> None:
        """Load what another server has now: it stands for a point in time."""
        self._load(identifier, self._dump(source))

    def delete(self, identifier: str) -> None:
        self.kubectl.delete(
            "pod,service,secret", identifier, "--namespace", NAMESPACE, "--grace-period=1"
        )
        for host in [h for h in self.names if h.startswith(f"{identifier}.")]:
            del self.names[host]

    def _dump(self, identifier: str) -> str:
        """Roles with their passwords, and the database, as a snapshot of RDS has them."""
        username, db_name = self._login(identifier)
        roles, database = (
            self.kubectl.run(*_exec(identifier), *words)
            for words in (dump_roles(username), dump_database(username, db_name))
        )
        return f"{without_creation(roles, username)}\n{database}"

    def _load(self, identifier: str, dump: str) -> None:
        username, db_name = self._login(identifier)
        self._psql(identifier, username, dump, db_name)

    def _login(self, identifier: str) -> tuple[str, str]:
        """Master user and database of an instance."""
        found = self.describe(identifier)
        return found["MasterUsername"], found.get("DBName") or "postgres"

    def describe(self, identifier: str) -> dict[str, Any]:
        rds = self._rds(identifier)
        (found,) = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
        return found

    def _rds(self, identifier: str) -> Any:
        return self.cloud.in_region(self._region(identifier)).client("rds")

    def _region(self, identifier: str) -> str:
        """The Region of an instance: the server of each has the name of the instance."""
        regions = rds_backends[self.cloud.account].items()
        found = (name for name, backend in regions if identifier in backend.databases)
        return next(found, self.cloud.region)

    def _psql(
        self, identifier: str, username: str, statement: str, db_name: str = "postgres"
    ) -> None:
        self.kubectl.run(*_exec(identifier), *load(username, db_name), stdin=statement)

    def _parameters(self, identifier: str) -> dict[str, str]:
        """The parameters that the parameter group of the instance sets."""
        (group,) = self.describe(identifier)["DBParameterGroups"]
        answer = self._rds(identifier).describe_db_parameters(
            DBParameterGroupName=group["DBParameterGroupName"], Source="user"
        )
        return {p["ParameterName"]: p["ParameterValue"] for p in answer["Parameters"]}


def _exec(identifier: str) -> list[str]:
    return ["exec", "--stdin", "--namespace", NAMESPACE, identifier, "--"]


def dump_roles(username: str) -> list[str]:
    return ["pg_dumpall", "-U", username, "--roles-only"]


def dump_database(username: str, db_name: str) -> list[str]:
    return ["pg_dump", "-U", username, db_name]


def load(username: str, db_name: str) -> list[str]:
    return ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-U", username, "-d", db_name]


def without_creation(roles: str, username: str) -> str:
    """The new server has the master user; its former password still applies."""
    return roles.replace(f"CREATE ROLE {username};\n", "")


def _pod(
    identifier: str, username: str, db_name: str, parameters: dict[str, str]
) -> dict[str, Any]:
    given = {k: v for k, v in parameters.items() if not k.startswith(RDS_PREFIX)}
    options = {
        **given,
        "ssl": "on",
        "ssl_cert_file": f"{FILES}/tls.crt",
        "ssl_key_file": f"{FILES}/tls.key",
        "hba_file": f"{FILES}/pg_hba.conf",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": identifier,
            "namespace": NAMESPACE,
            "labels": {"instance": identifier},
        },
        "spec": {
            "containers": [
                {
                    "name": "postgres",
                    "image": POSTGRES_IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "args": [
                        word for key, value in options.items() for word in ("-c", f"{key}={value}")
                    ],
                    "env": [
                        {"name": "POSTGRES_USER", "value": username},
                        {"name": "POSTGRES_DB", "value": db_name},
                        {
                            "name": "POSTGRES_PASSWORD",
                            "valueFrom": {"secretKeyRef": {"name": identifier, "key": "password"}},
                        },
                    ],
                    "ports": [{"containerPort": PORT}],
                    "readinessProbe": {
                        "exec": {"command": ["pg_isready", "-q", "-h", "127.0.0.1"]},
                        "periodSeconds": 1,
                        # On a busy machine the probe is slow; an unready pod has no endpoint.
                        "timeoutSeconds": 10,
                        "failureThreshold": 30,
                    },
                    "volumeMounts": [{"name": "files", "mountPath": FILES}],
                }
            ],
            "volumes": [
                {
                    "name": "files",
                    "secret": {
                        "secretName": identifier,
                        "defaultMode": 0o440,
                        "items": [
                            {"key": key, "path": key}
                            for key in ("tls.crt", "tls.key", "pg_hba.conf")
                        ],
                    },
                }
            ],
            # PostgreSQL accepts a key owned by root only if its group is that of the server.
            "securityContext": {"fsGroup": USER_ID},
            "terminationGracePeriodSeconds": 5,
        },
    }
