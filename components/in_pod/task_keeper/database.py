"""Airflow's metadata database, as the task keeper reads and updates it."""

# pyright: reportMissingImports=false
# The Airflow image contains the missing packages.

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

# States of a task that is being retried; None: the scheduler has not picked it up yet.
RETRYING = (None, "scheduled", "queued", "running")
UNFINISHED = (*RETRYING, "restarting", "up_for_retry")
ON_WORKER = ("running", "restarting")

# The times that the keeper sets back, so that the scheduler's own checks find a task. No timeout of
# a stack is that long.
LONG_AGO = timedelta(days=365)

# Primary key of a task instance: DAG, task, run and map index. Its `id` changes with each try.
Key = tuple[str, str, str, int]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task instance on a worker: running, or about to be stopped because it was cleared."""

    id: Any
    queue: str
    # Address of its worker.
    address: str
    since: datetime
    last_heartbeat: datetime


@dataclass(frozen=True, kw_only=True)
class OrphanedTask:
    """A task whose worker is gone."""

    task: Task
    # The container died in a pod that still exists: the task may be the cause.
    worker_container_died: bool


def next_suspect(
    crash_suspects: Iterable[Key], retried: Key | None, states: Mapping[Key, str | None]
) -> Key | None:
    """The crash suspect to retry next. Suspects are retried one at a time.

    `states` contains the tasks that exist in the database.
    """
    if retried is not None and retried in states and states[retried] in RETRYING:
        return None
    return next((key for key in crash_suspects if states.get(key) == "up_for_retry"), None)


class Airflow:
    """The metadata database, through Airflow's own models."""

    def __init__(self) -> None:
        from airflow.models.taskinstance import TaskInstance, clear_task_instances
        from airflow.utils.session import create_session

        self._instance = TaskInstance
        self._clear = clear_task_instances
        self._session = create_session
        # Tasks whose `retry_delay` is skipped.
        self._without_delay: set[Key] = set()
        # In the order in which they are retried.
        self._crash_suspects: list[Key] = []
        self._retried: Key | None = None

    def running(self) -> list[Task]:
        from sqlalchemy import select

        instance = self._instance
        columns = (
            instance.id,
            instance.queue,
            instance.hostname,
            instance.start_date,
            instance.last_heartbeat_at,
        )
        with self._session() as session:
            rows = session.execute(select(*columns).where(instance.state.in_(ON_WORKER))).all()
        return [
            Task(
                id=id_,
                queue=queue,
                address=address,
                since=since,
                last_heartbeat=heartbeat or since,
            )
            for id_, queue, address, since, heartbeat in rows
            if since is not None
        ]

    def queued(self) -> list[tuple[str, int, datetime]]:
        """Each queue with its number of queued tasks and the time of the oldest one."""
        from sqlalchemy import func, select

        instance = self._instance
        counts = select(instance.queue, func.count(), func.min(instance.queued_dttm))
        with self._session() as session:
            rows = session.execute(
                counts.where(
                    instance.state == "queued", instance.queued_dttm > datetime.now(UTC) - LONG_AGO
                ).group_by(instance.queue)
            ).all()
        return [(queue, number, oldest) for queue, number, oldest in rows]

    def queued_before(self, time: datetime) -> set[str]:
        """Celery's IDs of the tasks that have been queued since `time` or longer."""
        from sqlalchemy import select

        instance = self._instance
        ids = select(instance.external_executor_id)
        queued = ids.where(instance.state == "queued", instance.queued_dttm <= time)
        with self._session() as session:
            return set(session.scalars(queued)) - {None}

    def requeue(self, ids: Collection[str]) -> None:
        """Set the queuing time back, so that the scheduler queues these tasks again."""
        from sqlalchemy import update

        instance = self._instance
        lost = instance.external_executor_id.in_(ids)
        change = update(instance).where(lost, instance.state == "queued")
        with self._session() as session:
            session.execute(change.values(queued_dttm=instance.queued_dttm - LONG_AGO))

    def restart(self, tasks: Sequence[Task]) -> None:
        """Clear the tasks: their workers end them, and Airflow starts them on other workers."""
        with self._session() as session:
            locked = self._locked(session, tasks)
            self._clear_running(session, [i for i in locked if i.state == "running"])

    def report(self, orphaned: Sequence[OrphanedTask]) -> None:
        """Set the last heartbeat back, so that the scheduler's next check finds these tasks.

        Tasks that did not cause the crash are cleared first: a task in the state `restarting` may
        start again regardless of its retries.
        """
        with self._session() as session:
            instances = self._locked(session, [orphan.task for orphan in orphaned])
            possible_causes = {o.task.id for o in orphaned if o.worker_container_died}
            suspected = [
                i
                for i in instances
                if i.id in possible_causes and i.try_number > 1 and i.state == "running"
            ]
            cleared = [i for i in instances if i.state == "restarting"]
            innocent = [i for i in instances if i not in suspected and i not in cleared]
            self._clear_running(session, innocent)
            self._without_delay |= {instance.key.primary for instance in innocent}
            suspects = [instance.key.primary for instance in suspected]
            others = [key for key in self._crash_suspects if key not in suspects]
            self._crash_suspects = others + suspects
            for instance in instances:
                instance.last_heartbeat_at = instance.start_date - LONG_AGO

    def _clear_running(self, session: Any, instances: Sequence[Any]) -> None:
        """Clear them as the UI does. The interrupted try does not count as a retry."""
        if instances:
            self._clear(instances, session, dag_run_state=False)
        for instance in instances:
            instance.max_tries += 1

    def skip_delays(self) -> None:
        """Retry orphaned tasks without waiting for their `retry_delay`."""
        from sqlalchemy import select, tuple_

        model = self._instance
        known = {
            *self._without_delay,
            *self._crash_suspects,
            *filter(None, [self._retried]),
        }
        if not known:
            return
        with self._session() as session:
            key = tuple_(model.dag_id, model.task_id, model.run_id, model.map_index)
            rows = session.scalars(select(model).where(key.in_(known)))
            instances = {instance.key.primary: instance for instance in rows}
            states = {key: instance.state for key, instance in instances.items()}
            due = {key for key in self._without_delay if states.get(key) == "up_for_retry"}
            suspect = next_suspect(self._crash_suspects, self._retried, states)
            if suspect is not None:
                self._crash_suspects.remove(suspect)
                self._retried = suspect
                due.add(suspect)
            for key in due:
                instances[key].state = None
            unfinished = {key for key, state in states.items() if state in UNFINISHED}
            self._without_delay = self._without_delay & unfinished - due
            self._crash_suspects = [key for key in self._crash_suspects if key in unfinished]
            if self._retried not in unfinished:
                self._retried = None  # otherwise every reconcile would query it, forever

    def _locked(self, session: Any, tasks: Sequence[Task]) -> list[Any]:
        """The task instances that are still on a worker, locked."""
        from sqlalchemy import select

        instance = self._instance
        ids = [task.id for task in tasks]
        rows = select(instance).where(instance.id.in_(ids), instance.state.in_(ON_WORKER))
        # Lock rows of this table only: the model joins others.
        return list(session.scalars(rows.with_for_update(of=instance)))
