"""The queues of a running stack: what they do, and how their workers stop and start."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.airflow.values import deployment
from components.kubernetes import keda
from ops.kubernetes import NAMESPACE, Kubernetes
from ops.shell import OperationError, attempt, output
from settings import Settings
from settings.workers import WorkerSettings

SECONDS = 30
# A Python that imports Airflow, on a busy node.
COUNT_SECONDS = 60
# KEDA looks every few seconds.
EFFECT_SECONDS = 30
# https://keda.sh/docs/2.17/concepts/scaling-deployments/#pausing-autoscaling
PAUSED = "autoscaling.keda.sh/paused-replicas"
# Ours, on the Deployment of workers that KEDA does not scale. Helm keeps annotations that it does not know.
DRAINED = "airflow-platform/drained"
SCALED_OBJECT = "scaledobjects.keda.sh"

# Runs in the pod of the API server, which stays while the scheduler is paused.
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
    """Tasks of one queue that have not ended. `oldest_wait_seconds`: of those in state queued."""

    running: int = 0
    queued: int = 0
    scheduled: int = 0
    oldest_wait_seconds: int | None = None
    waiting_dags: Sequence[str] = ()

    @property
    def waiting(self) -> int:
        return self.queued + self.scheduled


@dataclass(frozen=True, kw_only=True)
class Workers:
    """The workers of a queue. `name` is that of their Deployment, and of what scales it."""

    queue: str
    settings: WorkerSettings
    name: str
    desired: int
    ready: int
    drained: bool

    @property
    def slots(self) -> int:
        return self.ready * self.settings.concurrency


def tasks(cluster: Kubernetes) -> dict[str, Tasks]:
    """Unfinished tasks by queue, from Airflow's database."""
    where = ["--namespace", NAMESPACE, "--stdin", "deploy/airflow-api-server"]
    words = ["exec", *where, "--container", "api-server", "--", "python", "-"]
    done = attempt(cluster.command(*words), seconds=COUNT_SECONDS, stdin=COUNT_TASKS)
    if done.returncode:
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        raise OperationError(
            f"the API server of Airflow could not count the tasks: {last}. "
            "See docs/runbooks/airflow-unhealthy.md"
        )
    # Airflow logs to the same place.
    (found,) = [line for line in done.stdout.splitlines() if line.startswith(ANSWER)]
    rows = json.loads(found.removeprefix(ANSWER))
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


def workers(cluster: Kubernetes, settings: Settings, stack: str) -> list[Workers]:
    """The workers of each queue of the stack file. Raises `OperationError` if some are not in the cluster."""
    selector = "release=airflow,component=worker"
    deployments = _by_name(cluster.items("deployments", selector))
    scaled = (
        _by_name(cluster.items(SCALED_OBJECT, "release=airflow")) if settings.needs_keda else {}
    )
    queues = settings.all_queues
    found: list[Workers] = []
    for queue, wanted in queues.items():
        name = deployment(queue, queues)
        by_queue = wanted.scaling == "queue"
        if name not in deployments or (by_queue and name not in scaled):
            raise OperationError(
                f"the cluster has no workers of queue {queue!r} as Pulumi.{stack}.yaml describes them "
                f"({name}, scaling: {wanted.scaling}): `make up STACK={stack}` first"
            )
        desired = deployments[name]["spec"]["replicas"]
        found.append(
            Workers(
                queue=queue,
                settings=wanted,
                name=name,
                desired=desired,
                ready=deployments[name].get("status", {}).get("readyReplicas", 0),
                drained=_marked(scaled[name], PAUSED)
                if by_queue
                else _marked(deployments[name], DRAINED),
            )
        )
    return found


def _marked(thing: Mapping[str, Any], annotation: str) -> bool:
    return annotation in thing["metadata"].get("annotations", {})


def _by_name(items: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in items}


def drain(cluster: Kubernetes, some: Sequence[Workers]) -> None:
    """Stop their workers, each when its tasks have ended. No new one starts."""
    for one in some:
        if one.settings.scaling == "queue":
            _mark(cluster, one, "0")
        else:
            # An autoscaler leaves a Deployment with no replicas alone; the mark is for `make up`.
            _set(cluster, one, replicas=0, mark="true")
    for one in some:
        if one.settings.scaling == "queue":
            _wait_for_keda(cluster, one)


def _wait_for_keda(cluster: Kubernetes, one: Workers) -> None:
    deadline = time.monotonic() + EFFECT_SECONDS
    ask = ["get", f"deployment/{one.name}", "--namespace", NAMESPACE, "--output"]
    while output(cluster.command(*ask, "jsonpath={.spec.replicas}"), seconds=SECONDS) != "0":
        if time.monotonic() > deadline:
            look = " ".join(cluster.command("get", "pods", "--namespace", keda.NAMESPACE))
            raise OperationError(
                f"queue {one.queue!r} is marked, but KEDA has not stopped {one.name} within "
                f"{EFFECT_SECONDS} s. Look at: {look}"
            )
        time.sleep(1)


def undrain(cluster: Kubernetes, some: Sequence[Workers]) -> None:
    """Let workers start again."""
    for one in some:
        if not one.drained:
            continue
        if one.settings.scaling == "queue":
            _mark(cluster, one, None)
        else:
            _set(cluster, one, replicas=_least(one), mark=None)


