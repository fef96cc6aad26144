"""`make upgrade` and `make rollback`: another version of Airflow, with a backup of its database.

Airflow migrates its metadata database forward only, so that the way back is the backup.
Each command continues when it is run again: docs/runbooks/upgrade-airflow.md.
"""

import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from packaging.version import Version

from ops import backup, generations, lifecycle, maintenance, queue_status, restore, stack_files
from ops.access import reachable
from ops.exclusive import exclusive
from ops.kubernetes import Kubernetes, answer
from ops.recovery.recover import recover, unlock
from ops.rehearsal import rehearse
from ops.restore import step
from ops.session import Session, checked_settings, open_or_create
from ops.shell import OperationError, confirmed
from ops.versions import Journal, deployed_version, journal_file, open_deployed
from settings.database import ContainerDatabaseSettings
from settings.versions import AIRFLOW_VERSIONS

POLL_SECONDS = 5
PROGRESS_SECONDS = 30
READ_PARSED = """
import json
from datetime import datetime, timezone

from airflow.models.dag import DagModel
from airflow.models.errors import ParseImportError
from airflow.utils.session import create_session
from sqlalchemy import func, select

with create_session() as session:
    errors = sorted(session.scalars(select(ParseImportError.filename)))
    present = select(func.min(DagModel.last_parsed_time)).where(~DagModel.is_stale)
    oldest = session.scalar(present)
oldest = oldest and oldest.astimezone(timezone.utc).isoformat()
print("parsed:", json.dumps({"errors": errors, "oldest": oldest}))
"""
ANSWER = "parsed: "
# A file that fails is not parsed again while its DAGs are still in the database.
PARSE_SECONDS = 180


def upgrade(
    name: str,
    version: str | None = None,
    wait_minutes: int = 60,
    made_backup: str | None = None,
    rehearsal: Literal["yes", "no"] | None = None,
    caller: str | None = None,
) -> int:
    """Rehearse, pause, back up, update and resume a stack with another version of Airflow.

    `made_backup` names a backup of a database that is not part of the stack. `rehearsal`: migrate a
    copy of the database first; default: at `policies.level: production`.
    """
    generations.check_ended(name)
    with ExitStack() as held:
        with _version_in_file(name, version):
            session = open_or_create(name, checked_settings(name))
            before, after = deployed_version(session.stack), session.settings.airflow.version
            if before is None:
                raise OperationError(
                    f"stack {name!r} is not deployed: run `make up STACK={name}` first"
                )
            journal = _open_journal(name, before, after)
            if journal is None:
                print(f"Airflow {after} is deployed: nothing to upgrade")
                return 0
            unlock(session.stack)
            session = held.enter_context(reachable(session, caller))
            held.enter_context(exclusive(_cluster(session), "make upgrade"))
        recover(session)
        owns_database = session.settings.database.kind != "existing"
        if not owns_database and not made_backup and journal.backup is None:
            raise OperationError(backup.NOT_OURS)
        is_production = session.settings.policies.level == "production"
        by_default = "yes" if is_production and owns_database else "no"
        rehearses = (rehearsal or by_default) == "yes"
        return _upgrade(session, journal, wait_minutes * 60, made_backup, rehearses=rehearses)


def _open_journal(name: str, before: str, after: str) -> Journal | None:
    """The upgrade to continue or to begin; None if there is nothing to do."""
    journal = Journal.of(name)
    if journal is not None and not journal.finished:
        if journal.after != after:
            raise OperationError(
                f"the upgrade from {journal.before} to {journal.after} has not finished: run `make upgrade "
                f"STACK={name} VERSION={journal.after}`, or `make rollback STACK={name}`"
            )
        return journal
    if before == after:
        return None
    if Version(after) < Version(before):
        raise OperationError(
            f"Airflow {before} is deployed, and {after} is older: its database cannot be migrated back. "
            f"Nothing was changed. `make rollback STACK={name}` restores the backup of an upgrade"
        )
    return Journal(before=before, after=after)


