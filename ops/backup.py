"""Backups of the metadata database: an RDS snapshot, or a dump of the database in the container."""

import os
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from components.support.database_login import NAME, USER
from ops import rds, versions
from ops.kubernetes import Kubernetes
from ops.session import Session
from ops.shell import OperationError, output
from ops.stack import STATE
from settings.database import ContainerDatabaseSettings

# Of a stack on an existing cluster. They contain the connections of Airflow, encrypted.
FOLDER = STATE / "backups"
POD = "database-0"
LOGIN = ("--username", USER)
SECONDS = 3600
TIME = "%Y%m%d-%H%M%S"  # ends the name of a backup
RESTORED = f"{NAME}_restored"
VERSION_TAG = "airflow-version"  # of a snapshot


def backup(name: str) -> int:
    """Back the metadata database of a stack up, and print where."""
    session, cluster, version = versions.open_deployed(name)
    print(make(session, cluster, version))
    return 0


def make(session: Session, cluster: Kubernetes, version: str) -> str:
    """Back the metadata database up. Returns the ARN of the snapshot, or the path of the dump."""
    name = f"{_prefix(session.stack.name, version)}-{datetime.now(UTC).strftime(TIME)}"
    if isinstance(session.settings.database, ContainerDatabaseSettings):
        return str(_dump(cluster, FOLDER / f"{name}.dump"))
    return _snapshot(session, name, version)


def newest_dump(name: str, version: str) -> tuple[Path, datetime] | None:
    """The newest dump of a stack with a version of Airflow, and its time."""
    prefix = _prefix(name, version)
    dumps = sorted(FOLDER.glob(f"{prefix}-????????-??????.dump"))
    if not dumps:
        return None
    return dumps[-1], made(dumps[-1])


def made(dump: Path) -> datetime:
    """The time at the end of the name of a dump."""
    return datetime.strptime(dump.stem[-15:], TIME).replace(tzinfo=UTC)


def _prefix(name: str, version: str) -> str:
    return re.sub("[^a-zA-Z0-9]+", "-", f"{name}-{version}")


def _dump(cluster: Kubernetes, file: Path) -> Path:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        command = in_database(cluster, "pg_dump", *LOGIN, "--format=custom", NAME)
        done = subprocess.run(command, stdout=target, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        part.unlink()
        raise OperationError(f"pg_dump failed in {POD}: {done.stderr.decode().strip()}")
    return part.rename(file)


def _snapshot(session: Session, name: str, version: str) -> str:
    instance, account = rds.describe(session), session.account
    if instance is None or account is None:
        raise OperationError(
            "this stack has no database of its own: back it up with the tool of its owner, and pass "
            "BACKUP=<name of the backup>"
        )
    snapshot = f"airflow-{name}"
    tags = account.tag_arguments({VERSION_TAG: version})
    made = account.call(
        *("rds", "create-db-snapshot", "--db-snapshot-identifier", snapshot),
        *("--db-instance-identifier", instance["DBInstanceIdentifier"], "--tags", *tags),
    )
    account.wait("rds", "db-snapshot-available", "--db-snapshot-identifier", snapshot)
    return made["DBSnapshot"]["DBSnapshotArn"]


def load(cluster: Kubernetes, dump: Path, database: str = RESTORED) -> None:
    """Restore a dump into another database, beside the present one."""
    # What a killed restore has left.
    drop(cluster, database)
    sql(cluster, f"CREATE DATABASE {database}")
    words = ["pg_restore", *LOGIN, f"--dbname={database}", "--exit-on-error"]
    command = in_database(cluster, *words, stdin=True)
    with dump.open("rb") as source:
        done = subprocess.run(
            command, stdin=source, capture_output=True, check=False, timeout=SECONDS
        )
    if done.returncode:
        raise OperationError(f"pg_restore failed in {POD}: {done.stderr.decode().strip()}")


def drop(cluster: Kubernetes, database: str) -> None:
    sql(cluster, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def swap(cluster: Kubernetes, kept: str) -> None:
    """Let the restored database replace the present one, which gets the name `kept`.

    A second call, after a kill, continues.
    """
    if NAME in sql(cluster, "SELECT datname FROM pg_database").split():
        # KEDA and the task keeper would connect again.
        sql(cluster, f"ALTER DATABASE {NAME} ALLOW_CONNECTIONS false")
        ended = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity"
        sql(cluster, f"{ended} WHERE datname = '{NAME}'")
        sql(cluster, f"ALTER DATABASE {NAME} RENAME TO {kept}")
        sql(cluster, f"ALTER DATABASE {kept} ALLOW_CONNECTIONS true")
    sql(cluster, f"ALTER DATABASE {RESTORED} RENAME TO {NAME}")


def sql(cluster: Kubernetes, statement: str, database: str = "postgres") -> str:
    words = ["psql", *LOGIN, f"--dbname={database}", "--no-align", "--tuples-only"]
    return output(in_database(cluster, *words, "--command", statement), seconds=60)


def in_database(cluster: Kubernetes, *words: str, stdin: bool = False) -> Sequence[str]:
    """Command in the container of the database; connections from inside need no password."""
    where = ["--namespace", cluster.namespace, *(["--stdin"] if stdin else []), POD]
    return cluster.command("exec", *where, "--container", "database", "--", *words)
