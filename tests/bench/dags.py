"""Seconds from `git push` to Airflow: the stack local, then the chart's defaults.

Figures are measured from the end of a push until the API shows it; percentiles by nearest rank.
Pushes happen at random moments, so that they hit each phase of a polling interval.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from settings.versions import AIRFLOW_CHART
from tests.bench.figures import show, status, step
from tests.bench.load import local_stack
from tests.bench.usage import cpu_seconds
from tests.harness import dags
from tests.harness.airflow_api import Api
from tests.harness.checkout import Checkout
from tests.harness.clone import Clone, clone_of_git_server
from tests.harness.cluster import Cluster
from tests.harness.git_host import GitHost
from tests.harness.waiting import wait_for

DEFAULT_REFRESH_SECONDS = 300  # [dag_processor] refresh_interval of Airflow
WAIT_SECONDS = 2 * DEFAULT_REFRESH_SECONDS + 60
IDLE_SECONDS = 60
RANDOM = random.Random()  # noqa: S311 - not used for secrets
SMALL_WORKERS = {
    "concurrency": 1,
    "cpu": 0.05,
    "memory_mb": 1024,
    "scaling": "fixed",
    "grace_seconds": 30,
}
UNPAUSED = {
    "start_date": "datetime(2026, 1, 1)",
    "catchup": "False",
    "is_paused_upon_creation": "False",
}
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
# With the defaults, all pods of Airflow read the Git server, without the relay.
OPEN_GIT_SERVER = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "git-server-open", "namespace": "airflow"},
    "spec": {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "git-server"}},
        "policyTypes": ["Ingress"],
        "ingress": [{}],
    },
}


@dataclass(frozen=True, kw_only=True)
class Author:
    """A clone of the repository, and the API that shows its DAGs."""

    clone: Clone
    api: Api
    names: Iterator[str] = field(
        default_factory=lambda: (f"bench_{RANDOM.randrange(10**9)}" for _ in iter(int, 1))
    )

    def write(self, name: str, version: str | None, schedule: str | None = None) -> None:
        """Write a DAG file, or delete it if the version is None."""
        file = self.clone.folder / "dags" / f"{name}.py"
        if version is None:
            file.unlink()
        else:
            file.write_text(dags.source(name, version, schedule=repr(schedule), **UNPAUSED))

    def push(self) -> float:
        """The end of the push, on the monotonic clock."""
        self.clone.push({})
        return time.monotonic()

    def shown(self, name: str) -> str | None:
        """The version of a DAG in Airflow, or None."""
        found = self.api.live(name)
        return found["tags"][0]["name"] if found else None

    def appears(self, name: str, version: str | None, pushed: float) -> float:
        """Seconds from the push until Airflow shows that version."""
        wait_for(f"{version} of {name}", lambda: self.shown(name) == version or None, WAIT_SECONDS)
        return time.monotonic() - pushed

    def runs(self, name: str, pushed: float) -> float:
        """Seconds from the push until a worker runs the DAG's first task."""
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
        "--workers",
        type=int,
        nargs="*",
        default=[1, 5, 10],
        help="numbers of workers for which requests to the Git host are counted",
    )
    arguments = parser.parse_args()
    charts, rounds = arguments.charts.resolve(), arguments.rounds

    with local_stack(charts) as (checkout, cluster):
        with open_author(cluster) as author:
            step(f"{rounds} pushes of each kind")
            ours = one_by_one(author, rounds)
            for kind, figures in ours.items():
                show(f"{kind} DAG visible", figures, "p50 2, p95 3")
            show("first task of a new DAG", first_tasks(author, rounds), "p95 8")
        show_idle("idle", cluster)

        with open_author(cluster) as author:
            step(f"{arguments.files} DAG files")
            grow(author, arguments.files)
            for kind, figures in one_by_one(author, rounds).items():
                show(f"{kind} DAG visible, {arguments.files} files", figures, "p95 5")
            shrink(author)

        step(f"the chart's defaults, pushes spread over {DEFAULT_REFRESH_SECONDS} s")
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(OPEN_GIT_SERVER))
        upgrade(cluster, charts, DEFAULTS)
        with open_author(cluster) as author:
            theirs = all_at_once(author, rounds)
        for kind, figures in theirs.items():
            show(f"{kind} DAG visible, defaults", figures)
        ratio = statistics.median(theirs["new"]) / statistics.median(ours["new"])
        print(f"{'  new DAG, defaults / ours, p50':44}{ratio:8.0f}   limit 50 at least")
        show_idle("idle, defaults", cluster)

        step("workers and requests to the Git host")
        show_requests(cluster, checkout, arguments.workers)
    return status()


