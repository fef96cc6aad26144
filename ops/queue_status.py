"""Status of the queues of a running stack: workers in the cluster, tasks in Airflow's database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.airflow.values import deployment
from ops.columns import aligned
from ops.kubernetes import Kubernetes, answer
from ops.shell import OperationError
from settings import Settings
from settings.workers import WorkerSettings

# Importing Airflow takes this long on a busy node.
COUNT_SECONDS = 60
# https://keda.sh/docs/2.17/concepts/scaling-deployments/#pausing-autoscaling
PAUSED = "autoscaling.keda.sh/paused-replicas"
# Annotation that `drain` sets on a Deployment that KEDA does not scale. Helm keeps annotations that
# it does not manage.
DRAINED = "airflow-platform/drained"
SCALED_OBJECT = "scaledobjects.keda.sh"

COUNT_TASKS = """
import json
from datetime import datetime, timezone

from airflow.models.taskinstance import TaskInstance as Task
from airflow.utils.session import create_session
from sqlalchemy import func, select

key = (Task.queue, Task.dag_id, Task.state)
counted = select(*key, func.count(), func.min(Task.queued_dttm))
unfinished = Task.state.in_(["scheduled", "queued", "running"])
with create_session() as session:
    rows = session.execute(counted.where(unfinished).group_by(*key)).all()
now = datetime.now(timezone.utc)
print("tasks:", json.dumps([
    {
        "queue": queue,
        "dag": dag,
        "state": str(state),
        "count": count,
        "seconds": (now - since).total_seconds() if since else 0,
    }
    for queue, dag, state, count, since in rows
]))
"""

ANSWER = "tasks: "


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """Unfinished tasks of a queue. `oldest_wait_seconds` covers tasks in state `queued` only."""

    running: int = 0
    queued: int = 0
    scheduled: int = 0
    oldest_wait_seconds: int | None = None
    waiting_dags: Sequence[str] = ()

    @property
    def waiting(self) -> int:
        return self.queued + self.scheduled


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """Workers of a queue. `deployment` names their Deployment and its ScaledObject."""

    queue: str
    settings: WorkerSettings
    deployment: str
    desired: int
    ready: int
    drained: bool

    @property
    def slots(self) -> int:
        return self.ready * self.settings.concurrency


def count_tasks(cluster: Kubernetes) -> dict[str, Tasks]:
    """Unfinished tasks by queue, from Airflow's database."""
    done = cluster.run_in_airflow(COUNT_TASKS, seconds=COUNT_SECONDS)
    rows = answer(done, ANSWER)
    if rows is None:
        reason = " ".join(done.stderr.strip().splitlines()[-1:])
        raise OperationError(
            f"could not count the tasks in the API server's pod: {reason}. "
            "See docs/runbooks/airflow-unhealthy.md"
        )
    return {queue: _sum(rows, queue) for queue in sorted({row["queue"] for row in rows})}


def _sum(rows: Sequence[Mapping[str, Any]], queue: str) -> Tasks:
    own = [row for row in rows if row["queue"] == queue]
    count = {
        state: sum(row["count"] for row in own if row["state"] == state)
        for state in ("running", "queued", "scheduled")
    }
    waits = [int(row["seconds"]) for row in own if row["state"] == "queued"]
    dags = {row["dag"] for row in own if row["state"] != "running"}
    return Tasks(
        **count, oldest_wait_seconds=max(waits, default=None), waiting_dags=tuple(sorted(dags))
    )


def read(cluster: Kubernetes, settings: Settings, stack: str) -> list[QueueStatus]:
    """Status of every queue in the stack file. Raises `OperationError` if one is not deployed."""
    selector = "release=airflow,component=worker"
    deployments = _by_name(cluster.items("deployments", selector))
    scaled = (
        _by_name(cluster.items(SCALED_OBJECT, "release=airflow")) if settings.needs_keda else {}
    )
    queues = settings.all_queues
    found: list[QueueStatus] = []
    for queue, wanted in queues.items():
        name = deployment(queue, queues)
        by_keda = wanted.scaling == "queue"
        if name not in deployments or (by_keda and name not in scaled):
            raise OperationError(
                f"queue {queue!r} of Pulumi.{stack}.yaml is not deployed ({name}, scaling: "
                f"{wanted.scaling}): run `make up STACK={stack}` first"
            )
        workers = deployments[name]
        found.append(
            QueueStatus(
                queue=queue,
                settings=wanted,
                deployment=name,
                desired=workers["spec"]["replicas"],
                ready=workers.get("status", {}).get("readyReplicas", 0),
                drained=_has(scaled[name], PAUSED) if by_keda else _has(workers, DRAINED),
            )
        )
    return found


