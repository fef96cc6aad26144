"""A copy of this checkout that a test may change, the cluster behind it, and Airflow's API."""

import base64
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
SETTINGS = "airflow-platform:settings"
UP_SECONDS = 900
# What the `make` that runs the tests was given is not for the one that they run.
OUTER_MAKE = {"ARGS", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"}


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Poll until the condition gives something, then return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {seconds:g} s")


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether all containers of a pod are ready. One that is not on a node yet has none."""
    return all(c["ready"] for c in pod["status"].get("containerStatuses", [{"ready": False}]))


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """`make` in a copy of the repository, with stack files that a test may change."""

    folder: Path

    @classmethod
    def copy(cls, folder: Path, charts: Path) -> "Checkout":
        listed = [
            "git",
            "-C",
            str(ROOT),
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]
        for name in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split(
            "\0"
        ):
            source = ROOT / name
            if name and source.is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                # With its time: `make` must not think that the environment is old.
                shutil.copy2(source, target)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        checkout = cls(folder=folder)
        checkout.change("local", charts={"source": str(charts)})
        return checkout

    def file(self, stack: str) -> Path:
        return self.folder / f"Pulumi.{stack}.yaml"

    def change(self, stack: str, **sections: Any) -> None:
        """Merge settings into a stack file, section by section."""
        content = yaml.safe_load(self.file(stack).read_text())
        settings = content["config"][SETTINGS]
        for section, values in sections.items():
            settings[section] = {**settings.get(section, {}), **values}
        self.file(stack).write_text(yaml.safe_dump(content))

    def configure(self, stack: str, **secrets: str) -> None:
        """Write secrets into a stack file. In plain text, which the program takes as well."""
        content = yaml.safe_load(self.file(stack).read_text())
        content["config"] |= {f"airflow-platform:{key}": text for key, text in secrets.items()}
        self.file(stack).write_text(yaml.safe_dump(content))

    def start(
        self, target: str, stack: str = "local", *variables: str, **env: str
    ) -> "subprocess.Popen[str]":
        """Begin a target. `variables` are those of make, such as `QUEUE=etl`."""
        return subprocess.Popen(
            ["make", target, f"STACK={stack}", *variables],
            cwd=self.folder,
            env={**{k: v for k, v in os.environ.items() if k not in OUTER_MAKE}, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def make(
        self, target: str, stack: str = "local", *variables: str, **env: str
    ) -> tuple[int, str]:
        """Run a target to its end: its status and all it printed."""
        process = self.start(target, stack, *variables, **env)
        try:
            said, _ = process.communicate(timeout=UP_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, said

    def done(self, target: str, *variables: str) -> str:
        """Run a target on the stack local that must end well; what it said."""
        status, said = self.make(target, "local", *variables)
        assert status == 0, said
        return said

    def up(self) -> str:
        return self.done("up")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The cluster of the stack local."""

    context: str

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        command = ["kubectl", "--context", self.context, *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout + ("" if check else done.stderr)

    def get(self, kind: str, *words: str, namespace: str = "airflow") -> list[dict[str, Any]]:
        said = self.kubectl("-n", namespace, "get", kind, *words, "-o", "json")
        return json.loads(said)["items"]

    def pods(self, component: str | None = None) -> dict[str, dict[str, Any]]:
        """Pods of Airflow that are not on their way out and not jobs, by name."""
        selector = "release=airflow" + (f",component={component}" if component else "")
        found = self.get("pods", "-l", selector)
        return {
            pod["metadata"]["name"]: pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
            and pod["status"]["phase"] not in ("Succeeded", "Failed")
        }

    def ready(self, component: str) -> set[str]:
        """Names of the pods with all their containers ready."""
        return {name for name, pod in self.pods(component).items() if is_ready(pod)}

    def revisions(self, component: str | None = None) -> set[str]:
        """What the pods are made from: another one restarts them. A worker more or less changes nothing."""
        hashes = ("pod-template-hash", "controller-revision-hash")
        labels = [pod["metadata"]["labels"] for pod in self.pods(component).values()]
        return {found[key] for found in labels for key in hashes if key in found}

    def secret(self, name: str, key: str) -> str:
        said = self.kubectl("-n", "airflow", "get", "secret", name, "-o", "json")
        return base64.b64decode(json.loads(said)["data"][key]).decode()

    def helm_release(self, secret: dict[str, Any]) -> str:
        """Values and manifest that Helm keeps of a revision, as text."""
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        return gzip.decompress(packed).decode()

    @contextmanager
    def forward(self, target: str, port: int, *, namespace: str = "airflow") -> Generator[int]:
        """A port on loopback that leads to one of a target such as `svc/redis` or `pod/redis-0`."""
        words = ["kubectl", "--context", self.context, "-n", namespace, "port-forward", target]
        # Into a file: kubectl says a line for each connection, and stops where nobody reads its pipe.
        with (
            tempfile.NamedTemporaryFile("a") as said,
            subprocess.Popen([*words, f":{port}"], stdout=said, stderr=said) as process,
        ):

            def found() -> re.Match[str] | None:
                ended = process.poll() is not None
                text = Path(said.name).read_text()
                assert not ended, f"port-forward to {target}: {text}"
                return re.search(r"127\.0\.0\.1:(\d+)", text)

            try:
                yield int(wait_for(f"port-forward to {target}", found, seconds=30)[1])
            finally:
                process.terminate()


@contextmanager
def cordoned(cluster: Cluster, node: str) -> Generator[None]:
    """New pods find no room on a node."""
    try:
        cluster.kubectl("cordon", node)
        yield
    finally:
        cluster.kubectl("uncordon", node)


@dataclass(frozen=True, kw_only=True)
class Api:
    """Airflow's REST API, as the user admin."""

    url: str
    # A failed test prints what it was given.
    token: str = field(repr=False)

    @classmethod
    @contextmanager
    def open(cls, cluster: Cluster) -> Iterator["Api"]:
        with cluster.forward("svc/airflow-api-server", 8080) as port:
            url = f"http://127.0.0.1:{port}"
            login = {"username": "admin", "password": cluster.secret("airflow-admin", "password")}
            token = _request("POST", f"{url}/auth/token", login, None)["access_token"]
            yield cls(url=url, token=token)

    def get(self, path: str) -> Any:
        return _request("GET", f"{self.url}/api/v2/{path}", None, self.token)

    def found(self, path: str) -> Any:
        """Like `get`, but None where the API answers 404."""
        try:
            return self.get(path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def live(self, dag: str) -> dict[str, Any] | None:
        """The DAG as the list has it, or None. Its own page is there for a DAG that is gone, too."""
        found = self.get(f"dags?dag_id_pattern={dag}")["dags"]
        return next((one for one in found if one["dag_id"] == dag), None)

    def run(self, dag: str) -> dict[str, Any]:
        """Trigger a run and wait for its end."""
        return self.ended(dag, self.start(dag))

    def start(self, dag: str, **conf: Any) -> str:
        """Trigger a run, as soon as Airflow has the DAG; its ID."""
        self.switch(dag, on=True)
        return self.trigger(dag, **conf)

    def trigger(self, dag: str, **conf: Any) -> str:
        """Trigger a run of a DAG that is there; its ID."""
        start = {"logical_date": None, "conf": conf}
        run = _request("POST", f"{self.url}/api/v2/dags/{dag}/dagRuns", start, self.token)
        return run["dag_run_id"]

    def stop(self, dag: str, run: str) -> None:
        """Mark a run as failed: Airflow then stops its tasks."""
        path = f"{self.url}/api/v2/dags/{dag}/dagRuns/{run}"
        _request("PATCH", path, {"state": "failed"}, self.token)

    def switch(self, dag: str, *, on: bool) -> None:
        """Switch a DAG on or off, as soon as Airflow has it."""
        wait_for(f"the DAG {dag}", lambda: self.live(dag), seconds=60)
        _request("PATCH", f"{self.url}/api/v2/dags/{dag}", {"is_paused": not on}, self.token)

    def ended(self, dag: str, run: str) -> dict[str, Any]:
        """Wait until the run ends: longer than it takes until a worker that lost its queue is back."""

        def found() -> Any:
            now = self.get(f"dags/{dag}/dagRuns/{run}")
            return now["state"] in ("success", "failed") and now

        try:
            return wait_for(f"the run of {dag}", found, seconds=300)
        except TimeoutError as error:
            tasks = self.get(f"dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
            shown = ("task_id", "map_index", "state", "try_number", "hostname", "queued_when")
            error.add_note("\n".join(str({key: task[key] for key in shown}) for task in tasks))
            error.add_note(str(self.get("monitor/health")))
            raise

    def state_of(self, dag: str, run: str, task: str) -> str | None:
        return self.get(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}")["state"]

    def returned(self, dag: str, run: str, task: str) -> Any:
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.get(path)["value"]


def _request(method: str, url: str, body: Any, token: str | None) -> Any:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
