"""Beside Airflow: idle workers go first, and the tasks of a worker that goes are not lost.

Every few seconds, from the database, the Kubernetes API and Redis:

- Each worker pod gets the number of its running tasks as deletion cost. Whoever takes a worker away
  (KEDA, an HPA, a person) takes the one with the least.
- A task that still runs when its worker is about to be killed is cleared, as a person would do in the UI:
  its worker ends it, and Airflow starts it again elsewhere, with all the retries that its author gave it.
- A task whose worker is gone is reported to Airflow at once, which would otherwise wait for its heartbeat
  for five minutes. It costs no retry and starts again at once. If only the worker's container died, one of
  its tasks may have killed it: after a first try that costs nothing either, then a retry, and such tasks
  are tried again one after the other, or when the delay is over that their author gave them.
- A task whose worker took its message and was killed before it began is handed out again at once, and not
  when Airflow gives up waiting.
- Queues are counted, also those that no worker serves: `queue.*` among Airflow's metrics.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# Airflow's image has them.

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .database import Airflow, Lost, Task
from .messages import PATIENCE, Broker

TURN = timedelta(seconds=3)
# A worker hears of it with its next heartbeat, and gives the task some seconds to end.
CLEAR_BEFORE = timedelta(seconds=15)
# Airflow's heartbeats come every second. A database or API server that is away stops them, too: then the
# worker is still there.
SILENCE = timedelta(seconds=15)
COST = "controller.kubernetes.io/pod-deletion-cost"
# What the liveness probe looks at.
TURNED = Path("/tmp/turned")  # noqa: S108 - of a container of its own
LOG = logging.getLogger("task-keeper")


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A pod. `since`: when its worker started, None: it has not; `until`: when it will be killed."""

    name: str
    address: str | None
    cost: int
    since: datetime | None
    until: datetime | None


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


def turn(
    airflow: Airflow,
    broker: Broker,
    pods: Any,
    namespace: str,
    served: Iterable[str],
    stats: Any,
) -> None:
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
    if gone := lost(workers, tasks, now):
        LOG.info("their workers are gone: %s", _named(one.task for one in gone))
        airflow.report(gone)
    airflow.skip_delays()
    _count(tasks, airflow.queued(), served, stats, now)
    # Also 0: an alert sees no increase where there was no counter before.
    stats.incr("task_keeper.started_again", len(late))
    stats.incr("task_keeper.lost", len(gone))

    # Last: Redis may be away.
    again: list[str] = []
    if waiting := airflow.waiting(now - PATIENCE):
        since = {w.name: w.since for w in workers if w.since}
        again = broker.hand_out_again(waiting, since, now)
    if again:
        LOG.info("hand out again, their workers are gone: %s", ", ".join(again))
    stats.incr("task_keeper.handed_out_again", len(again))


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
    broker = Broker(os.environ["AIRFLOW__CELERY__BROKER_URL"])
    namespace, queues = os.environ["NAMESPACE"], os.environ["QUEUES"].split(",")
    while True:
        try:
            # It looks its host up here, which comes with the release.
            stats = stats or _stats_client()
            turn(airflow, broker, pods, namespace, queues, stats)
        except Exception as error:
            # The database, Redis or the Kubernetes API is away, or not there yet. Nothing is decided
            # without them.
            LOG.warning("%s: %s", type(error).__name__, str(error).splitlines()[:1])
        TURNED.touch()
        time.sleep(TURN.total_seconds())


if __name__ == "__main__":
    main()
