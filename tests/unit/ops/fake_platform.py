"""A fake cluster with three queues: answers of kubectl, and the changes that commands make."""

import json
import re

import yaml

from ops import queue_status
from ops.maintenance import REPLICAS_BEFORE_PAUSE

SETTINGS = "airflow-platform:settings"
KUBECTL = "kubectl --context kind-airflow"
# One queue for each kind of scaling: `default` scales on CPU.
QUEUES = {
    "etl": {"scaling": "queue", "min": 0, "max": 6, "concurrency": 2},
    "slow": {"scaling": "fixed", "max": 2},
}
DEFAULT, ETL, SLOW = (f"airflow-worker-{name}" for name in ("default-queue", "etl", "slow"))
HEALTHY = {part: {"status": "healthy"} for part in ("scheduler", "triggerer")}


def deployment(name, desired=1, ready=None, **annotations):
    status = {} if desired == 0 else {"readyReplicas": desired if ready is None else ready}
    return {
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"replicas": desired},
        "status": status,
    }


def paused_scheduler(replicas=0, before="2"):
    return deployment("airflow-scheduler", replicas, **{REPLICAS_BEFORE_PAUSE: before})


def task(queue, state, count=1, seconds=0, dag="report"):
    return {"queue": queue, "state": state, "count": count, "seconds": seconds, "dag": dag}


def scaled_workers(name, replicas, drained):
    change = {"metadata": {"annotations": {"airflow-platform/drained": drained}}}
    change["spec"] = {"replicas": replicas}
    return f"patch deployment/{name} --type=merge --patch={json.dumps(change)}"


def paused_keda(name, replicas):
    change = {"metadata": {"annotations": {"autoscaling.keda.sh/paused-replicas": replicas}}}
    return f"patch scaledobjects.keda.sh/{name} --type=merge --patch={json.dumps(change)}"


# The change that drains or undrains each queue.
DRAINED = {
    "default": scaled_workers(DEFAULT, 0, "true"),
    "etl": paused_keda(ETL, "0"),
    "slow": scaled_workers(SLOW, 0, "true"),
}
UNDRAINED = {
    "default": scaled_workers(DEFAULT, 1, None),
    "etl": paused_keda(ETL, None),
    "slow": scaled_workers(SLOW, 2, None),
}


class FakePlatform:
    """The stack file `local`, and the answers of kubectl and Pulumi."""

    def __init__(self, folder, calls):
        self.folder = folder
        self.calls = calls
        self.file = folder / "Pulumi.local.yaml"
        content = yaml.safe_load(self.file.read_text())
        content["config"][SETTINGS]["queues"] = QUEUES
        self.file.write_text(yaml.safe_dump(content))
        self.workers(deployment(DEFAULT), deployment(ETL, 0), deployment(SLOW, 2))
        self.scaled(deployment(ETL))
        self.tasks()
        self.scheduler(deployment("airflow-scheduler", 2))
        self.answer("health", HEALTHY)
        self.answer("stacks", [{"name": "local"}])

    def answer(self, name, given):
        text = given if isinstance(given, str) else json.dumps(given)
        (self.folder / name).write_text(f"{text}\n")

    def fail(self, words):
        """Commands that contain these words fail."""
        self.answer("fails", words)

    def workers(self, *items):
        self.answer("workers", {"items": items})

    def scaled(self, *items):
        self.answer("scaled", {"items": items})

    def tasks(self, *rows):
        self.answer("tasks", f"a log line\n{queue_status.ANSWER}{json.dumps(rows)}\na log line")

    def scheduler(self, given):
        self.answer("scheduler", given)

    def drain_all(self):
        self.workers(
            *(deployment(name, 0, **{queue_status.DRAINED: "true"}) for name in (DEFAULT, SLOW)),
            deployment(ETL, 0),
        )
        self.scaled(deployment(ETL, **{queue_status.PAUSED: "0"}))

    def changes(self):
        """Changes in the cluster, in order."""
        verbs = ("scale", "patch")
        return [
            call.removeprefix(f"{KUBECTL} ").replace(" --namespace airflow", "")
            for call in self.calls()
            if call.removeprefix(f"{KUBECTL} ").startswith(verbs)
        ]

    def pulumi_calls(self):
        calls = [call for call in self.calls() if call.startswith(("pulumi preview", "pulumi up"))]
        return [re.sub(r" --event-log \S+", "", call) for call in calls]

    def bounds(self, *keys):
        """`min` and `max` of a section in the stack file."""
        content = yaml.safe_load(self.file.read_text())["config"][SETTINGS]
        for key in keys:
            content = content[key]
        return content.get("min"), content.get("max")
