"""From `git push` to Airflow: the stack local, then the same Airflow with the chart's own delivery.

Figures are seconds from the end of a push until the API shows it, percentiles by the nearest rank.
Pushes come at random moments, so that no interval is hit at its start each time.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops import stack_files
from settings.versions import AIRFLOW_CHART
from tests.bench.cpu import cpu_seconds
from tests.bench.figures import show, step
from tests.harness import dags
from tests.harness.airflow_api import Api
from tests.harness.checkout import Checkout
from tests.harness.cluster import Cluster
from tests.harness.git_host import GitHost
from tests.harness.waiting import wait_for

REFRESH_SECONDS = 300  # [dag_processor] refresh_interval of Airflow
WAIT_SECONDS = 2 * REFRESH_SECONDS + 60
IDLE_SECONDS = 60
RANDOM = random.Random()  # noqa: S311 - no secret comes of it
SMALL_WORKERS = {
    "concurrency": 1,
    "cpu": 0.05,
    "memory_mb": 1024,
    "scaling": "fixed",
    "grace_seconds": 30,
}
RUNS_ITSELF = {
    "start_date": "datetime(2026, 1, 1)",
    "catchup": "False",
    "is_paused_upon_creation": "False",
}
# What the chart and Airflow do when nobody sets anything else.
DEFAULTS = {
    "dags": {
        "gitSync": {
            "repo": "git://git-server:9418/dags.git",
            "branch": "main",
            "ref": "main",
            "period": "5s",
            "env": [],
        }
    },
    "config": {"dag_processor": {"refresh_interval": 300, "bundle_refresh_check_interval": 5}},
}
OPEN_GIT_SERVER = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "git-server-for-everybody", "namespace": "airflow"},
    "spec": {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "git-server"}},
        "policyTypes": ["Ingress"],
        "ingress": [{}],
    },
}


@dataclass(frozen=True, kw_only=True)
class Author:
    """A clone of the repository, and the API where its DAGs appear."""

    folder: Path
    api: Api
    names: Iterator[str] = field(
        default_factory=lambda: (f"bench_{RANDOM.randrange(10**9)}" for _ in iter(int, 1))
    )

    def write(self, name: str, version: str | None, schedule: str | None = None) -> None:
        file = self.folder / "dags" / f"{name}.py"
        if version is None:
            file.unlink()
        else:
            file.write_text(dags.source(name, version, schedule=repr(schedule), **RUNS_ITSELF))

    def push(self) -> float:
        """When the Git host had it, on the monotonic clock."""
        git = [
            "git",
            "-C",
            str(self.folder),
            "-c",
            "user.name=bench",
            "-c",
            "user.email=b@localhost",
        ]
        for words in (
            ["add", "--all"],
            ["commit", "-qm", "bench"],
            ["push", "-q", "origin", "HEAD:main"],
        ):
            subprocess.run([*git, *words], check=True, capture_output=True)
        return time.monotonic()

    def shown(self, name: str) -> str | None:
        """The version that Airflow shows; None: it shows no such DAG."""
        found = self.api.live(name)
        return found["tags"][0]["name"] if found else None

    def appears(self, name: str, version: str | None, pushed: float) -> float:
        """Seconds from the push until Airflow shows that version."""
        wait_for(f"{version} of {name}", lambda: self.shown(name) == version or None, WAIT_SECONDS)
        return time.monotonic() - pushed

    def runs(self, name: str, pushed: float) -> float:
        """Seconds from the push until a worker has its first task."""
        path = f"dags/{name}/dagRuns/~/taskInstances"

        def started() -> bool:
            found = (self.api.found(path) or {"task_instances": []})["task_instances"]
            return bool(found) and found[0]["state"] in ("running", "success")

        wait_for(f"a task of {name}", started, WAIT_SECONDS)
        return time.monotonic() - pushed


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-dags", description=__doc__)
    parser.add_argument("--charts", type=Path, required=True, help="directory with airflow-*.tgz")
    parser.add_argument("--rounds", type=int, default=20, help="pushes of each kind")
    parser.add_argument("--files", type=int, default=500, help="DAG files of the large repository")
    parser.add_argument(
        "--workers", type=int, nargs="*", default=[1, 5, 10], help="numbers to count fetches with"
    )
    arguments = parser.parse_args()
    charts, rounds = arguments.charts.resolve(), arguments.rounds
    declaration, _ = stack_files.run_stack("local")
    context = declaration.one("pulumi:providers:kubernetes").inputs["context"]
    cluster = Cluster(context=context)

    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout.copy(Path(folder), charts)
        step("make up")
        checkout.up()
        try:
            with author(cluster) as somebody:
                step(f"{rounds} pushes of each kind")
                ours = one_by_one(somebody, rounds)
                for kind, figures in ours.items():
                    show(f"{kind} DAG visible", figures, "p50 2, p95 3")
                show("first task of a new DAG", first_tasks(somebody, rounds), "p95 8")
            show_idle("idle", cluster)

            with author(cluster) as somebody:
                step(f"{arguments.files} DAG files")
                grow(somebody, arguments.files)
                for kind, figures in one_by_one(somebody, rounds).items():
                    show(f"{kind} DAG visible, {arguments.files} files", figures, "p95 5")
                shrink(somebody)

            step(f"the chart's defaults, pushes spread over {REFRESH_SECONDS} s")
            by_default(cluster, charts)
            with author(cluster) as somebody:
                theirs = all_at_once(somebody, rounds)
            for kind, figures in theirs.items():
                show(f"{kind} DAG visible, defaults", figures)
            ratio = statistics.median(theirs["new"]) / statistics.median(ours["new"])
            print(f"{'  new DAG, defaults / ours, p50':44}{ratio:8.0f}   limit 50 at least")
            show_idle("idle, defaults", cluster)

            step("workers and fetches")
            fetches(cluster, checkout, arguments.workers)
        finally:
            status, said = checkout.make("down")
    if status:
        raise RuntimeError(said)
    return 0


def one_by_one(author: Author, rounds: int) -> dict[str, list[float]]:
    """Each push waits until the one before is visible."""
    figures: dict[str, list[float]] = {"new": [], "changed": [], "deleted": []}
    for _ in range(rounds):
        name = next(author.names)
        for kind, version in (("new", "one"), ("changed", "two"), ("deleted", None)):
            pause()
            author.write(name, version)
            figures[kind].append(author.appears(name, version, author.push()))
    return figures


def all_at_once(author: Author, rounds: int) -> dict[str, list[float]]:
    """Pushes over one refresh interval, watched together: one by one they would take hours."""
    changes, deletions = ([next(author.names) for _ in range(rounds)] for _ in range(2))
    for name in (*changes, *deletions):
        author.write(name, "one")
    pushed = author.push()
    for name in (*changes, *deletions):
        author.appears(name, "one", pushed)

    news = [next(author.names) for _ in range(rounds)]
    todo = [("new", name, "one") for name in news]
    todo += [("changed", name, "two") for name in changes]
    todo += [("deleted", name, None) for name in deletions]
    RANDOM.shuffle(todo)
    figures: dict[str, list[float]] = {"new": [], "changed": [], "deleted": []}
    watched: list[tuple[str, str, str | None, float]] = []
    start = time.monotonic()
    for index, (kind, name, version) in enumerate([*todo, ("", "", None)]):
        due = start + REFRESH_SECONDS * index / len(todo) if kind else start + WAIT_SECONDS
        while time.monotonic() < due and (watched or kind):
            for one in list(watched):
                if author.shown(one[1]) == one[2]:
                    figures[one[0]].append(time.monotonic() - one[3])
                    watched.remove(one)
            time.sleep(0.1)
        if kind:
            author.write(name, version)
            watched.append((kind, name, version, author.push()))
    if watched:
        raise TimeoutError(f"not visible after {WAIT_SECONDS} s: {watched}")
    return figures


def first_tasks(author: Author, rounds: int) -> list[float]:
    figures: list[float] = []
    for _ in range(rounds):
        pause()
        name = next(author.names)
        author.write(name, "one", schedule="@once")
        figures.append(author.runs(name, author.push()))
    return figures


def grow(author: Author, files: int) -> None:
    names = [next(author.names) for _ in range(files)]
    for name in names:
        author.write(name, "one")
    pushed = author.push()
    for name in names:
        author.appears(name, "one", pushed)
    print(
        f"{f'all of {files} new files visible after':44}{time.monotonic() - pushed:8.1f}",
        flush=True,
    )


def shrink(author: Author) -> None:
    for file in (author.folder / "dags").glob("bench_*.py"):
        file.unlink()
    author.push()


def fetches(cluster: Cluster, checkout: Checkout, numbers: Sequence[int]) -> None:
    """Requests that a Git host sees in a minute, by the number of workers."""
    with GitHost.install(cluster) as host:
        host.create("public/dags.git")
        host.commit("public/dags.git", {"dags/none.py": "# none yet"})
        repo = {**host.settings("public/dags.git", checkout.folder), "poll_seconds": 5}
        for workers in numbers:
            number = {"min": workers, "max": workers}
            checkout.change("local", dags=repo, workers={**SMALL_WORKERS, **number})
            checkout.up()
            wait_for(
                f"{workers} workers",
                lambda n=workers: len(cluster.pods("worker")) == n or None,
                300,
            )
            host.forget_requests()
            time.sleep(IDLE_SECONDS)
            seen = [r for r in host.requests() if r["service"] == "upload-pack ls-refs"]
            name = f"requests a minute, {workers} workers"
            print(f"{name:44}{len(seen):8d}   limit the same, {IDLE_SECONDS / 5:g}", flush=True)


def by_default(cluster: Cluster, charts: Path) -> None:
    """The release that runs, with the delivery of DAGs as the chart has it."""
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(OPEN_GIT_SERVER))
    upgrade(cluster, charts, DEFAULTS)


def upgrade(cluster: Cluster, charts: Path, values: Mapping[str, Any]) -> None:
    """Change values of the release that runs, behind Pulumi's back."""
    helm = ["helm", "--kube-context", cluster.context, "--namespace", "airflow"]
    words = [
        "upgrade",
        "airflow",
        str(charts / AIRFLOW_CHART.archive),
        "--reuse-values",
        "--values",
        "-",
    ]
    subprocess.run(
        [*helm, *words], input=json.dumps(values), text=True, check=True, capture_output=True
    )
    # Helm 4 with --wait also waits for jobs, which are gone a minute after their end: forever.
    ready = ["rollout", "status", "deployment", "--selector=release=airflow", "--timeout=280s"]
    cluster.kubectl("-n", "airflow", *ready)


