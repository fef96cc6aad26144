"""What a command must know of the cluster before and after Pulumi works on it."""

import base64
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.kubernetes.namespace import NAME as NAMESPACE
from components.kubernetes.namespace import STACK_LABEL
from ops.shell import OperationError, attempt, output

ANSWER_SECONDS = 10
HEALTH_SECONDS = 300
# Each question starts a Python, maybe on the cores on which Airflow just starts.
POLL_SECONDS = 3
DELETE_SECONDS = 900
# Runs in the pod of the API server: from elsewhere, NetworkPolicies would forbid it.
ASK_HEALTH = (
    "import urllib.request as u; "
    "print(u.urlopen('http://127.0.0.1:8080/api/v2/monitor/health', timeout=5).read().decode())"
)
RELEASE = "kubernetes:helm.sh/v3:Release"
PENDING = "status in (pending-install,pending-upgrade,pending-rollback)"


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """A cluster by the arguments that lead kubectl to it: never the current context."""

    name: str
    arguments: Sequence[str]

    def command(self, *words: str) -> list[str]:
        return ["kubectl", *self.arguments, *words]

    def items(self, kind: str, selector: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        words = ["get", kind, "--namespace", namespace, "--selector", selector, "--output", "json"]
        return json.loads(output(self.command(*words), seconds=30))["items"]

    def patch(self, name: str, change: object) -> None:
        """Merge a change into an object of Airflow's namespace, such as `deployment/airflow-worker`."""
        words = ["patch", name, "--namespace", NAMESPACE, "--type=merge"]
        output(self.command(*words, f"--patch={json.dumps(change)}"), seconds=30)

    def check_reachable(self) -> None:
        """Raise `OperationError` unless the API server answers."""
        known = output(
            ["kubectl", "config", "get-contexts", "--output", "name"], seconds=10
        ).split()
        if "--context" in self.arguments and self.name not in known:
            there = ", ".join(known) or "none"
            raise OperationError(
                f"context {self.name!r} is not in your kubeconfig; it has: {there}. "
                "Set cluster.context, or KUBECONFIG"
            )
        timeout = f"--request-timeout={ANSWER_SECONDS}s"
        done = attempt(self.command("get", "--raw", "/readyz", timeout), seconds=ANSWER_SECONDS + 4)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:]
            raise OperationError(
                f"the cluster of context {self.name!r} does not answer: {' '.join(last)}"
            )

    def check_namespace(self, stack: str, say: Callable[[str], None] = print) -> None:
        """Raise `OperationError` if the namespace belongs to somebody else. If it is going, wait for that."""
        get = self.command("get", "namespace", NAMESPACE, "--ignore-not-found", "--output", "json")
        text = output(get, seconds=30)
        if not text:
            return
        metadata = json.loads(text)["metadata"]
        if "deletionTimestamp" in metadata:
            say(
                f"waiting for the end of the last namespace {NAMESPACE!r}: its pods finish their tasks"
            )
            gone = self.command(
                "wait", "--for=delete", f"namespace/{NAMESPACE}", f"--timeout={DELETE_SECONDS}s"
            )
            output(gone, seconds=DELETE_SECONDS + 10)
            return
        owner = metadata.get("labels", {}).get(STACK_LABEL)
        if owner != stack:
            whose = f"stack {owner!r}" if owner else "something else"
            raise OperationError(
                f"namespace {NAMESPACE!r} in context {self.name!r} belongs to {whose}; "
                "nothing was changed. Use another cluster, or remove what is there"
            )

    def identify(self, resource: Mapping[str, Any]) -> str | None:
        """The ID that Pulumi gives to a Kubernetes resource, if that object is in the cluster."""
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

    def clear_interrupted_releases(
        self, releases: Mapping[str, str], creating: Sequence[Mapping[str, Any]]
    ) -> list[str]:
        """Forget Helm revisions that a killed command left, so that Helm takes up their objects again.

        `releases` are the namespaces of the stack's releases by name, `creating` the resources that Pulumi
        was creating. The Kubernetes provider outlives a killed command by seconds: a release among them may
        be deployed by now, and Pulumi does not know it.

        Returns the names of the revisions.
        """
        unknown = {r["inputs"]["name"] for r in creating if r["type"] == RELEASE}
        names: list[str] = []
        for release, namespace in releases.items():
            state = [] if release in unknown else [PENDING]
            selector = ",".join(["owner=helm", f"name={release}", *state])
            for secret in self.items("secret", selector, namespace):
                name = secret["metadata"]["name"]
                output(self.command("delete", "secret", name, "--namespace", namespace), seconds=30)
                names.append(name)
        return names

    def health(self) -> dict[str, str]:
        """Status of each part, as the API server sees it; empty when it does not answer."""
        words = [
            "exec",
            "--namespace",
            NAMESPACE,
            "deploy/airflow-api-server",
            "--container",
            "api-server",
        ]
        done = attempt(self.command(*words, "--", "python", "-c", ASK_HEALTH), seconds=30)
        if done.returncode:
            return {}
        return {
            part: state["status"] or "missing" for part, state in json.loads(done.stdout).items()
        }

    def jobs(self) -> dict[str, str]:
        """Jobs of the release that have still to end, such as the one that makes the user `admin`."""
        return {
            job["metadata"]["name"]: "not done"
            for job in self.items("job", "release=airflow")
            if not job.get("status", {}).get("succeeded")
        }

    def wait_healthy(self, say: Callable[[str], None], away: Collection[str] = ()) -> None:
        """Wait until every part is healthy and every job is done. Raises `OperationError` with what is not.

        Parts that are `away` are so on purpose.
        """
        deadline = time.monotonic() + HEALTH_SECONDS
        last: dict[str, str] = {}
        while time.monotonic() < deadline:
            seen = {part: state for part, state in self.health().items() if part not in away}
            if seen:
                seen |= self.jobs()
            if seen != last:
                say(", ".join(f"{part} {state}" for part, state in seen.items()) or "no answer yet")
            if seen and all(state == "healthy" for state in seen.values()):
                return
            last = seen
            time.sleep(POLL_SECONDS)
        bad = ", ".join(f"{part} is {state}" for part, state in last.items() if state != "healthy")
        raise OperationError(
            f"Airflow is not healthy after {HEALTH_SECONDS} s: {bad or 'no answer'}. "
            f"Look at: {' '.join(self.command('get', 'pods', '--namespace', NAMESPACE))}"
        )


def decode(secret: dict[str, Any], key: str) -> str:
    """The text under a key of a Secret."""
    return base64.b64decode(secret["data"][key]).decode()
