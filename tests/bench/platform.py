"""Plan, tests, and `make up` beside a bare `helm install --wait` of the same objects on the same cluster.

Figures are seconds of wall time. The two installations take turns, so that a slow minute of the
machine hits both; the ratio is that of their medians.
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components.kubernetes.namespace import NAME as NAMESPACE
from ops import stack_files
from ops.plan import mock_engine, values
from settings.versions import AIRFLOW_CHART
from tests.harness.checkout import ROOT, Checkout
from tests.harness.cluster import Cluster

INSTALL_SECONDS = 900


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-platform", description=__doc__)
    parser.add_argument("--charts", type=Path, required=True, help="directory with airflow-*.tgz")
    parser.add_argument("--rounds", type=int, default=2, help="installations of each kind")
    arguments = parser.parse_args()
    charts = arguments.charts.resolve()

    python = [sys.executable, "-m"]
    plan = [timed([*python, "plan", "--stack", "prod"]) for _ in range(5)]
    show("offline plan of prod", plan, limit=3)
    show("make test", [timed([*python, "pytest", "-q", "tests/unit"])], limit=60)

    declaration, _ = stack_files.run_stack("local")
    context = declaration.one("pulumi:providers:kubernetes").inputs["context"]
    cluster = Cluster(context=context)
    bare: list[float] = []
    ours: list[float] = []
    again: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout.copy(Path(folder), charts)
        for _ in range(arguments.rounds):
            bare.append(clock(lambda: install_bare(cluster, declaration, charts)))
            cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=true")
            ours.append(clock(checkout.up))
            again += [clock(checkout.up) for _ in range(2)]
            memory.append(working_set_gb(cluster))
            status, said = checkout.make("down")
            if status:
                raise RuntimeError(said)
    show("bare helm install --wait", bare)
    show("make up from nothing", ours)
    print(
        f"{'  ratio of the medians':32}{statistics.median(ours) / statistics.median(bare):8.2f}   limit 1.3"
    )
    show("make up with nothing to do", again, limit=10)
    show("memory of all pods, GB", memory, limit=2.5)
    return 0


def show(what: str, figures: Sequence[float], limit: float | None = None) -> None:
    """One line: minimum, median, maximum, how many, and the limit if there is one."""
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    bound = f"   limit {limit:g}" if limit is not None else ""
    print(
        f"{what:32}{middle:8.2f}   ({low:.2f} to {high:.2f}, n = {len(figures)}){bound}", flush=True
    )


def clock(action: Callable[[], Any]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def timed(command: Sequence[str]) -> float:
    return clock(lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True))


def install_bare(cluster: Cluster, declaration: mock_engine.Declaration, charts: Path) -> None:
    """Apply what the program declares beside the chart, then install the chart, all by hand."""
    objects = [r for r in declaration.resources.values() if r.type.startswith("kubernetes:")]
    objects = [r for r in objects if r.type != values.RELEASE]
    first = [r for r in objects if r.type == "kubernetes:core/v1:Namespace"]
    for group in (first, [r for r in objects if r not in first]):
        items = [manifest(r) for r in group]
        listed = {"apiVersion": "v1", "kind": "List", "items": items}
        cluster.kubectl("apply", "--filename", "-", stdin=json.dumps(listed))
    wanted = json.dumps(values.of_airflow(declaration), default=vars)
    chart = str(charts / AIRFLOW_CHART.archive)
    words = ["install", "airflow", chart, "--namespace", NAMESPACE, "--wait", "--timeout", "15m"]
    command = ["helm", "--kube-context", cluster.context, *words, "--values", "-"]
    subprocess.run(
        command, input=wanted, text=True, check=True, capture_output=True, timeout=INSTALL_SECONDS
    )


def manifest(resource: mock_engine.Resource) -> dict[str, Any]:
    """The object as kubectl takes it, its secrets in plain text: they are the mock engine's."""
    plain = json.loads(json.dumps(resource.inputs, default=lambda secret: secret.value))
    if resource.name.endswith("-fernet"):
        plain["stringData"]["fernet-key"] = base64.urlsafe_b64encode(os.urandom(32)).decode()
    return plain


def working_set_gb(cluster: Cluster) -> float:
    """Memory in use by the pods of the stack, as the metrics API gives it, in GB."""
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"
    pods = json.loads(cluster.kubectl("get", "--raw", path))["items"]
    used = [c["usage"]["memory"] for pod in pods for c in pod["containers"]]
    return sum(int(text.removesuffix("Ki")) * 1024 for text in used) / 1e9


if __name__ == "__main__":
    sys.exit(main())