@contextmanager
def author(cluster: Cluster) -> Generator[Author]:
    with ExitStack() as stack:
        port = stack.enter_context(cluster.forward("svc/git-server", 9418))
        api = stack.enter_context(Api.open(cluster))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "work"
        url = f"git://127.0.0.1:{port}/dags.git"
        subprocess.run(["git", "clone", "-q", url, str(folder)], check=True, capture_output=True)
        yield Author(folder=folder, api=api)


def show_idle(what: str, cluster: Cluster) -> None:
    """CPU of what delivers DAGs, in thousandths of a core over a minute in which nothing happens."""
    before = cpu_seconds(cluster)
    time.sleep(IDLE_SECONDS)
    used: dict[str, float] = defaultdict(float)
    for (pod, container), seconds in cpu_seconds(cluster).items():
        if pod.startswith(("airflow-dag-processor", "dag-relay")) and "groomer" not in container:
            part = "DAG processor" if "processor" in pod else "relay"
            used[f"{part}, {container}"] += seconds - before.get((pod, container), 0)
    for name in sorted(used):
        print(
            f"{f'{what}: CPU of {name}, m':44}{1000 * used[name] / IDLE_SECONDS:8.0f}", flush=True
        )


def pause() -> None:
    """A random part of the longest interval on the way, which is a second."""
    time.sleep(RANDOM.uniform(0.2, 1.2))


if __name__ == "__main__":
    sys.exit(main())
