"""`make plan`, `make test`, and `make up` beside a bare `helm install --wait` of the same objects.

Figures are seconds of wall time. The two kinds of installation alternate, so that other load on the
machine affects both; the ratio is that of their medians.
"""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ops import stack_files
from ops.plan import mock_engine
from ops.plan.report import airflow_values
from policies.chart_values import RELEASE
from settings.cluster import NAMESPACE
from settings.versions import AIRFLOW_CHART
from tests.bench.figures import clock, show_range, show_ratio
from tests.harness.checkout import ROOT, Checkout
from tests.harness.cluster import Cluster

INSTALL_SECONDS = 900
MAKE_TEST = ("pytest", "-q", "tests/unit", "--numprocesses", "2", "--dist", "worksteal")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-platform", description=__doc__)
    parser.add_argument("--charts", type=Path, required=True, help="directory with airflow-*.tgz")
    parser.add_argument("--rounds", type=int, default=2, help="installations of each kind")
    arguments = parser.parse_args()
    charts = arguments.charts.resolve()

    plan = [timed("ops", "plan", "--stack", "prod") for _ in range(5)]
    show_range("offline plan of prod", plan, "3")
    show_range("make test", [timed(*MAKE_TEST)], "60")

    snapshot, _ = stack_files.run_stack("local")
    cluster = Cluster.of_local_stack()
    bare: list[float] = []
    ours: list[float] = []
    again: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout.copy(Path(folder), charts)
        for _ in range(arguments.rounds):
            bare.append(clock(lambda: install_bare(cluster, snapshot, charts)))
            cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=true")
            ours.append(clock(checkout.up))
            again += [clock(checkout.up) for _ in range(2)]
            memory.append(working_set_gb(cluster))
            status, output = checkout.make("down")
            if status:
                raise RuntimeError(output)
    show_range("bare helm install --wait", bare)
    show_range("make up from nothing", ours)
    show_ratio("ratio of the medians", ours, bare, "1.3")
    show_range("make up with nothing to do", again, "10")
    show_range("memory of all pods, GB", memory, "2.5")
    return status()


def timed(*module: str) -> float:
    command: Sequence[str] = (sys.executable, "-m", *module)
    return clock(lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True))


def install_bare(cluster: Cluster, snapshot: mock_engine.StackSnapshot, charts: Path) -> None:
    """Apply the program's own objects with kubectl, then install the chart with helm."""
    objects = [r for r in snapshot.resources.values() if r.type.startswith("kubernetes:")]
    objects = [r for r in objects if r.type != RELEASE]
    first = [r for r in objects if r.type == "kubernetes:core/v1:Namespace"]
    for group in (first, [r for r in objects if r not in first]):
        listed = {"apiVersion": "v1", "kind": "List", "items": [manifest(r) for r in group]}
        # Server-side: the Git server's ConfigMap exceeds the size of kubectl's annotation.
        cluster.kubectl("apply", "--server-side", "--filename", "-", stdin=json.dumps(listed))
    wanted = json.dumps(airflow_values(snapshot), default=vars)
    chart = str(charts / AIRFLOW_CHART.archive)
    words = ["install", "airflow", chart, "--namespace", NAMESPACE, "--wait", "--timeout", "15m"]
    command = ["helm", "--kube-context", cluster.context, *words, "--values", "-"]
    subprocess.run(
        command, input=wanted, text=True, check=True, capture_output=True, timeout=INSTALL_SECONDS
    )


def manifest(resource: mock_engine.Resource) -> dict[str, Any]:
    """The object for kubectl, with the mock engine's secrets in plain text."""
    plain = json.loads(json.dumps(resource.inputs, default=lambda secret: secret.value))
    if resource.name.endswith("-fernet"):
        plain["stringData"]["fernet-key"] = base64.urlsafe_b64encode(os.urandom(32)).decode()
    return plain


def working_set_gb(cluster: Cluster) -> float:
    """Memory of the stack's pods, as the metrics API reports it."""
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"
    pods = json.loads(cluster.kubectl("get", "--raw", path))["items"]
    used = [c["usage"]["memory"] for pod in pods for c in pod["containers"]]
    return sum(int(text.removesuffix("Ki")) * 1024 for text in used) / 1e9


if __name__ == "__main__":
    sys.exit(main())
