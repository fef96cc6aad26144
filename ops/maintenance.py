"""Pauses a stack for maintenance: stops the scheduler and drains every queue."""

import json
from dataclasses import dataclass

from components.support import chart_names
from ops import queue_ops, queue_status
from ops.kubernetes import Kubernetes
from ops.queue_status import QueueStatus
from ops.session import open_running
from ops.shell import OperationError, output
from settings import Settings

SECONDS = 30
SCHEDULER = f"deployment/{chart_names.SCHEDULER}"
# Annotation of the scheduler's Deployment from the start of `pause` to the end of `resume`, so that
# an interrupted command can be re-run. Helm keeps annotations that it does not manage.
REPLICAS_BEFORE_PAUSE = "airflow-platform/replicas-before-pause"


def pause(name: str) -> int:
    """Stop scheduling and drain every queue."""
    stack = open_running(name)
    queues = stop(stack.cluster, stack.settings, name)
    unfinished = queue_status.count_tasks(stack.cluster)
    for queue in queues:
        print(queue_ops.drain_summary(queue, unfinished, name))
    print(f"Airflow is paused. To list running tasks: `make queues STACK={name}`")
    print(f"To end the pause: `make resume STACK={name}`")
    return 0


def resume(name: str) -> int:
    """Start the scheduler, then the workers of every queue."""
    stack = open_running(name)
    queues = queue_status.read(stack.cluster, stack.settings, name)
    if start(stack.cluster, stack.settings, queues):
        stack.cluster.wait_healthy()
        print("Airflow is running again.")
        return 0
    print("Airflow is not paused.")
    for queue in queues:
        if queue.drained:
            print(f"{queue.queue}: drained, see `make undrain QUEUE={queue.queue} STACK={name}`")
    return 0


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """`before` is the replica count before the pause; None if Airflow is not paused."""

    replicas: int
    before: int | None


def is_paused(cluster: Kubernetes) -> bool:
    scheduler = _scheduler(cluster)
    return scheduler is not None and scheduler.before is not None


def stop(cluster: Kubernetes, settings: Settings, stack: str) -> list[QueueStatus]:
    """Stop the scheduler, then drain every queue."""
    stop_scheduler(cluster, settings)
    return drain(cluster, settings, stack)


def drain(cluster: Kubernetes, settings: Settings, stack: str) -> list[QueueStatus]:
    """Stop the workers of every queue; their tasks have `grace_seconds` to finish."""
    queues = queue_status.read(cluster, settings, stack)
    queue_ops.drain(cluster, queues)
    print(f"queues: drained ({', '.join(each.queue for each in queues)})")
    return queues


def stop_scheduler(cluster: Kubernetes, settings: Settings) -> None:
    """Start no new task; queued ones still start. From here on, Airflow is paused."""
    scheduler = _require_scheduler(cluster)
    before = scheduler.replicas or scheduler.before or settings.airflow.replicas.scheduler
    annotations = {REPLICAS_BEFORE_PAUSE: str(before)}
    cluster.patch(SCHEDULER, {"metadata": {"annotations": annotations}, "spec": {"replicas": 0}})
    print(f"scheduler: scaled from {before} to 0; DAGs keep their paused state")


def start(cluster: Kubernetes, settings: Settings, queues: list[QueueStatus]) -> bool:
    """Start the scheduler, then the workers of every queue. Returns False if nothing is paused."""
    scheduler = _require_scheduler(cluster)
    if scheduler.replicas and scheduler.before is None:
        return False
    replicas = scheduler.replicas or scheduler.before or settings.airflow.replicas.scheduler
    cluster.patch(SCHEDULER, {"spec": {"replicas": replicas}})
    print(f"scheduler: scaled to {replicas}")
    queue_ops.undrain(cluster, queues)
    print(f"queues: starting workers ({', '.join(each.queue for each in queues)})")
    cluster.patch(SCHEDULER, {"metadata": {"annotations": {REPLICAS_BEFORE_PAUSE: None}}})
    return True


def _require_scheduler(cluster: Kubernetes) -> Scheduler:
    scheduler = _scheduler(cluster)
    if scheduler is None:
        raise OperationError(f"{SCHEDULER} does not exist: run `make up` first")
    return scheduler


def _scheduler(cluster: Kubernetes) -> Scheduler | None:
    words = [
        "get",
        SCHEDULER,
        "--namespace",
        cluster.namespace,
        "--ignore-not-found",
        "--output",
        "json",
    ]
    text = output(cluster.command(*words), seconds=SECONDS)
    if not text.strip():
        return None
    found = json.loads(text)
    before = found["metadata"].get("annotations", {}).get(REPLICAS_BEFORE_PAUSE)
    return Scheduler(
        replicas=found["spec"]["replicas"], before=None if before is None else int(before)
    )
