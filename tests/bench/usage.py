"""CPU and database connections of the stack, by component."""

import json
import re
from collections import Counter, defaultdict

from settings.cluster import NAMESPACE
from settings.keda import KEDA_NAMESPACE
from tests.bench import load
from tests.harness.cluster import Cluster

# By pod and container.
Seconds = dict[tuple[str, str], float]
_CPU_LINE = re.compile(
    r'container_cpu_usage_seconds_total{container="([^"]+)",[^}]*'
    rf'namespace="{NAMESPACE}",pod="([^"]+)"[^}}]*}} (\S+)'
)
_CONNECTIONS = (
    "SELECT client_addr, count(*) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY client_addr"
)


def component_of(labels: dict[str, str]) -> str:
    return labels.get("component") or labels["app.kubernetes.io/name"]


def cpu_seconds(cluster: Cluster) -> Seconds:
    """CPU seconds since the start of each container, as measured by the kubelet."""
    (node,) = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/metrics/resource"
    found = _CPU_LINE.findall(cluster.kubectl("get", "--raw", path))
    return {(pod, container): float(seconds) for container, pod, seconds in found}


def used_by_component(cluster: Cluster, before: Seconds, after: Seconds) -> dict[str, float]:
    """CPU seconds between two measurements, in descending order, without deleted pods."""
    pods = [pod["metadata"] for pod in cluster.get("pods")]
    components = {pod["name"]: component_of(pod["labels"]) for pod in pods}
    used: dict[str, float] = defaultdict(float)
    for (pod, container), seconds in after.items():
        if pod in components:
            used[components[pod]] += seconds - before.get((pod, container), 0)
    return dict(sorted(used.items(), key=lambda item: -item[1]))


def connections_by_component(cluster: Cluster) -> Counter[str]:
    namespaces = (NAMESPACE, KEDA_NAMESPACE)
    pods = [pod for name in namespaces for pod in cluster.get("pods", namespace=name)]
    names = {pod["status"].get("podIP"): component_of(pod["metadata"]["labels"]) for pod in pods}
    found: Counter[str] = Counter()
    for line in load.query(cluster, _CONNECTIONS).splitlines():
        address, number = line.split("|")
        found[names.get(address, "deleted pods")] += int(number)
    return found


def planned_connections(output: str) -> int:
    """The estimate under full load in the output of `make plan ARGS=--json`."""
    plan, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
    (loaded,) = [
        limit["loaded"] for limit in plan["limits"] if limit["name"] == "database connections"
    ]
    return loaded
