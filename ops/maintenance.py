"""A pause of a whole stack: nothing new starts, what runs ends well, and all of it comes back."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops import queues
from ops.kubernetes import NAMESPACE, Kubernetes
from ops.queues import Workers
from ops.shell import OperationError, output

SECONDS = 30
SCHEDULER = "deployment/airflow-scheduler"
# On the scheduler's Deployment from the beginning of a pause to the end of its resume, so that either can be
# done again when it was killed. Helm keeps annotations that it does not know.
BEFORE = "airflow-platform/replicas-before-pause"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """`before` are the replicas that a pause found; None: there is no pause."""

    replicas: int
    before: int | None


def scheduler(cluster: Kubernetes) -> Scheduler | None:
    """None: there is no scheduler at all."""
    words = ["get", SCHEDULER, "--namespace", NAMESPACE, "--ignore-not-found", "--output", "json"]
    text = output(cluster.command(*words), seconds=SECONDS)
    if not text.strip():
        return None
    found = json.loads(text)
    before = found["metadata"].get("annotations", {}).get(BEFORE)
    return Scheduler(
        replicas=found["spec"]["replicas"], before=None if before is None else int(before)
    )


def is_paused(cluster: Kubernetes) -> bool:
    now = scheduler(cluster)
    return now is not None and now.before is not None


def pause(cluster: Kubernetes, some: Sequence[Workers], schedulers: int, say: Say) -> None:
    """Stop the scheduler, then drain every queue. `schedulers` is what the settings say."""
    now = _there(cluster)
    before = now.replicas or now.before or schedulers
    cluster.patch(
        SCHEDULER, {"metadata": {"annotations": {BEFORE: str(before)}}, "spec": {"replicas": 0}}
    )
    say(f"scheduler: stopped (had {before}); nothing new is scheduled, DAGs stay as they are")
    queues.drain(cluster, some)
    say(f"queues: drained ({', '.join(one.queue for one in some)})")


def resume(cluster: Kubernetes, some: Sequence[Workers], schedulers: int, say: Say) -> bool:
    """Start the scheduler, then the workers of every queue. False: there was no pause."""
    now = _there(cluster)
    if now.replicas and now.before is None:
        return False
    replicas = now.replicas or now.before or schedulers
    cluster.patch(SCHEDULER, {"spec": {"replicas": replicas}})
    say(f"scheduler: started ({replicas})")
    queues.undrain(cluster, some)
    say(f"queues: their workers start ({', '.join(one.queue for one in some)})")
    cluster.patch(SCHEDULER, {"metadata": {"annotations": {BEFORE: None}}})
    return True


def _there(cluster: Kubernetes) -> Scheduler:
    now = scheduler(cluster)
    if now is None:
        raise OperationError(f"the cluster has no {SCHEDULER}: `make up` first")
    return now
