"""Access to the cluster with kubectl."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from subprocess import CompletedProcess
from typing import Any

from components.kubernetes.namespace import STACK_LABEL
from components.support.chart_names import API_SERVER, API_SERVER_CONTAINER, INGRESS
from ops.shell import OperationError, attempt, output

ANSWER_SECONDS = 10
HEALTH_SECONDS = 300
# Each poll starts a Python process, possibly on the cores on which Airflow is starting.
POLL_SECONDS = 3
NO_RESPONSE = "the API server does not respond"
DELETE_SECONDS = 900
# Labels `component` of the Jobs of the chart that run in every revision.
MIGRATION = "run-airflow-migrations"
JOBS_OF_RELEASE = (MIGRATION, "create-user-job")
# AWS creates a load balancer in two to three minutes, most of them before Airflow is healthy.
LOAD_BALANCER_SECONDS = 240
# Runs in the API server's pod: NetworkPolicies deny access from other pods.
GET_HEALTH = (
    "import urllib.request as u; "
    "print(u.urlopen('http://127.0.0.1:8080/api/v2/monitor/health', timeout=5).read().decode())"
)


def answer(done: CompletedProcess[str], label: str) -> Any | None:
    """The JSON behind a label in the output of `run_in_airflow`; None after an error."""
    # Airflow logs to stdout, too.
    found = [line for line in done.stdout.splitlines() if line.startswith(label)]
    return json.loads(found[0].removeprefix(label)) if found and not done.returncode else None


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """A cluster, selected by explicit kubectl arguments: never the current context."""

    name: str
    # Of Airflow.
    namespace: str
    arguments: Sequence[str]

    def command(self, *words: str) -> list[str]:
        return ["kubectl", *self.arguments, *words]

    def items(self, kind: str, selector: str, namespace: str | None = None) -> list[dict[str, Any]]:
        """Objects by label, in `namespace` (default: Airflow's)."""
        where = ["--namespace", namespace or self.namespace]
        words = ["get", kind, *where, "--selector", selector, "--output", "json"]
        return json.loads(output(self.command(*words), seconds=30))["items"]

    def patch(self, name: str, change: object) -> None:
        """Merge a change into an object of Airflow's namespace, such as `deployment/x`."""
        words = ["patch", name, "--namespace", self.namespace, "--type=merge"]
        output(self.command(*words, f"--patch={json.dumps(change)}"), seconds=30)

    def delete_failed_jobs(self, component: str) -> None:
        """Otherwise Pulumi reports the old failure again, and does not run the Job again."""
        words = ["delete", "jobs", "--namespace", self.namespace]
        # Of the Jobs with one pod, 0 are those that failed or have not finished.
        selectors = [f"--selector=component={component}", "--field-selector=status.successful=0"]
        output(self.command(*words, *selectors), seconds=60)

    def delete_jobs_of_release(self) -> None:
        """Helm cannot change a Job, finished or not, and Kubernetes keeps finished ones for a while."""
        selector = f"--selector=release=airflow,component in ({','.join(JOBS_OF_RELEASE)})"
        words = ["delete", "jobs", "--namespace", self.namespace, selector]
        output(self.command(*words), seconds=60)

    def termination_messages(self, component: str) -> list[str]:
        """What the failed containers of a component wrote as their reason."""
        pods = self.items("pods", f"component={component}")
        ended = [
            container["state"].get("terminated", {})
            for pod in pods
            for container in pod["status"].get("containerStatuses", [])
        ]
        return [found["message"] for found in ended if found.get("exitCode") and "message" in found]

    def check_reachable(self) -> None:
        """Raise `OperationError` unless the Kubernetes API server responds."""
        get_contexts = ["kubectl", "config", "get-contexts", "--output", "name"]
        known = output(get_contexts, seconds=10).split()
        if "--context" in self.arguments and self.name not in known:
            raise OperationError(
                f"context {self.name!r} is not in your kubeconfig, which has: "
                f"{', '.join(known) or 'none'}. Set cluster.context, or KUBECONFIG"
            )
        reason = self.no_answer()
        if reason is not None:
            raise OperationError(f"the cluster of context {self.name!r} is unreachable: {reason}")

    def no_answer(self) -> str | None:
        """Why the Kubernetes API server does not answer; None if it does."""
        timeout = f"--request-timeout={ANSWER_SECONDS}s"
        command = self.command("get", "--raw", "/readyz", timeout)
        try:
            done = attempt(command, seconds=ANSWER_SECONDS + 4)
        except OperationError:
            return f"timed out after {ANSWER_SECONDS + 4} s"
        return " ".join(done.stderr.strip().splitlines()[-1:]) if done.returncode else None

    def check_namespace(self, stack: str, *, creates: bool = True) -> None:
        """Wait while the namespace is terminating. Raises `OperationError` for another owner.

        `creates`: the stack creates its namespace. Otherwise its user may be unable to read it.
        """
        get = self.command(
            "get", "namespace", self.namespace, "--ignore-not-found", "--output", "json"
        )
        if not creates and "(Forbidden)" in attempt(get, seconds=30).stderr:
            return
        text = output(get, seconds=30)
        if not text and creates:
            return
        if not text:
            raise OperationError(
                f"namespace {self.namespace!r} does not exist in context {self.name!r}, and "
                "cluster.create_namespace is false. Ask an administrator to create it "
                "(docs/clusters.md), or remove cluster.create_namespace"
            )
        metadata = json.loads(text)["metadata"]
        if "deletionTimestamp" in metadata:
            print(
                f"namespace {self.namespace!r} is terminating: waiting until its tasks have finished"
            )
            timeout = f"--timeout={DELETE_SECONDS}s"
            wait = self.command("wait", "--for=delete", f"namespace/{self.namespace}", timeout)
            output(wait, seconds=DELETE_SECONDS + 10)
            return
        owner = metadata.get("labels", {}).get(STACK_LABEL)
        if owner != stack:
            other = f"stack {owner!r}" if owner else "another installation"
            if not creates and not owner:
                other = f"no stack: it has no label {STACK_LABEL}={stack}"
            raise OperationError(
                f"namespace {self.namespace!r} in context {self.name!r} belongs to {other}; nothing was "
                "changed. Set cluster.namespace to another name, use another cluster, or delete the "
                "namespace"
            )

    def identify(self, resource: Mapping[str, Any]) -> str | None:
        """Pulumi ID of a Kubernetes resource; None if the object does not exist."""
        package, _, kind = resource["type"].split(":")
        metadata = resource.get("inputs", {}).get("metadata", {})
        if package != "kubernetes" or "name" not in metadata:
            return None
        namespace = metadata.get("namespace")
        where = ["--namespace", namespace] if namespace else []
        words = ["get", kind, metadata["name"], *where, "--ignore-not-found", "--output", "name"]
        if not output(self.command(*words), seconds=30).strip():
            return None
        return f"{namespace}/{metadata['name']}" if namespace else metadata["name"]

    def run_in_airflow(self, program: str, *, seconds: float) -> CompletedProcess[str]:
        """Run Python with Airflow, in the pod of the API server, which runs during a pause, too."""
        where = ["--namespace", self.namespace, "--stdin", f"deploy/{API_SERVER}"]
        words = ["exec", *where, "--container", API_SERVER_CONTAINER, "--", "python", "-"]
        return attempt(self.command(*words), seconds=seconds, stdin=program)

    def health(self) -> dict[str, str]:
        """Status by component, as the API server reports it; empty if it does not respond."""
        where = ["--namespace", self.namespace, f"deploy/{API_SERVER}"]
        words = ["exec", *where, "--container", API_SERVER_CONTAINER, "--", "python", "-c"]
        done = attempt(self.command(*words, GET_HEALTH), seconds=30)
        if done.returncode:
            return {}
        return {
            component: health["status"] or "missing"
            for component, health in json.loads(done.stdout).items()
        }

    def load_balancer(self, seconds: float = LOAD_BALANCER_SECONDS) -> str | None:
        """Host name of the load balancer of the UI; None if AWS has not created it in time."""
        field = "jsonpath={.status.loadBalancer.ingress[0].hostname}"
        words = ["get", "ingress", INGRESS, "--namespace", self.namespace, "--output", field]
        deadline = time.monotonic() + seconds
        while True:
            done = attempt(self.command(*words), seconds=30)
            if done.stdout or time.monotonic() > deadline:
                return done.stdout or None
            time.sleep(POLL_SECONDS)

    def unfinished_jobs(self) -> dict[str, str]:
        """Incomplete Jobs of the release, such as the Job that creates the user `admin`."""
        return {
            job["metadata"]["name"]: "not complete"
            for job in self.items("job", "release=airflow")
            if not job.get("status", {}).get("succeeded")
        }

    def wait_healthy(self, ignore: Collection[str] = ()) -> None:
        """Wait until every component is healthy and every Job is complete.

        Raises `OperationError` with the unhealthy ones. `ignore` names stopped components.
        """
        deadline = time.monotonic() + HEALTH_SECONDS
        last: dict[str, str] = {}
        while time.monotonic() < deadline:
            status = {name: state for name, state in self.health().items() if name not in ignore}
            if status:
                status |= self.unfinished_jobs()
            if status != last:
                print(", ".join(f"{name} {state}" for name, state in status.items()) or NO_RESPONSE)
            if status and all(state == "healthy" for state in status.values()):
                return
            last = status
            time.sleep(POLL_SECONDS)
        bad = [f"{name} is {state}" for name, state in last.items() if state != "healthy"]
        raise OperationError(
            f"Airflow is not healthy after {HEALTH_SECONDS} s: {', '.join(bad) or NO_RESPONSE}. "
            f"Inspect: {' '.join(self.command('get', 'pods', '--namespace', self.namespace))}"
        )
