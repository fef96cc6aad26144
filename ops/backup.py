"""Backups of the metadata database: an RDS snapshot, or a dump of the database in the container."""

import fnmatch
import re
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from components.support.database_login import NAME, USER
from ops import nightly, rds, versions
from ops.columns import aligned
from ops.kubernetes import Kubernetes
from ops.session import Session
from ops.shell import OperationError, output, save_output
from ops.stack import STATE
from settings.database import ContainerDatabaseSettings, dump_prefix

# Of a stack on an existing cluster. They contain the connections of Airflow, encrypted.
FOLDER = STATE / "backups"
POD = "database-0"
LOGIN = ("--username", USER)
SECONDS = 3600
TIME = "%Y%m%d-%H%M%S"  # ends the name of a backup
RESTORED = f"{NAME}_restored"
NOT_OURS = (
    "this stack has no database of its own: back it up with the tool of its owner, and pass "
    "BACKUP=<name of the backup>. Nothing was changed"
)
VERSION_TAG = "airflow-version"  # of a snapshot
SHOWN_TIME = "%Y-%m-%d %H:%M:%S"

Row = tuple[str, str, str, str]
HEADER: Row = ("backup", "where", "made (UTC)", "size")


def backup(name: str) -> int:
    """Back the metadata database of a stack up, and print where."""
    session, cluster, version = versions.open_deployed(name)
    print(make(session, cluster, version))
    return 0


def backups(name: str) -> int:
    """Print the backups of a stack: dumps of its volume and of this checkout, or snapshots of RDS."""
    session, cluster, _ = versions.open_deployed(name)
    if isinstance(session.settings.database, ContainerDatabaseSettings):
        rows = _dumps(cluster, name)
    else:
        rows = _snapshots(session)
    if not rows:
        print(f"no backups: `make backup STACK={name}` makes one")
        return 0
    rows.sort(key=lambda row: row[2], reverse=True)
    print("\n".join(aligned([HEADER, *rows])))
    return 0


def _dumps(cluster: Kubernetes, name: str) -> list[Row]:
    with nightly.mounted(cluster) as volume:
        found = [(file, "volume", size) for file, size in volume.dumps().items()]
    # Not of the stack `local-two`.
    own = re.compile(rf"{dump_prefix(name, '')}\d+-\d+-\d+-\d{{8}}-\d{{6}}\.dump")
    here = [file for file in FOLDER.glob("*.dump") if own.fullmatch(file.name)]
    found += [(file.name, ".state/backups", file.stat().st_size) for file in here]
    return [
        (file, where, f"{made(Path(file)):{SHOWN_TIME}}", f"{size / 2**20:.1f} MiB")
        for file, where, size in found
    ]


def _snapshots(session: Session) -> list[Row]:
    instance, account = rds.own(session)
    words = ["--db-instance-identifier", instance["DBInstanceIdentifier"]]
    found = account.call("rds", "describe-db-snapshots", *words)["DBSnapshots"]
    # A snapshot that is not complete has no time.
    return [
        (
            each["DBSnapshotIdentifier"],
            "AWS",
            f"{datetime.fromisoformat(each['SnapshotCreateTime']).astimezone(UTC):{SHOWN_TIME}}",
            f"{each['AllocatedStorage']} GiB",
        )
        for each in found
        if "SnapshotCreateTime" in each
    ]


def make(session: Session, cluster: Kubernetes, version: str) -> str:
    """Back the metadata database up. Returns the ARN of the snapshot, or the path of the dump."""
    name = f"{dump_prefix(session.stack.name, version)}-{datetime.now(UTC).strftime(TIME)}"
    if isinstance(session.settings.database, ContainerDatabaseSettings):
        return str(_dump(cluster, FOLDER / f"{name}.dump"))
    return _snapshot(session, name, version)


@contextmanager
def newest_dump(cluster: Kubernetes, name: str, version: str) -> Generator[Path]:
    """The newest dump of a stack with a version of Airflow; one of the volume as a temporary copy."""
    pattern = f"{dump_prefix(name, version)}-????????-??????.dump"
    here = {file.name for file in FOLDER.glob(pattern)}
    with TemporaryDirectory() as folder:
        with nightly.mounted(cluster) as volume:
            newest = max([*here, *fnmatch.filter(volume.dumps(), pattern)], default=None)
            if newest is None:
                raise OperationError(
                    f"no dump of stack {name!r} with Airflow {version} is on its volume or in {FOLDER}: run "
                    f"`make backup STACK={name}`"
                )
            dump = FOLDER / newest if newest in here else volume.copy(newest, Path(folder))
        yield dump


def made(dump: Path) -> datetime:
    """The time at the end of the name of a dump."""
    return datetime.strptime(dump.stem[-15:], TIME).replace(tzinfo=UTC)


def _dump(cluster: Kubernetes, file: Path) -> Path:
    return save_output(in_database(cluster, "pg_dump", *LOGIN, "--format=custom", NAME), file)


def _snapshot(session: Session, name: str, version: str) -> str:
    instance, account = rds.describe(session), session.account
    if instance is None or account is None:
        raise OperationError(NOT_OURS)
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