def settle(cluster: Kubernetes, settings: Settings, stack: str) -> list[str]:
    """After an upgrade, put right what neither Helm nor an autoscaler does; what was done, in words.

    An autoscaler by CPU starts nothing from 0, where KEDA may have left the workers; one that goes while
    the upgrade sets a fixed number still takes workers away, and then nobody looks any more.
    """
    if all(queue.scaling == "queue" for queue in settings.all_queues.values()):
        return []  # KEDA looks after all of them
    done: list[str] = []
    for one in workers(cluster, settings, stack):
        if one.drained and one.desired:
            drain(cluster, [one])
            done.append(f"{one.queue}: the upgrade had started its workers; drained again")
        elif _strays(one):
            _set(cluster, one, replicas=_least(one), mark=None)
            done.append(f"{one.queue}: {one.desired} workers were left; {_least(one)} start")
    return done


def _strays(one: Workers) -> bool:
    match one.settings.scaling:
        case "queue":
            return False
        case "cpu":
            return not one.drained and one.desired == 0
        case "fixed":
            return not one.drained and one.desired != one.settings.max


def _least(one: Workers) -> int:
    return one.settings.max if one.settings.scaling == "fixed" else one.settings.min


def _mark(cluster: Kubernetes, one: Workers, replicas: str | None) -> None:
    cluster.patch(f"{SCALED_OBJECT}/{one.name}", {"metadata": {"annotations": {PAUSED: replicas}}})


def _set(cluster: Kubernetes, one: Workers, *, replicas: int, mark: str | None) -> None:
    change = {"metadata": {"annotations": {DRAINED: mark}}, "spec": {"replicas": replicas}}
    cluster.patch(f"deployment/{one.name}", change)


def of(some: Sequence[Workers], queue: str, stack: str) -> Workers:
    """Those of one queue."""
    check_known([one.queue for one in some], queue, stack)
    (found,) = [one for one in some if one.queue == queue]
    return found


def check_known(queues: Sequence[str], queue: str, stack: str) -> None:
    if queue not in queues:
        there = ", ".join(queues)
        raise OperationError(
            f"Pulumi.{stack}.yaml has no queue {queue!r}; it has: {there}. Choose with QUEUE="
        )


def rest(one: Workers, unfinished: Mapping[str, Tasks], stack: str) -> str:
    """What a drained queue still does, and what waits there."""
    tasks_of = unfinished.get(one.queue, Tasks())
    return (
        f"{one.queue}: drained. {tasks_of.running} running, which have {one.settings.grace_seconds} s "
        f"to end; {tasks_of.waiting} waiting in Airflow until `make undrain QUEUE={one.queue} STACK={stack}`"
    )


HEAD = ("queue", "slots", "busy", "queued", "oldest wait", "replicas", "target", "state")


def table(some: Sequence[Workers], unfinished: Mapping[str, Tasks], stack: str) -> list[str]:
    """A line for each queue, and one for each that has tasks and no workers."""
    rows = [HEAD, *(_row(one, unfinished.get(one.queue, Tasks())) for one in some)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    for queue, waiting in unserved(some, unfinished).items():
        lines.append(
            f"! {queue}: {waiting.waiting} waiting, and nobody serves this queue. Add queues.{queue} to "
            f"Pulumi.{stack}.yaml and `make up STACK={stack}`, or correct `queue` in the DAGs: "
            f"{', '.join(waiting.waiting_dags)}"
        )
    return lines


def _row(one: Workers, now: Tasks) -> tuple[str, ...]:
    wait = now.oldest_wait_seconds
    wanted = one.settings
    bounds = f"{wanted.max}" if wanted.scaling == "fixed" else f"{wanted.min}-{wanted.max}"
    return (
        one.queue,
        f"{one.slots}",
        f"{now.running}",
        f"{now.queued}",
        "-" if wait is None else f"{wait} s",
        f"{one.ready}/{one.desired}",
        f"{bounds} ({wanted.scaling})",
        "drained" if one.drained else "active",
    )


def unserved(some: Sequence[Workers], unfinished: Mapping[str, Tasks]) -> dict[str, Tasks]:
    """Waiting tasks of queues that the stack file does not have."""
    served = {one.queue for one in some}
    return {queue: now for queue, now in unfinished.items() if now.waiting and queue not in served}


def as_json(
    some: Sequence[Workers], unfinished: Mapping[str, Tasks], *, paused: bool
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "paused": paused,
        "queues": [_json(one, unfinished.get(one.queue, Tasks())) for one in some],
        "unserved": [
            {"queue": queue, "waiting": now.waiting, "dags": list(now.waiting_dags)}
            for queue, now in unserved(some, unfinished).items()
        ],
    }


def _json(one: Workers, now: Tasks) -> dict[str, Any]:
    wanted = one.settings
    return {
        "queue": one.queue,
        "slots": one.slots,
        "busy": now.running,
        "queued": now.queued,
        "oldest_wait_seconds": now.oldest_wait_seconds,
        "replicas": {"ready": one.ready, "desired": one.desired},
        "target": {"min": wanted.min, "max": wanted.max, "scaling": wanted.scaling},
        "state": "drained" if one.drained else "active",
    }
