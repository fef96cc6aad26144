"""The Kubernetes cluster of a stack, by kubectl."""

import base64
import gzip
import json
import re
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.harness.checkout import ROOT, SETTINGS
from tests.harness.waiting import wait_for

# The lowest child of process 1. Process 1, the init of the container, ignores SIGKILL.
MAIN_PROCESS = (
    "$(grep -sl '^PPid:[[:space:]]*1$' /proc/[0-9]*/status | cut -d/ -f3 | sort -n | head -n 1)"
)


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether all containers of a pod are ready. An unscheduled pod has no container statuses."""
    return all(c["ready"] for c in pod["status"].get("containerStatuses", [{"ready": False}]))


@dataclass(frozen=True, kw_only=True)
class Cluster:
    context: str
    # Of the stack under test.
    namespace: str = "airflow"

    @classmethod
    def of_local_stack(cls) -> "Cluster":
        content = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
        return cls(context=content["config"][SETTINGS]["cluster"]["context"])

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        command = ["kubectl", "--context", self.context, *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout + ("" if check else done.stderr)

    def exec(self, pod: str, container: str, *words: str, check: bool = True) -> str:
        """Run a command in a container of the stack's namespace."""
        return self.kubectl(
            "-n", self.namespace, "exec", pod, "-c", container, "--", *words, check=check
        )

    def get(self, kind: str, *words: str, namespace: str | None = None) -> list[dict[str, Any]]:
        output = self.kubectl("-n", namespace or self.namespace, "get", kind, *words, "-o", "json")
        return json.loads(output)["items"]

    def pods(self, component: str | None = None) -> dict[str, dict[str, Any]]:
        """Pods of Airflow by name, without terminating pods and finished jobs."""
        selector = "release=airflow" + (f",component={component}" if component else "")
        return {
            pod["metadata"]["name"]: pod
            for pod in self.get("pods", "-l", selector)
            if "deletionTimestamp" not in pod["metadata"]
            and pod["status"]["phase"] not in ("Succeeded", "Failed")
        }

    def ready(self, component: str) -> set[str]:
        """Names of the ready pods."""
        return {name for name, pod in self.pods(component).items() if is_ready(pod)}

    def revisions(self, component: str | None = None) -> set[str]:
        """Hashes of the pod templates. A restart changes them; scaling does not."""
        hashes = ("pod-template-hash", "controller-revision-hash")
        labels = [pod["metadata"]["labels"] for pod in self.pods(component).values()]
        return {found[key] for found in labels for key in hashes if key in found}

    def secret(self, name: str, key: str) -> str:
        output = self.kubectl("-n", self.namespace, "get", "secret", name, "-o", "json")
        return base64.b64decode(json.loads(output)["data"][key]).decode()

    def helm_release(self, secret: dict[str, Any]) -> str:
        """Values and manifest in the Secret of a Helm revision, as text."""
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        return gzip.decompress(packed).decode()

    @contextmanager
    def forward(self, target: str, port: int, *, namespace: str | None = None) -> Generator[int]:
        """A local port, forwarded to one of a target such as `svc/redis` or `pod/redis-0`."""
        where = ["--context", self.context, "-n", namespace or self.namespace]
        words = ["kubectl", *where, "port-forward", target]
        # Into a file: kubectl logs each connection, and blocks when its pipe is full.
        with (
            tempfile.NamedTemporaryFile("a") as log,
            subprocess.Popen([*words, f":{port}"], stdout=log, stderr=log) as process,
        ):

            def local_port() -> re.Match[str] | None:
                ended = process.poll() is not None
                text = Path(log.name).read_text()
                assert not ended, f"port-forward to {target}: {text}"
                return re.search(r"127\.0\.0\.1:(\d+)", text)

            try:
                yield int(wait_for(f"port-forward to {target}", local_port, seconds=30)[1])
            finally:
                process.terminate()

    def kill_worker_container(self, worker: str) -> None:
        """Kill the main process of a worker. `kubectl exec` ends with it, with any exit status."""
        self.exec(worker, "worker", "sh", "-c", f"kill -9 {MAIN_PROCESS}", check=False)


@contextmanager
def cordoned(cluster: Cluster, node: str) -> Generator[None]:
    try:
        cluster.kubectl("cordon", node)
        yield
    finally:
        cluster.kubectl("uncordon", node)