def one_by_one(author: Author, rounds: int) -> dict[str, list[float]]:
    """Each push waits until the previous one is visible."""
    figures: dict[str, list[float]] = {"new": [], "changed": [], "deleted": []}
    for _ in range(rounds):
        name = next(author.names)
        for kind, version in (("new", "one"), ("changed", "two"), ("deleted", None)):
            pause()
            author.write(name, version)
            figures[kind].append(author.appears(name, version, author.push()))
    return figures


def all_at_once(author: Author, rounds: int) -> dict[str, list[float]]:
    """Pushes spread over one refresh interval, in parallel: one by one they would take hours."""
    changes, deletions = ([next(author.names) for _ in range(rounds)] for _ in range(2))
    for name in (*changes, *deletions):
        author.write(name, "one")
    pushed = author.push()
    for name in (*changes, *deletions):
        author.appears(name, "one", pushed)

    todo: list[tuple[str, str, str | None]] = []
    todo += [("new", next(author.names), "one") for _ in range(rounds)]
    todo += [("changed", name, "two") for name in changes]
    todo += [("deleted", name, None) for name in deletions]
    RANDOM.shuffle(todo)
    figures: dict[str, list[float]] = {"new": [], "changed": [], "deleted": []}
    waiting: list[tuple[str, str, str | None, float]] = []

    def watch(until: float) -> None:
        for push in list(waiting):
            kind, name, version, pushed = push
            if author.shown(name) == version:
                figures[kind].append(time.monotonic() - pushed)
                waiting.remove(push)
        time.sleep(max(0, min(0.1, until - time.monotonic())))

    start = time.monotonic()
    for index, (kind, name, version) in enumerate(todo):
        due = start + DEFAULT_REFRESH_SECONDS * index / len(todo)
        while time.monotonic() < due:
            watch(due)
        author.write(name, version)
        waiting.append((kind, name, version, author.push()))
    last = start + WAIT_SECONDS
    while waiting and time.monotonic() < last:
        watch(last)
    if waiting:
        raise TimeoutError(f"not visible after {WAIT_SECONDS} s: {waiting}")
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
    for file in (author.clone.folder / "dags").glob("bench_*.py"):
        file.unlink()
    author.push()


def show_requests(cluster: Cluster, checkout: Checkout, numbers: Sequence[int]) -> None:
    """Requests to the Git host in a minute, by the number of workers."""
    with GitHost.install(cluster) as host:
        host.create("public/dags.git")
        host.commit("public/dags.git", {"dags/none.py": "# no DAGs"})
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


def upgrade(cluster: Cluster, charts: Path, values: Mapping[str, Any]) -> None:
    """Change values of the deployed release without Pulumi."""
    helm = ["helm", "--kube-context", cluster.context, "--namespace", "airflow", "upgrade"]
    words = ["airflow", str(charts / AIRFLOW_CHART.archive), "--reuse-values", "--values", "-"]
    subprocess.run(
        [*helm, *words], input=json.dumps(values), text=True, check=True, capture_output=True
    )
    # Not `helm --wait`: Helm 4 waits forever for jobs that are deleted a minute after they end.
    ready = ["rollout", "status", "deployment", "--selector=release=airflow", "--timeout=280s"]
    cluster.kubectl("-n", "airflow", *ready)


@contextmanager
def open_author(cluster: Cluster) -> Generator[Author]:
    with clone_of_git_server(cluster) as clone, Api.open(cluster) as api:
        yield Author(clone=clone, api=api)


def show_idle(what: str, cluster: Cluster) -> None:
    """CPU of DAG processor and relay in millicores, over an idle minute."""
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
    """A random part of the longest polling interval, which is one second."""
    time.sleep(RANDOM.uniform(0.2, 1.2))


if __name__ == "__main__":
    sys.exit(main())
