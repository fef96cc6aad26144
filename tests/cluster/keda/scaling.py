"""What sets the number of workers, as Kubernetes has it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.harness.airflow_api import Api
from tests.harness.cluster import Cluster, cordoned
from tests.harness.waiting import wait_for

# An autoscaler looks every 15 s.
ROUNDS_SECONDS = 75
EVERYTHING = "deployments,hpa,jobs,pods"


@dataclass(frozen=True, kw_only=True)
class Scaling:
    cluster: Cluster

    def workers(self) -> set[str]:
        """Ready workers, without those that finish their last tasks."""
        return self.cluster.ready("worker")

    def wanted(self) -> int:
        """Workers that there should be."""
        (deployment,) = self.cluster.get("deployments", "-l", "component=worker")
        return deployment["spec"]["replicas"]

    def autoscalers(self) -> list[str]:
        return [hpa["metadata"]["name"] for hpa in self.cluster.get("hpa")]

    def sees(self) -> str:
        """Whether the autoscaler has its metric: `True`, `False`, or empty if it has not said so yet."""
        conditions = [
            condition["status"]
            for hpa in self.cluster.get("hpa")
            for condition in hpa.get("status", {}).get("conditions", [])
            if condition["type"] == "ScalingActive"
        ]
        return conditions[0] if conditions else ""

    def wait(self, what: str, condition: Callable[[], Any], seconds: float = 120) -> Any:
        """Like `wait_for`; if it takes too long, the error says how things stand."""
        try:
            return wait_for(what, condition, seconds)
        except TimeoutError as error:
            error.add_note(self.state())
            raise

    def state(self) -> str:
        asked = (
            ("-n", "airflow", "get", EVERYTHING, "-o", "wide"),
            ("-n", "airflow", "get", "scaledobjects", "-o", "yaml"),
            ("-n", "airflow", "describe", "hpa"),
            ("-n", "keda", "get", "pods", "-o", "wide"),
            ("-n", "keda", "logs", "deployment/keda-operator", "--tail=20"),
        )
        return "\n".join(self.cluster.kubectl(*words, check=False) for words in asked)

    @contextmanager
    def without(self, deployment: str, *, namespace: str) -> Iterator[None]:
        """No pod of a deployment that is not Airflow's; afterwards it has as many as before."""
        where = ("-n", namespace)
        (found,) = [
            d
            for d in self.cluster.get("deployments", namespace=namespace)
            if d["metadata"]["name"] == deployment
        ]
        selector = ",".join(f"{k}={v}" for k, v in found["spec"]["selector"]["matchLabels"].items())
        name = f"deployment/{deployment}"
        try:
            self.cluster.kubectl(*where, "scale", name, "--replicas=0")
            self.wait(
                f"the end of {deployment}",
                lambda: not self.cluster.get("pods", "-l", selector, namespace=namespace),
            )
            yield
        finally:
            replicas = f"--replicas={found['spec']['replicas']}"
            self.cluster.kubectl(*where, "scale", name, replicas)
            self.cluster.kubectl(*where, "rollout", "status", name, "--timeout=240s")

    @contextmanager
    def no_room(self) -> Iterator[None]:
        """New pods wait for a node, for a dozen workers that start are more than this machine can take."""
        (node,) = [node["metadata"]["name"] for node in self.cluster.get("nodes")]
        with cordoned(self.cluster, node):
            yield

    def started(self, api: Api, seconds: int) -> str:
        """A run of the DAG sleeper whose task runs by now."""
        run = api.start("sleeper", seconds=seconds)
        self.wait(
            "the task to run",
            lambda: api.state_of("sleeper", run, "answer") == "running",
            seconds=240,
        )
        return run


def succeeded_at_once(api: Api, run: str) -> bool:
    """Whether a run of sleeper went well without a second try: a task that is lost has one."""
    assert api.ended("sleeper", run)["state"] == "success"
    task = api.get(f"dags/sleeper/dagRuns/{run}/taskInstances/answer")
    return task["try_number"] == 1


def rounds() -> None:
    """Time in which an autoscaler would have done what it must not do."""
    time.sleep(ROUNDS_SECONDS)