def read_one(cluster: Kubernetes, settings: Settings, queue: str, stack: str) -> QueueStatus:
    """Status of one queue."""
    queues = read(cluster, settings, stack)
    check_known([each.queue for each in queues], queue, stack)
    (found,) = [each for each in queues if each.queue == queue]
    return found


def check_known(queues: Sequence[str], queue: str, stack: str) -> None:
    if queue not in queues:
        raise OperationError(
            f"Pulumi.{stack}.yaml has no queue {queue!r}. Pass one of its queues as QUEUE=: "
            f"{', '.join(queues)}"
        )


def _has(resource: Mapping[str, Any], annotation: str) -> bool:
    return annotation in resource["metadata"].get("annotations", {})


def _by_name(items: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in items}


HEAD = ("queue", "slots", "busy", "queued", "oldest wait", "replicas", "target", "state")


def table(queues: Sequence[QueueStatus], unfinished: Mapping[str, Tasks], stack: str) -> list[str]:
    """A line for each queue, then one for each queue that has waiting tasks and no workers."""
    rows = [HEAD, *(_row(queue, unfinished.get(queue.queue, Tasks())) for queue in queues)]
    lines = aligned(rows)
    for queue, tasks in unserved(queues, unfinished).items():
        lines.append(
            f"! {queue}: {tasks.waiting} waiting, no workers. Add queues.{queue} to "
            f"Pulumi.{stack}.yaml and run `make up STACK={stack}`, or correct `queue` in the DAGs: "
            f"{', '.join(tasks.waiting_dags)}"
        )
    return lines


def _row(queue: QueueStatus, tasks: Tasks) -> tuple[str, ...]:
    wait = tasks.oldest_wait_seconds
    wanted = queue.settings
    bounds = f"{wanted.max}" if wanted.scaling == "fixed" else f"{wanted.min}-{wanted.max}"
    return (
        queue.queue,
        f"{queue.slots}",
        f"{tasks.running}",
        f"{tasks.queued}",
        "-" if wait is None else f"{wait} s",
        f"{queue.ready}/{queue.desired}",
        f"{bounds} ({wanted.scaling})",
        "drained" if queue.drained else "active",
    )


def unserved(queues: Sequence[QueueStatus], unfinished: Mapping[str, Tasks]) -> dict[str, Tasks]:
    """Waiting tasks by queue, for queues that are not in the stack file."""
    served = {each.queue for each in queues}
    return {
        queue: tasks for queue, tasks in unfinished.items() if tasks.waiting and queue not in served
    }


def as_json(
    queues: Sequence[QueueStatus], unfinished: Mapping[str, Tasks], *, paused: bool
) -> dict[str, Any]:
    """The data of `table` for programs."""
    return {
        "paused": paused,
        "queues": [_json(each, unfinished.get(each.queue, Tasks())) for each in queues],
        "unserved": [
            {"queue": queue, "waiting": tasks.waiting, "dags": list(tasks.waiting_dags)}
            for queue, tasks in unserved(queues, unfinished).items()
        ],
    }


def _json(queue: QueueStatus, tasks: Tasks) -> dict[str, Any]:
    wanted = queue.settings
    return {
        "queue": queue.queue,
        "slots": queue.slots,
        "busy": tasks.running,
        "queued": tasks.queued,
        "oldest_wait_seconds": tasks.oldest_wait_seconds,
        "replicas": {"ready": queue.ready, "desired": queue.desired},
        "target": {"min": wanted.min, "max": wanted.max, "scaling": wanted.scaling},
        "state": "drained" if queue.drained else "active",
    }
