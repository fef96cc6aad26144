"""Stops and starts the workers of queues."""

from collections.abc import Mapping, Sequence

from components.kubernetes import keda
from ops import queue_status
from ops.kubernetes import Kubernetes
from ops.queue_status import DRAINED, PAUSED, SCALED_OBJECT, QueueStatus, Tasks
from ops.shell import OperationError, output
from settings import Settings

# KEDA reconciles every few seconds.
EFFECT_SECONDS = 30


def drain(cluster: Kubernetes, queues: Sequence[QueueStatus]) -> None:
    """Stop the workers once their tasks have finished. No new worker starts."""
    for queue in queues:
        if queue.settings.scaling == "queue":
            _pause_keda(cluster, queue, replicas="0")
        else:
            # An HPA ignores a Deployment with 0 replicas. `make up` reads the annotation.
            _scale(cluster, queue, replicas=0, drained="true")
    for queue in queues:
        if queue.settings.scaling == "queue":
            _wait_for_keda(cluster, queue)


def _wait_for_keda(cluster: Kubernetes, queue: QueueStatus) -> None:
    condition = ["--for=jsonpath={.spec.replicas}=0", f"--timeout={EFFECT_SECONDS}s"]
    words = ["wait", f"deployment/{queue.deployment}", "--namespace", cluster.namespace, *condition]
    try:
        output(cluster.command(*words), seconds=EFFECT_SECONDS + 10)
    except OperationError as error:
        pods = " ".join(cluster.command("get", "pods", "--namespace", keda.NAMESPACE))
        raise OperationError(
            f"KEDA has not scaled {queue.deployment} to 0 within {EFFECT_SECONDS} s after the "
            f"scaling of queue {queue.queue!r} was paused ({error}). Inspect: {pods}"
        ) from None


def undrain(cluster: Kubernetes, queues: Sequence[QueueStatus]) -> None:
    """Start the workers of drained queues."""
    for queue in queues:
        if not queue.drained:
            continue
        if queue.settings.scaling == "queue":
            _pause_keda(cluster, queue, replicas=None)
        else:
            _scale(cluster, queue, replicas=_initial_replicas(queue), drained=None)


def reconcile(cluster: Kubernetes, settings: Settings, stack: str) -> list[str]:
    """After an upgrade, correct replica counts that neither Helm nor an autoscaler corrects.

    An HPA does not scale up from 0, where KEDA may have left the Deployment. An HPA that is being
    deleted can still scale the Deployment down; afterwards nothing restores the replica count.

    Returns a line for each change.
    """
    if all(queue.scaling == "queue" for queue in settings.all_queues.values()):
        return []  # KEDA reconciles all of them
    changes: list[str] = []
    for queue in queue_status.read(cluster, settings, stack):
        if queue.drained and queue.desired:
            drain(cluster, [queue])
            changes.append(f"{queue.queue}: started by the upgrade, drained again")
        elif _has_drifted(queue):
            replicas = _initial_replicas(queue)
            _scale(cluster, queue, replicas=replicas, drained=None)
            changes.append(f"{queue.queue}: workers scaled from {queue.desired} to {replicas}")
    return changes


def drain_summary(queue: QueueStatus, unfinished: Mapping[str, Tasks], stack: str) -> str:
    """Remaining tasks of a drained queue."""
    tasks = unfinished.get(queue.queue, Tasks())
    return (
        f"{queue.queue}: drained; {tasks.running} running with {queue.settings.grace_seconds} s to "
        f"finish, {tasks.waiting} waiting for `make undrain QUEUE={queue.queue} STACK={stack}`"
    )


def _has_drifted(queue: QueueStatus) -> bool:
    match queue.settings.scaling:
        case "queue":
            return False
        case "cpu":
            return not queue.drained and queue.desired == 0
        case "fixed":
            return not queue.drained and queue.desired != queue.settings.max


def _initial_replicas(queue: QueueStatus) -> int:
    return queue.settings.max if queue.settings.scaling == "fixed" else queue.settings.min


def _pause_keda(cluster: Kubernetes, queue: QueueStatus, *, replicas: str | None) -> None:
    change = {"metadata": {"annotations": {PAUSED: replicas}}}
    cluster.patch(f"{SCALED_OBJECT}/{queue.deployment}", change)


def _scale(cluster: Kubernetes, queue: QueueStatus, *, replicas: int, drained: str | None) -> None:
    change = {"metadata": {"annotations": {DRAINED: drained}}, "spec": {"replicas": replicas}}
    cluster.patch(f"deployment/{queue.deployment}", change)
