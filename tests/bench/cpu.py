"""CPU that the containers of the stack use, as the kubelet counts it."""

import json
import re
from collections import defaultdict

from components.kubernetes.namespace import NAME as NAMESPACE
from tests.harness.cluster import Cluster

# By pod and container.
Seconds = dict[tuple[str, str], float]
_LINE = re.compile(
    r'container_cpu_usage_seconds_total{container="([^"]+)",[^}]*'
    rf'namespace="{NAMESPACE}",pod="([^"]+)"[^}}]*}} (\S+)'
)


def cpu_seconds(cluster: Cluster) -> Seconds:
    """Since the start of each container."""
    (node,) = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/metrics/resource"
    found = _LINE.findall(cluster.kubectl("get", "--raw", path))
    return {(pod, container): float(seconds) for container, pod, seconds in found}


def component_of(labels: dict[str, str]) -> str:
    """What a pod with these labels is part of."""
    return labels.get("component") or labels["app.kubernetes.io/name"]


def used_by_component(cluster: Cluster, before: Seconds, after: Seconds) -> dict[str, float]:
    """CPU seconds between two looks, the most first. Pods that have gone meanwhile do not count."""
    pods = [pod["metadata"] for pod in cluster.get("pods")]
    components = {pod["name"]: component_of(pod["labels"]) for pod in pods}
    used: dict[str, float] = defaultdict(float)
    for (pod, container), seconds in after.items():
        if pod in components:
            used[components[pod]] += seconds - before.get((pod, container), 0)
    return dict(sorted(used.items(), key=lambda item: -item[1]))
