"""The number of workers and its autoscaler, in Kubernetes."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.harness.airflow_api import Api
from tests.harness.cluster import Cluster, cordoned
from tests.harness.waiting import wait_for

# Five periods of an autoscaler.
ROUNDS_SECONDS = 75
ALL_KINDS = "deployments,hpa,jobs,pods"


@dataclass(frozen=True, kw_only=True)
class Scaling:
    cluster: Cluster

    def workers(self) -> set[str]:
        """Ready workers, without terminating ones."""
        return self.cluster.ready("worker")

    def desired(self) -> int:
        """Desired number of workers."""
        (deployment,) = self.cluster.get("deployments", "-l", "component=worker")
        return deployment["spec"]["replicas"]

    def autoscalers(self) -> list[str]:
        return [hpa["metadata"]["name"] for hpa in self.cluster.get("hpa")]

    def active(self) -> str:
        """Whether the autoscaler has its metric: `True`, `False`, or empty before any status."""
        conditions = [
            condition["status"]
            for hpa in self.cluster.get("hpa")
            for condition in hpa.get("status", {}).get("conditions", [])
            if condition["type"] == "ScalingActive"
        ]
        return conditions[0] if conditions else ""

    def wait(self, what: str, condition: Callable[[], Any], seconds: float = 120) -> Any:
        """Like `wait_for`; a timeout reports the state of the cluster."""
        try:
            return wait_for(what, condition, seconds)
        except TimeoutError as error:
            error.add_note(self.state())
            raise

    def state(self) -> str:
        commands = (
            ("-n", "airflow", "get", ALL_KINDS, "-o", "wide"),
            ("-n", "airflow", "get", "scaledobjects", "-o", "yaml"),
            ("-n", "airflow", "describe", "hpa"),
            ("-n", "keda", "get", "pods", "-o", "wide"),
            ("-n", "keda", "logs", "deployment/keda-operator", "--tail=20"),
        )
        return "\n".join(self.cluster.kubectl(*words, check=False) for words in commands)

    @contextmanager
    def without(self, deployment: str, *, namespace: str) -> Generator[None]:
        """Scale another deployment to zero, and back at the end."""
        (found,) = [
            d
            for d in self.cluster.get("deployments", namespace=namespace)
            if d["metadata"]["name"] == deployment
        ]
        selector = ",".join(f"{k}={v}" for k, v in found["spec"]["selector"]["matchLabels"].items())
        name = f"deployment/{deployment}"
        try:
            self.cluster.kubectl("-n", namespace, "scale", name, "--replicas=0")
            self.wait(
                f"the deletion of the pods of {deployment}",
                lambda: not self.cluster.get("pods", "-l", selector, namespace=namespace),
            )
            yield
        finally:
            replicas = f"--replicas={found['spec']['replicas']}"
            self.cluster.kubectl("-n", namespace, "scale", name, replicas)
            self.cluster.kubectl("-n", namespace, "rollout", "status", name, "--timeout=240s")

    @contextmanager
    def unschedulable(self) -> Generator[None]:
        """New pods stay pending: a dozen starting workers exceed the test machine's capacity."""
        (node,) = [node["metadata"]["name"] for node in self.cluster.get("nodes")]
        with cordoned(self.cluster, node):
            yield

    def started(self, api: Api, seconds: int) -> str:
        """A run of the DAG sleeper whose task runs."""
        try:
            return api.start_task("sleeper", within=240, seconds=seconds)
        except TimeoutError as error:
            error.add_note(self.state())
            raise


def wait_rounds() -> None:
    """Wait for several periods of an autoscaler."""
    time.sleep(ROUNDS_SECONDS)
