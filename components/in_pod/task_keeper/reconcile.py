"""The task keeper: every few seconds it compares the database, the worker pods and Redis.

- Deletion cost of each worker pod: its number of running tasks, so that idle workers are deleted
  first.
- Tasks of a worker whose grace period ends: cleared, so that they restart on another worker.
- Orphaned tasks: reported to the scheduler, without waiting for the heartbeat timeout.
- Messages that a lost worker had taken: requeued. Tasks whose message is lost: queued again.
- Metrics `queue.*`, including queues without workers.

The reasons: docs/adr/0013-a-task-keeper.md.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# The Airflow image contains the missing packages.

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .database import LONG_AGO, Airflow, OrphanedTask, Task
from .messages import PATIENCE, Broker

INTERVAL = timedelta(seconds=3)
# A worker learns with its next heartbeat that a task was cleared, and gives it seconds to end.
CLEAR_BEFORE = timedelta(seconds=15)
# Tasks send a heartbeat every few seconds. If the database or the API server is down, heartbeats stop
# although the workers are still running.
SILENCE = timedelta(seconds=15)
# The scheduler has not acted on the report yet.
REPORTED = LONG_AGO / 2
COST = "controller.kubernetes.io/pod-deletion-cost"
# The liveness probe checks its age.
HEARTBEAT_FILE = Path("/tmp/heartbeat")  # noqa: S108 - in its own container
LOG = logging.getLogger("task-keeper")


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker pod."""

    name: str
    address: str | None
    cost: int
    # Start of the worker container; None: not running.
    started_at: datetime | None
    # End of the grace period; None: not terminating.
    killed_at: datetime | None


def new_costs(workers: Iterable[Worker], tasks: Iterable[Task]) -> dict[str, int]:
    """Changed deletion costs by pod."""
    busy = Counter(task.address for task in tasks)
    return {w.name: n for w in workers if (n := busy[w.address or ""]) != w.cost}


def out_of_time(workers: Iterable[Worker], tasks: Iterable[Task], now: datetime) -> list[Task]:
    """Tasks that are still running on a worker whose grace period ends."""
    ending = {w.address for w in workers if w.killed_at and w.killed_at - now <= CLEAR_BEFORE}
    return [task for task in tasks if task.address in ending]


def orphaned(workers: Iterable[Worker], tasks: Iterable[Task], now: datetime) -> list[OrphanedTask]:
    """Tasks whose worker is gone."""
    by_address = {w.address: w for w in workers}
    found: list[OrphanedTask] = []
    for task in tasks:
        already_reported = task.last_heartbeat < task.since - REPORTED
        if now - task.last_heartbeat < SILENCE or already_reported:
            continue
        worker = by_address.get(task.address)
        if worker is None:
            found.append(OrphanedTask(task=task, worker_container_died=False))
        elif worker.started_at is None or worker.started_at > task.since:
            found.append(OrphanedTask(task=task, worker_container_died=True))
    return found


def worker_of(pod: Any) -> Worker:
    """Convert a pod of the Kubernetes API."""
    statuses = pod.status.container_statuses or []
    running = [s.state.running for s in statuses if s.name == "worker" and s.state.running]
    annotations: Mapping[str, str] = pod.metadata.annotations or {}
    return Worker(
        name=pod.metadata.name,
        address=pod.status.pod_ip,
        cost=int(annotations.get(COST, "0")),
        started_at=running[0].started_at if running else None,
        # Kubernetes sets it to the end of the grace period.
        killed_at=pod.metadata.deletion_timestamp,
    )


def reconcile_once(
    airflow: Airflow,
    broker: Broker,
    pods: Any,
    namespace: str,
    served: Iterable[str],
    stats: Any,
) -> None:
    # Tasks before pods: a worker that is missing in the later list of pods is gone.
    tasks = airflow.running()
    found = pods.list_namespaced_pod(namespace, label_selector="release=airflow,component=worker")
    workers = [worker_of(pod) for pod in found.items]
    now = datetime.now(UTC)

    for name, cost in new_costs(workers, tasks).items():
        change = {"metadata": {"annotations": {COST: str(cost)}}}
        pods.patch_namespaced_pod(name, namespace, change)
    if ending := out_of_time(workers, tasks, now):
        LOG.info("clear tasks, the grace period of their worker ends: %s", _list(ending))
        airflow.restart(ending)
    if orphans := orphaned(workers, tasks, now):
        LOG.info("report orphaned tasks: %s", _list(orphan.task for orphan in orphans))
        airflow.report(orphans)
    airflow.skip_delays()
    waiting = airflow.queued()
    _measure(tasks, waiting, served, stats, now)
    # Also 0: an alert sees no increase of a counter that did not exist before.
    stats.incr("task_keeper.started_again", len(ending))
    stats.incr("task_keeper.lost", len(orphans))

    # Last, because Redis may be down.
    requeued: list[str] = []
    queued = airflow.queued_before(now - PATIENCE)
    if queued:
        started = {w.name: w.started_at for w in workers if w.started_at}
        requeued = broker.requeue(queued, started, now)
    if requeued:
        LOG.info("requeue messages of lost workers: %s", ", ".join(requeued))
    if lost := broker.lost(queued, [queue for queue, _, _ in waiting], now):
        LOG.info("queue tasks again whose message is lost: %s", ", ".join(lost))
        airflow.requeue(lost)
    stats.incr("task_keeper.handed_out_again", len(requeued) + len(lost))


def _measure(
    tasks: Iterable[Task],
    queued: Iterable[tuple[str, int, datetime]],
    served: Iterable[str],
    stats: Any,
    now: datetime,
) -> None:
    running = Counter(task.queue for task in tasks)
    queues = {queue: (number, oldest) for queue, number, oldest in queued}
    for queue in served:
        number, oldest = queues.get(queue, (0, now))
        stats.gauge(f"queue.running.{queue}", running[queue])
        stats.gauge(f"queue.queued.{queue}", number)
        stats.gauge(f"queue.oldest_wait_seconds.{queue}", (now - oldest).total_seconds())
    unserved = {queue: n for queue, (n, _) in queues.items() if queue not in set(served)}
    stats.gauge("queue.unserved", sum(unserved.values()))
    if unserved:
        LOG.warning("queues without workers, and their queued tasks: %s", unserved)


def _list(tasks: Iterable[Task]) -> str:
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
            # The client resolves its host here, and the release creates that Service later.
            stats = stats or _stats_client()
            reconcile_once(airflow, broker, pods, namespace, queues, stats)
        except Exception as error:
            # The database, Redis or the Kubernetes API is down or not ready yet: retry.
            LOG.warning("%s: %s", type(error).__name__, str(error).splitlines()[:1])
        HEARTBEAT_FILE.touch()
        time.sleep(INTERVAL.total_seconds())


if __name__ == "__main__":
    main()
