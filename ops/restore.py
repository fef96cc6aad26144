"""`make restore`: a dump replaces the metadata database of a container."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from components.support import chart_names
from components.support.database_login import NAME
from ops import backup, maintenance, nightly, queue_status
from ops.access import reachable
from ops.exclusive import exclusive
from ops.kubernetes import Kubernetes
from ops.periodic import every
from ops.session import Session
from ops.shell import OperationError, confirmed, output
from ops.versions import check_finished, open_deployed
from settings.database import ContainerDatabaseSettings, dump_prefix

# Clients of the database that a pause does not stop, with their settings under `airflow.replicas`.
CLIENTS = {
    chart_names.API_SERVER: "api_server",
    chart_names.DAG_PROCESSOR: "dag_processor",
    chart_names.TRIGGERER: "triggerer",
}
POD_GONE = ("wait", "pods", "--for=delete", "--timeout=300s")
PROGRESS_SECONDS = 120
COUNT_SINCE = "SELECT count(*) FROM {} WHERE {} >= '{}'"
SCHEMA = "SELECT version_num FROM alembic_version"
# A text that the Fernet key has encrypted.
ENCRYPTED = (
    "SELECT password FROM connection WHERE is_encrypted AND password <> '' UNION "
    "SELECT val FROM variable WHERE is_encrypted AND val <> '' LIMIT 1"
)
DECRYPT = """
from airflow.models.crypto import get_fernet

get_fernet().decrypt({!r}.encode())
print("decrypted")
"""


def restore(name: str, dump: Path, yes: bool = False) -> int:
    """Replace the metadata database by a dump of the same version of Airflow; Airflow stays paused.

    `yes`: do not ask before the loss of what ran since then.
    """
    session, cluster, version = open_deployed(name)
    _check(name, session, dump)
    return _restore(session, cluster, version, dump, yes)


def restore_nightly(
    session: Session, cluster: Kubernetes, version: str, dump: str, yes: bool
) -> int:
    """The same, with a dump of the volume. A copy stays in `.state/backups/`."""
    with (
        step(f"copy {dump} from its volume to {backup.FOLDER}"),
        nightly.mounted(cluster) as volume,
    ):
        file = volume.copy(dump, backup.FOLDER)
    return _restore(session, cluster, version, file, yes)


def _restore(session: Session, cluster: Kubernetes, version: str, dump: Path, yes: bool) -> int:
    name = session.stack.name
    with reachable(session, None), exclusive(cluster, "make restore"):
        with step(f"restore {dump.name} beside the present database, and check it"):
            backup.load(cluster, dump)
            _check_content(cluster, dump, version)
        print(lost(cluster, dump))
        if not yes and not confirmed("Replace the database?"):
            return 1
        kept = _swap(session, cluster)
        with step("start the clients of the database"):
            for client, key in CLIENTS.items():
                replicas = getattr(session.settings.airflow.replicas, key)
                cluster.patch(f"deployment/{client}", {"spec": {"replicas": replicas}})
            cluster.wait_healthy(ignore={"scheduler"})
    print(
        f"The database is that of {dump.name}; the one before is kept as {kept}. Airflow is paused: "
        f"`make resume STACK={name}`"
    )
    return 0


def _check(name: str, session: Session, dump: Path) -> None:
    if not isinstance(session.settings.database, ContainerDatabaseSettings):
        raise OperationError(
            f"database.kind of Pulumi.{name}.yaml is not container, and {dump} is a dump. Nothing was changed"
        )
    check_finished(name)
    if not dump.is_file():
        raise OperationError(f"{dump}: no such file. `make backup` makes one. Nothing was changed")
    prefix = dump_prefix(name, "")
    if not dump.name.startswith(prefix):
        raise OperationError(
            f"{dump.name} is a backup of another stack: its name does not begin with {prefix}. "
            "Nothing was changed"
        )


def _check_content(cluster: Kubernetes, dump: Path, version: str) -> None:
    """Raise `OperationError` for a dump that Airflow could not use."""
    found, present = (backup.sql(cluster, SCHEMA, database) for database in (backup.RESTORED, NAME))
    if found != present:
        raise OperationError(
            f"{dump.name} has another schema ({found.strip()}) than Airflow {version} "
            f"({present.strip()}): install the version of the dump first, or `make rollback`. Nothing "
            "was changed"
        )
    text = backup.sql(cluster, ENCRYPTED, backup.RESTORED).strip()
    if not text:
        return
    done = cluster.run_in_airflow(DECRYPT.format(text), seconds=queue_status.COUNT_SECONDS)
    if "decrypted" not in done.stdout:
        raise OperationError(
            f"the Fernet key of the stack does not decrypt {dump.name}: it was made with another key, "
            "which the Pulumi state of that time holds. Nothing was changed"
        )


def lost(cluster: Kubernetes, dump: Path) -> str:
    """What a restore takes away. It stays in the database that is kept."""
    since = backup.made(dump)
    counts = [
        backup.sql(cluster, COUNT_SINCE.format(table, column, since), NAME).strip()
        for table, column in (("dag_run", "queued_at"), ("task_instance", "start_date"))
    ]
    return loss(since, *counts)


def loss(since: datetime, runs: str, tasks: str) -> str:
    return (
        f"The backup is of {since:%Y-%m-%d %H:%M:%S} UTC. Airflow loses what began since then (DAG runs: "
        f"{runs}, task instances: {tasks}), and every change of a connection, variable or user"
    )


def replace_database(session: Session, cluster: Kubernetes, dump: Path) -> str:
    """Restore a dump, pause, and swap the databases. Returns the name of the former one."""
    with step(f"restore {dump.name} beside the present database"):
        backup.load(cluster, dump)
    return _swap(session, cluster)


def _swap(session: Session, cluster: Kubernetes) -> str:
    kept = f"{NAME}_until_{datetime.now(UTC).strftime(backup.TIME).replace('-', '_')}"
    with step(f"pause, and replace the database, which is kept as {kept}"):
        maintenance.stop(cluster, session.settings, session.stack.name)
        for client in CLIENTS:
            cluster.patch(f"deployment/{client}", {"spec": {"replicas": 0}})
            selector = f"--selector=component={client.removeprefix('airflow-')}"
            where = ["--namespace", cluster.namespace, selector]
            output(cluster.command(*POD_GONE, *where), seconds=320)
        backup.swap(cluster, kept)
        empty_redis(cluster)
    return kept


def empty_redis(cluster: Kubernetes) -> None:
    """Delete the messages of tasks that the restored database does not know."""
    redis = ["redis-0", "--container", "redis", "--", "redis-cli", "--user", "admin", "flushall"]
    output(cluster.command("exec", "--namespace", cluster.namespace, *redis), seconds=60)


@contextmanager
def step(what: str) -> Generator[None]:
    """Print a step, while it runs the minutes, and its time."""
    print(f"\n== {what}")
    start = time.monotonic()

    def show_minutes() -> None:
        print(f"   {(time.monotonic() - start) / 60:.0f} min ...")

    with every(PROGRESS_SECONDS, show_minutes):
        yield
    print(f"   {time.monotonic() - start:.0f} s")
