"""`make restore` and `make forget-database` of RDS, and the restore of `make rollback`.

AWS restores into a new instance only. It is the next generation of the database; the former one
stays beside it until `make forget-database`: docs/adr/0032-generations-of-a-database.md.
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ops import lifecycle, maintenance, rds, stack_files
from ops import restore as dumps
from ops.access import reachable
from ops.backup import VERSION_TAG
from ops.exclusive import exclusive
from ops.kubernetes import Kubernetes, answer
from ops.queue_status import COUNT_SECONDS
from ops.rds import RESTORE_TIME
from ops.recovery.aws import Aws
from ops.recovery.recover import recover, unlock
from ops.restore import step
from ops.session import Session, checked_settings
from ops.shell import OperationError, confirmed
from ops.stack import STATE
from ops.versions import check_finished, open_deployed, record
from settings import limits
from settings.database import ContainerDatabaseSettings, RdsSettings, database_identifier

COUNT_SINCE = """
import json
from datetime import datetime

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import func, select

since = datetime.fromisoformat({!r})
with create_session() as session:
    counts = [
        session.scalar(select(func.count()).select_from(table).where(column >= since))
        for table, column in (
            (DagRun, DagRun.queued_at),
            (TaskInstance, TaskInstance.start_date),
        )
    ]
print("since:", json.dumps(counts))
"""
ANSWER = "since: "


@dataclass(frozen=True, kw_only=True)
class Source:
    """A snapshot or a point in time, as `restore_from` names it; `since` is its time."""

    name: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A restore that has not ended: a repeated command continues with its generation."""

    source: str
    generation: int

    @staticmethod
    def file(stack: str) -> Path:
        return STATE / f"restore-{stack}.json"

    @staticmethod
    def of(stack: str) -> "Begun | None":
        file = Begun.file(stack)
        return Begun(**json.loads(file.read_text())) if file.exists() else None


def restore(
    name: str,
    dump: Path | None = None,
    snapshot: str | None = None,
    time: str | None = None,
    yes: bool = False,
    caller: str | None = None,
) -> int:
    """Replace the database by a backup of the same version of Airflow; Airflow stays paused."""
    given = [each for each in (dump, snapshot, time and _utc(time)) if each is not None]
    if len(given) != 1:
        raise OperationError(
            "pass one of BACKUP=<dump>, SNAPSHOT=<name> and TIME=2026-11-28T10:00Z. Nothing was changed"
        )
    (source,) = given
    if isinstance(source, Path):
        return dumps.restore(name, source, yes)
    return _restore(name, source, yes, caller)