def _upgrade(
    session: Session,
    journal: Journal,
    wait_seconds: float,
    made_backup: str | None,
    *,
    rehearses: bool,
) -> int:
    name, cluster = session.stack.name, _cluster(session)
    lifecycle.check(session, upgrade=True)
    if journal.import_errors is None:
        paused, errors = maintenance.is_paused(cluster), _parsed(cluster).errors
        journal = replace(journal, was_paused=paused, import_errors=errors).write(name)
    if journal.backup is None:
        if rehearses and not journal.rehearsed:
            rehearse(session, cluster, journal.before)
            journal = replace(journal, rehearsed=True).write(name)
        if journal.paused_at is None:
            journal = replace(journal, paused_at=datetime.now(UTC).isoformat()).write(name)
        with step("pause: wait for running tasks"):
            # A drained worker gives its tasks `grace_seconds`; before, they take what they need.
            maintenance.stop_scheduler(cluster, session.settings)
            _wait_for_tasks(cluster, name, wait_seconds)
            maintenance.drain(cluster, session.settings, name)
            _wait_for_tasks(cluster, name, wait_seconds)
        with step("backup"):
            made = made_backup or backup.make(session, cluster, journal.before)
            journal = replace(journal, backup=made).write(name)
            print(f"backup of Airflow {journal.before}: {made}")
    with step(f"update from {journal.before} to {journal.after}"):
        status = lifecycle.apply(session, upgrade=True)
        if status:
            print(_both_ways(name, journal))
            return status
    with step("gate: no new import errors"):
        new = _new_import_errors(cluster, journal)
        if new:
            files = "\n".join(f"  {file}" for file in new)
            raise OperationError(
                f"these files have import errors with Airflow {journal.after} only:\n{files}\n"
                f"{_both_ways(name, journal)}"
            )
    _resume(session, cluster, journal)
    replace(journal, finished=True).write(name)
    if journal.paused_at is not None and not journal.was_paused:
        stopped = datetime.now(UTC) - datetime.fromisoformat(journal.paused_at)
        print(f"No task was scheduled for {stopped.total_seconds():.0f} s")
    print(f"Airflow {journal.after} runs. Backup of {journal.before}: {journal.backup}")
    return 0


def _both_ways(name: str, journal: Journal) -> str:
    return (
        f"Airflow is paused. On: correct the cause, then `make upgrade STACK={name}`. Without the "
        f"check: `make resume STACK={name}`. Back to {journal.before}: `make rollback STACK={name}`"
    )


def rollback(name: str, yes: bool = False, caller: str | None = None) -> int:
    """Restore the database of before the last upgrade, and the version of Airflow.

    `yes`: do not ask before the loss of what ran since then.
    """
    journal = Journal.of(name)
    if journal is None or journal.backup is None:
        raise OperationError(
            f"{journal_file(name)} names no backup: this checkout has not upgraded stack {name!r}. "
            "Nothing was changed"
        )
    dump = Path(journal.backup)
    if dump.is_absolute() and not dump.exists():
        raise OperationError(f"the backup {journal.backup} is missing. Nothing was changed")
    if journal.before not in AIRFLOW_VERSIONS:
        raise OperationError(
            f"this checkout does not support Airflow {journal.before}: check out the former release, and "
            "run the command there. Nothing was changed"
        )
    if not dump.is_absolute():
        return _rollback_rds(name, journal, journal.backup, yes, caller)
    with ExitStack() as held:
        with _version_in_file(name, journal.before):
            session = open_or_create(name, checked_settings(name))
            if not isinstance(session.settings.database, ContainerDatabaseSettings):
                raise OperationError(
                    f"{journal.backup} is a dump, but database.kind is not container"
                )
            unlock(session.stack)
            session = held.enter_context(reachable(session, caller))
            held.enter_context(exclusive(_cluster(session), "make rollback"))
            print(restore.lost(_cluster(session), dump))
            if not yes and not confirmed("Roll back?"):
                raise OperationError("not confirmed. Nothing was changed")
        recover(session)
        return _rollback(session, journal, dump)


