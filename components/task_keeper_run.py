"""Beside Airflow: idle workers go first, and the tasks of a worker that goes are not lost.

Every few seconds, from the database and the Kubernetes API:

- Each worker pod gets the number of its running tasks as deletion cost. Whoever takes a worker away
  (KEDA, an HPA, a person) takes the one with the least.
- A task that still runs when its worker is about to be killed is cleared, as a person would do in the UI:
  its worker ends it, and Airflow starts it again elsewhere, with all the retries that its author gave it.
- A task whose worker is gone is reported to Airflow at once, which would otherwise wait for its heartbeat
  for five minutes. It costs no retry and starts again at once. If only the worker's container died, one of
  its tasks may have killed it: after a first try that costs nothing either, then a retry, and such tasks
  are tried again one after the other, or when the delay is over that their author gave them.
- Queues are counted, also those that no worker serves: `queue.*` among Airflow's metrics.
"""

# pyright: reportMissingImports=false
# Airflow's image has them.

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

TURN = timedelta(seconds=3)
# A worker hears of it with its next heartbeat, and gives the task some seconds to end.
CLEAR_BEFORE = timedelta(seconds=15)
# Airflow's heartbeats come every second. A database or API server that is away stops them, too: then the
# worker is still there.
SILENCE = timedelta(seconds=15)
# States of a task that is tried again; None is the one before the scheduler looks at it.
ON_ITS_WAY = (None, "scheduled", "queued", "running")
UNFINISHED = (*ON_ITS_WAY, "restarting", "up_for_retry")
COST = "controller.kubernetes.io/pod-deletion-cost"
# What the liveness probe looks at.
TURNED = Path("/tmp/turned")  # noqa: S108 - of a container of its own
LOG = logging.getLogger("task-keeper")

# Of a task instance: its DAG, task, run and index. Its `id` is another one with each try.
Key = tuple[str, str, str, int]


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A pod. `since`: when its worker started, None: it has not; `until`: when it will be killed."""

    name: str
    address: str | None
    cost: int
    since: datetime | None
    until: datetime | None


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


def new_costs(workers: Iterable[Worker], tasks: Iterable[Task]) -> dict[str, int]:
    """Deletion costs that changed, by pod."""
    busy = Counter(task.address for task in tasks)
    return {w.name: n for w in workers if (n := busy[w.address or ""]) != w.cost}


def out_of_time(workers: Iterable[Worker], tasks: Iterable[Task], now: datetime) -> list[Task]:
    """Tasks that still run on a worker that is about to be killed."""
    going = {w.address for w in workers if w.until and w.until - now <= CLEAR_BEFORE}
    return [task for task in tasks if task.address in going]


def lost(workers: Iterable[Worker], tasks: Iterable[Task], now: datetime) -> list[Lost]:
    """Tasks that have no worker any more."""
    there = {w.address: w for w in workers}
    found: list[Lost] = []
    for task in tasks:
        if now - task.heard < SILENCE:
            continue
        worker = there.get(task.address)
        if worker is None:
            found.append(Lost(task=task, by_itself=False))
        elif worker.since is None or worker.since > task.since:
            found.append(Lost(task=task, by_itself=True))
    return found


def next_suspect(
    suspects: Iterable[Key], tried: Key | None, states: Mapping[Key, str | None]
) -> Key | None:
    """The task that is tried next, of those that may have killed their workers: one at a time.

    `states` has the tasks that are in the database.
    """
    if tried is not None and tried in states and states[tried] in ON_ITS_WAY:
        return None
    return next((key for key in suspects if states.get(key) == "up_for_retry"), None)


def worker_of(pod: Any) -> Worker:
    """A pod of the Kubernetes API, as `Worker`."""
    statuses = pod.status.container_statuses or []
    running = [s.state.running for s in statuses if s.name == "worker" and s.state.running]
    notes: Mapping[str, str] = pod.metadata.annotations or {}
    return Worker(
        name=pod.metadata.name,
        address=pod.status.pod_ip,
        cost=int(notes.get(COST, "0")),
        since=running[0].started_at if running else None,
        # Kubernetes has added the grace period to it.
        until=pod.metadata.deletion_timestamp,
    )


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


def turn(airflow: Airflow, pods: Any, namespace: str, served: Iterable[str], stats: Any) -> None:
    # The tasks first: a worker of theirs that is not in the list of pods afterwards is gone.
    tasks = airflow.running()
    found = pods.list_namespaced_pod(namespace, label_selector="release=airflow,component=worker")
    workers = [worker_of(pod) for pod in found.items]
    now = datetime.now(UTC)

    for name, cost in new_costs(workers, tasks).items():
        note = {"metadata": {"annotations": {COST: str(cost)}}}
        pods.patch_namespaced_pod(name, namespace, note)
    if late := out_of_time(workers, tasks, now):
        LOG.info("start again elsewhere, their workers are out of time: %s", _named(late))
        airflow.start_again(late)
        stats.incr("task_keeper.started_again", len(late))
    if gone := lost(workers, tasks, now):
        LOG.info("their workers are gone: %s", _named(one.task for one in gone))
        airflow.report(gone)
        stats.incr("task_keeper.lost", len(gone))
    airflow.skip_delays()
    _count(tasks, airflow.queued(), served, stats, now)


def _count(
    tasks: Iterable[Task],
    queued: Iterable[tuple[str, int, datetime]],
    served: Iterable[str],
    stats: Any,
    now: datetime,
) -> None:
    busy = Counter(task.queue for task in tasks)
    waiting = {queue: (number, oldest) for queue, number, oldest in queued}
    for queue in served:
        number, oldest = waiting.get(queue, (0, now))
        stats.gauge(f"queue.running.{queue}", busy[queue])
        stats.gauge(f"queue.queued.{queue}", number)
        stats.gauge(f"queue.oldest_wait_seconds.{queue}", (now - oldest).total_seconds())
    nobodys = {queue: n for queue, (n, _) in waiting.items() if queue not in set(served)}
    stats.gauge("queue.unserved", sum(nobodys.values()))
    if nobodys:
        LOG.warning("no worker serves these queues, tasks that wait in each: %s", nobodys)


def _named(tasks: Iterable[Task]) -> str:
    return ", ".join(f"{task.id} on {task.address}" for task in tasks)


def _stats_client() -> Any:
    from statsd import StatsClient

    host, port = os.environ["STATSD_HOST"], int(os.environ["STATSD_PORT"])
    return StatsClient(host, port, prefix="airflow")


def main() -> None:
    from kubernetes import client, config

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config.load_incluster_config()
    airflow, pods, stats = Airflow(), client.CoreV1Api(), None
    namespace, queues = os.environ["NAMESPACE"], os.environ["QUEUES"].split(",")
    while True:
        try:
            # It looks its host up here, which comes with the release.
            stats = stats or _stats_client()
            turn(airflow, pods, namespace, queues, stats)
        except Exception as error:
            # The database or the Kubernetes API is away, or not there yet. Nothing is decided without them.
            LOG.warning("%s: %s", type(error).__name__, str(error).splitlines()[:1])
        TURNED.touch()
        time.sleep(TURN.total_seconds())


if __name__ == "__main__":
    main()