def _utc(text: str) -> str:
    """A time of the user in the format of `restore_from`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise OperationError(
            f"TIME={text} should be a time with its zone, such as 2026-11-28T10:00Z. Nothing was changed"
        )
    return f"{moment.astimezone(UTC):{RESTORE_TIME}}"


def _restore(name: str, given: str, yes: bool, caller: str | None) -> int:
    session, cluster, version = open_deployed(name)
    check_finished(name)
    is_dump = isinstance(session.settings.database, ContainerDatabaseSettings)
    if is_dump and not re.fullmatch(limits.RESTORE_TIME, given):
        return dumps.restore_nightly(session, cluster, version, given, yes)
    source = find(session, given, version)
    unlock(session.stack)
    with reachable(session, caller) as session, exclusive(cluster, "make restore"):
        lifecycle.check(session)
        if not agreed(session, cluster, source, "Replace the database?", yes=yes):
            return 1
        recover(session)
        if status := replace_database(session, cluster, source):
            print("Airflow is paused. To continue, repeat the command")
            return status
    Begun.file(name).unlink()
    print(f"Airflow is paused: `make resume STACK={name}`")
    return 0


def forget(name: str, yes: bool = False, caller: str | None = None) -> int:
    """Delete the former generation of the database. A repeated command continues."""
    session, _, _ = open_deployed(name)
    database, _ = _rds(session)
    check_ended(name)
    instances = [each for each in session.stack.resources() if each["type"] == rds.TYPE]
    former = {
        database_identifier(database, name, rds.generation(each)): each["urn"]
        for each in instances
        if rds.generation(each) != database.generation
    }
    if not former:
        print("the stack has no former database: nothing to delete")
        return 0
    what = " and ".join(former)
    kept = "AWS keeps a final snapshot" if database.final_snapshot else "without a final snapshot"
    print(f"{what} will be deleted; {kept}. Airflow uses {database_identifier(database, name)}")
    if not yes and not confirmed(f"Delete {what}?"):
        return 1
    unlock(session.stack)
    with reachable(session, caller) as session:
        recover(session)
        for identifier, urn in former.items():
            _unprotect(session, identifier, urn)
        if database.kept_generation is not None:
            session.stack.remove_from_file("database.kept_generation")
        session = replace(session, settings=checked_settings(name))
        return lifecycle.apply(session, deletes={*former.values()})


def _unprotect(session: Session, identifier: str, urn: str) -> None:
    stack, (_, account) = session.stack, _rds(session)
    words = ["--db-instance-identifier", identifier]
    if account.exists("rds", "describe-db-instances", *words):
        account.call("rds", "modify-db-instance", *words, "--no-deletion-protection")
    stack.output("state", "unprotect", urn, "--stack", stack.name, "--yes")


def check_ended(name: str) -> None:
    """Raise `OperationError` if a restore has not ended."""
    if begun := Begun.of(name):
        raise OperationError(_unfinished(begun))


def _rds(session: Session) -> tuple[RdsSettings, Aws]:
    database, account = session.settings.database, session.account
    if not isinstance(database, RdsSettings) or account is None:
        raise OperationError(
            f"database.kind of Pulumi.{session.stack.name}.yaml is {database.kind}, not rds. Nothing was "
            "changed: docs/runbooks/backup.md"
        )
    return database, account


def find(session: Session, given: str, version: str) -> Source:
    """A source for a restore with this version of Airflow; raises `OperationError` otherwise."""
    name, (database, _) = session.stack.name, _rds(session)
    begun = Begun.of(name)
    if begun is None and database.kept_generation is not None:
        kept = database_identifier(database, name, database.kept_generation)
        raise OperationError(
            f"the former database {kept} still exists, and only one is kept. Nothing was changed: delete "
            f"it with `make forget-database STACK={name}` first"
        )
    is_time = re.fullmatch(limits.RESTORE_TIME, given)
    source = _point(session, given) if is_time else _snapshot(session, given, version)
    if begun is not None and begun.source != source.name:
        raise OperationError(_unfinished(begun))
    return source


def _unfinished(begun: Begun) -> str:
    return (
        f"the restore of {begun.source} has not finished: repeat the `make restore` or `make rollback` "
        "of it first. Nothing was changed"
    )


def _snapshot(session: Session, given: str, version: str) -> Source:
    stack, (database, account) = session.stack.name, _rds(session)
    # The ARN of a snapshot ends with its name.
    name = given.rpartition(":snapshot:")[2]
    answer = account.call_or_none("rds", "describe-db-snapshots", "--db-snapshot-identifier", name)
    found = (answer or {}).get("DBSnapshots")
    if not found:
        raise OperationError(f"{account.region} has no snapshot {name}. Nothing was changed")
    (snapshot,) = found
    tags = {tag["Key"]: tag["Value"] for tag in snapshot.get("TagList") or []}
    own = {database_identifier(database, stack, n) for n in range(1, database.generation + 1)}
    instance = snapshot["DBInstanceIdentifier"]
    foreign = any(tags.get(key, value) != value for key, value in account.tags.items())
    if foreign or instance not in own:
        raise OperationError(
            f"snapshot {name} is of the database {instance} of another stack. Nothing was changed"
        )
    if snapshot["Status"] != "available":
        raise OperationError(
            f"snapshot {name} is {snapshot['Status']}, not available. Nothing was changed"
        )
    made_with = tags.get(VERSION_TAG)
    if made_with not in (None, version):
        raise OperationError(
            f"snapshot {name} is of Airflow {made_with}, and the restored stack would have {version}. "
            f"Nothing was changed: `make rollback STACK={stack}` after an upgrade; otherwise install "
            f"{made_with} first"
        )
    if made_with is None:
        print(f"snapshot {name} has no tag {VERSION_TAG}: it must be of Airflow {version}")
    return Source(name=name, since=datetime.fromisoformat(snapshot["SnapshotCreateTime"]))


def _point(session: Session, given: str) -> Source:
    """A point in time that the automated backups of the instance cover."""
    begun = Begun.of(session.stack.name)
    instance = rds.describe(session, begun.generation - 1 if begun else None)
    if instance is None or "LatestRestorableTime" not in instance:
        raise OperationError("AWS has no automated backup of the database. Nothing was changed")
    wanted = datetime.fromisoformat(given)
    last = datetime.fromisoformat(instance["LatestRestorableTime"])
    retained = datetime.now(UTC) - timedelta(days=instance["BackupRetentionPeriod"])
    first = max(retained, datetime.fromisoformat(instance["InstanceCreateTime"]))
    if not first <= wanted <= last:
        raise OperationError(
            f"{given} is not between {first:{RESTORE_TIME}} and {last:{RESTORE_TIME}}, which the backups of "
            f"{instance['DBInstanceIdentifier']} cover. Nothing was changed"
        )
    return Source(name=given, since=wanted)


def agreed(
    session: Session, cluster: Kubernetes, source: Source, question: str, *, yes: bool
) -> bool:
    """Whether the loss of what began since then is confirmed; a restore that has begun has been."""
    if Begun.of(session.stack.name) is not None:
        print(f"the restore of {source.name} has begun: continuing")
        return True
    print(dumps.loss(source.since, *_count_since(cluster, source.since)))
    return yes or confirmed(question)


def _count_since(cluster: Kubernetes, since: datetime) -> tuple[str, str]:
    """DAG runs and task instances. A failed upgrade may have no API server to ask."""
    done = cluster.run_in_airflow(COUNT_SINCE.format(since.isoformat()), seconds=COUNT_SECONDS)
    runs, tasks = answer(done, ANSWER) or ("unknown", "unknown")
    return str(runs), str(tasks)


def replace_database(
    session: Session, cluster: Kubernetes, source: Source, version: str | None = None
) -> int:
    """Pause, create the next generation, and empty Redis. Returns the exit code of the update.

    The caller removes `Begun.file` at its end.

    `version`: also install this version of Airflow.
    """
    name = session.stack.name
    with step("pause"):
        maintenance.stop(cluster, session.settings, name)
    session = _begin(session, source, version)
    database, _ = _rds(session)
    present = database_identifier(database, name)
    with step(f"create the database {present} from {source.name}, and update"):
        if status := lifecycle.apply(session, upgrade=version is not None):
            return status
    with step("empty Redis"):
        dumps.empty_redis(cluster)
    former = database_identifier(database, name, database.kept_generation)
    print(
        f"Airflow uses {present}, restored from {source.name}. The database before is kept as {former}: "
        f"`make forget-database STACK={name}` deletes it"
    )
    return 0


def _begin(session: Session, source: Source, version: str | None) -> Session:
    """Write the next generation into the stack file, or the one that has begun.

    After a failed check of the stack file, it is unchanged, and nothing has begun.
    """
    name, (database, _) = session.stack.name, _rds(session)
    before = Begun.of(name)
    begun = before or Begun(source=source.name, generation=database.generation + 1)
    changes: dict[str, int | str] = {
        "database.generation": begun.generation,
        "database.restore_from": begun.source,
        "database.kept_generation": begun.generation - 1,
    }
    if version is not None:
        changes["airflow.version"] = version
    record(Begun.file(name), asdict(begun))
    try:
        with stack_files.restored_on_failure(stack_files.stack_path(name)):
            if database.restore_time is not None:  # of the source of the present generation
                session.stack.remove_from_file("database.restore_time")
            session.stack.set_in_file(changes, copy=True)
            return replace(session, settings=checked_settings(name))
    except BaseException:
        if before is None:
            Begun.file(name).unlink()
        raise