def _rollback_rds(name: str, journal: Journal, snapshot: str, yes: bool, caller: str | None) -> int:
    session, cluster, _ = open_deployed(name)
    source = generations.find(session, snapshot, journal.before)
    unlock(session.stack)
    with reachable(session, caller) as session, exclusive(cluster, "make rollback"):
        if not generations.agreed(session, cluster, source, "Roll back?", yes=yes):
            return 1
        recover(session)
        replace(journal, finished=False).write(name)
        if status := generations.replace_database(session, cluster, source, journal.before):
            print(f"Airflow is paused. To continue: `make rollback STACK={name}`")
            return status
        _resume(session, cluster, journal)
    journal_file(name).unlink()
    generations.Begun.file(name).unlink()
    print(f"Airflow {journal.before} runs with its database of before the upgrade")
    return 0


def _rollback(session: Session, journal: Journal, dump: Path) -> int:
    name, cluster = session.stack.name, _cluster(session)
    replace(journal, finished=False).write(name)
    kept = restore.replace_database(session, cluster, dump)
    with step(f"update from {journal.after} to {journal.before}"):
        if status := lifecycle.apply(session, upgrade=True):
            print(f"Airflow is paused. To continue: `make rollback STACK={name}`")
            return status
    _resume(session, cluster, journal)
    journal_file(name).unlink()
    print(
        f"Airflow {journal.before} runs with its database of before the upgrade. Runs, connections and "
        f"variables of since then are in the database {kept}"
    )
    return 0


def _cluster(session: Session) -> Kubernetes:
    cluster = session.cluster()
    if cluster is None:
        raise OperationError(f"stack {session.stack.name!r} has no cluster")
    return cluster


def _resume(session: Session, cluster: Kubernetes, journal: Journal) -> None:
    if journal.was_paused:
        print("Airflow was paused before, and stays paused")
        return
    with step("resume"):
        queues = queue_status.read(cluster, session.settings, session.stack.name)
        maintenance.start(cluster, session.settings, queues)
        cluster.wait_healthy()


def _wait_for_tasks(cluster: Kubernetes, stack: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    printed = -PROGRESS_SECONDS
    while True:
        running = {q: t.running for q, t in queue_status.count_tasks(cluster).items() if t.running}
        if not running:
            return
        what = ", ".join(f"{number} in {queue}" for queue, number in running.items())
        if time.monotonic() > deadline:
            raise OperationError(
                f"tasks still run after {seconds / 60:g} minutes: {what}. Airflow is paused, and was not "
                f"changed. To wait again: `make upgrade STACK={stack}`; to give up: `make resume "
                f"STACK={stack}`"
            )
        if time.monotonic() - printed >= PROGRESS_SECONDS:
            print(f"running tasks: {what}")
            printed = time.monotonic()
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """Files with import errors, and when the DAG was parsed that waited longest since."""

    errors: tuple[str, ...]
    oldest: datetime | None


def _parsed(cluster: Kubernetes) -> Parsed:
    done = cluster.run_in_airflow(READ_PARSED, seconds=queue_status.COUNT_SECONDS)
    found = answer(done, ANSWER)
    if found is None:
        reason = " ".join(done.stderr.strip().splitlines()[-1:])
        raise OperationError(f"could not read the import errors in the API server's pod: {reason}")
    oldest = found["oldest"] and datetime.fromisoformat(found["oldest"])
    return Parsed(errors=tuple(found["errors"]), oldest=oldest)


def _new_import_errors(cluster: Kubernetes, journal: Journal) -> list[str]:
    """Files with import errors since the update, once every DAG is parsed again."""
    pods = cluster.items("pods", "component=dag-processor")
    start = max(datetime.fromisoformat(pod["status"]["startTime"]) for pod in pods)
    deadline = time.monotonic() + PARSE_SECONDS
    found = _parsed(cluster)
    while found.oldest is not None and found.oldest <= start and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        found = _parsed(cluster)
    return sorted(set(found.errors) - set(journal.import_errors or ()))


@contextmanager
def _version_in_file(name: str, version: str | None) -> Generator[None]:
    """Set `airflow.version` in the stack file; unchanged if the checks fail."""
    settings = stack_files.read_settings(name)
    if version in (None, settings.airflow.version):
        yield
        return
    with stack_files.restored_on_failure(stack_files.stack_path(name)):
        open_or_create(name, settings).stack.set_in_file({"airflow.version": str(version)})
        yield
