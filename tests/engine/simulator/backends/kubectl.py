"""kubectl as administrator of the real cluster, for the simulator only."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

SECONDS = 180


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    context: str

    def run(self, *words: str, stdin: str | None = None) -> str:
        """The output of kubectl. Raises `RuntimeError` with its error."""
        command = ["kubectl", "--context", self.context, *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(words[:4])}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        # Server-side apply: client-side apply copies passwords into an annotation.
        self.run("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=manifest)

    def get(self, *words: str) -> dict[str, Any]:
        return json.loads(self.run("get", *words, "--output", "json"))

    def delete(self, *words: str) -> None:
        self.run("delete", *words, "--ignore-not-found", "--timeout", f"{SECONDS - 10}s")

    def configuration(self) -> dict[str, Any]:
        """Address and certificate authority of the cluster, as in a kubeconfig."""
        view = ["config", "view", "--minify", "--flatten", "--output", "json"]
        return json.loads(self.run(*view))["clusters"][0]["cluster"]
