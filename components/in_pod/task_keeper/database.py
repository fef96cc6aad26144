"""Airflow's metadata database, as the task keeper reads and changes it."""

# pyright: reportMissingImports=false
# Airflow's image has it.

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# States of a task that is tried again; None is the one before the scheduler looks at it.
ON_ITS_WAY = (None, "scheduled", "queued", "running")
UNFINISHED = (*ON_ITS_WAY, "restarting", "up_for_retry")

# Of a task instance: its DAG, task, run and index. Its `id` is another one with each try.
Key = tuple[str, str, str, int]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A running task instance. `address` is that of its worker."""

    id: Any
    queue: str
    address: str
    since: datetime
    heard: datetime


@dataclass(frozen=True, kw_only=True)
class Lost:
    """`by_itself`: the task may have killed its worker."""

    task: Task
    by_itself: bool


def next_suspect(
    suspects: Iterable[Key], tried: Key | None, states: Mapping[Key, str | None]
) -> Key | None:
    """The task that is tried next, of those that may have killed their workers: one at a time.

    `states` has the tasks that are in the database.
    """
    if tried is not None and tried in states and states[tried] in ON_ITS_WAY:
        return None
    return next((key for key in suspects if states.get(key) == "up_for_retry"), None)


class Airflow:
    """The metadata database, through Airflow's own models."""

    def __init__(self) -> None:
        from airflow.models.taskinstance import TaskInstance, clear_task_instances
        from airflow.utils.session import create_session

        self._instance = TaskInstance
        self._clear = clear_task_instances
        self._session = create_session
        self._at_once: set[Key] = set()
        # In the order in which they are tried.
        self._suspects: list[Key] = []
        self._tried: Key | None = None

    def running(self) -> list[Task]:
        from sqlalchemy import select

        one = self._instance
        columns = (one.id, one.queue, one.hostname, one.start_date, one.last_heartbeat_at)
        with self._session() as session:
            rows = session.execute(select(*columns).where(one.state == "running")).all()
        return [
            Task(id=id_, queue=queue, address=address, since=since, heard=heard or since)
            for id_, queue, address, since, heard in rows
            if since is not None
        ]

    def queued(self) -> list[tuple[str, int, datetime]]:
        """Queue, tasks that wait in it, and since when the oldest does."""
        from sqlalchemy import func, select

        one = self._instance
        counts = select(one.queue, func.count(), func.min(one.queued_dttm))
        with self._session() as session:
            rows = session.execute(counts.where(one.state == "queued").group_by(one.queue)).all()
        return [(queue, number, oldest) for queue, number, oldest in rows]

    def waiting(self, since: datetime) -> set[str]:
        """Celery's ids of the tasks that are queued since then or longer."""
        from sqlalchemy import select

        one = self._instance
        ids = select(one.external_executor_id)
        with self._session() as session:
            return set(session.scalars(ids.where(one.state == "queued", one.queued_dttm <= since)))

    def start_again(self, tasks: Sequence[Task]) -> None:
        with self._session() as session:
            self._clear_running(session, self._locked(session, tasks))

    def report(self, gone: Sequence[Lost]) -> None:
        """Let the scheduler's next look find that there were no heartbeats for long.

        Cleared before, a task is `restarting`, which may start again whatever its retries are.
        """
        with self._session() as session:
            instances = self._locked(session, [one.task for one in gone])
            may_be_guilty = {one.task.id for one in gone if one.by_itself}
            again = [i for i in instances if i.id in may_be_guilty and i.try_number > 1]
            innocent = [instance for instance in instances if instance not in again]
            self._clear_running(session, innocent)
            self._at_once |= {instance.key.primary for instance in innocent}
            suspects = [instance.key.primary for instance in again]
            self._suspects = [key for key in self._suspects if key not in suspects] + suspects
            for instance in instances:
                instance.last_heartbeat_at = instance.start_date - timedelta(days=1)

    def _clear_running(self, session: Any, instances: Sequence[Any]) -> None:
        """As the UI does it; and the try that ends here is none of those that the author gave."""
        if instances:
            self._clear(instances, session, dag_run_state=False)
        for instance in instances:
            instance.max_tries += 1

    def skip_delays(self) -> None:
        """Of tasks that wait for a retry because they were lost."""
        from sqlalchemy import select, tuple_

        one = self._instance
        known = {*self._at_once, *self._suspects, *filter(None, [self._tried])}
        if not known:
            return
        with self._session() as session:
            key = tuple_(one.dag_id, one.task_id, one.run_id, one.map_index)
            rows = session.scalars(select(one).where(key.in_(known)))
            there = {instance.key.primary: instance for instance in rows}
            states = {key: instance.state for key, instance in there.items()}
            free = {key for key in self._at_once if states.get(key) == "up_for_retry"}
            suspect = next_suspect(self._suspects, self._tried, states)
            if suspect is not None:
                self._suspects.remove(suspect)
                self._tried = suspect
                free.add(suspect)
            for key in free:
                there[key].state = None
            unfinished = {key for key, state in states.items() if state in UNFINISHED}
            self._at_once = self._at_once & unfinished - free
            self._suspects = [key for key in self._suspects if key in unfinished]
            if self._tried not in unfinished:
                self._tried = None  # otherwise each turn would ask for it, for ever

    def _locked(self, session: Any, tasks: Sequence[Task]) -> list[Any]:
        """Those that still run."""
        from sqlalchemy import select

        one = self._instance
        ids = [task.id for task in tasks]
        rows = select(one).where(one.id.in_(ids), one.state == "running")
        # Of this table only: it joins others.
        return list(session.scalars(rows.with_for_update(of=one)))
