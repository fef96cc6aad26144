"""Connections to PostgreSQL, by who has them, and what the plan says of them."""

import json
from collections import Counter

from settings.keda import KEDA_NAMESPACE
from tests.bench import load
from tests.bench.cpu import component_of
from tests.bench.load import NAMESPACE
from tests.harness.cluster import Cluster

CONNECTIONS = (
    "SELECT client_addr, count(*) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY client_addr"
)


def connections_by_component(cluster: Cluster) -> Counter[str]:
    namespaces = (NAMESPACE, KEDA_NAMESPACE)
    pods = [pod for where in namespaces for pod in cluster.get("pods", namespace=where)]
    names = {pod["status"].get("podIP"): component_of(pod["metadata"]["labels"]) for pod in pods}
    found: Counter[str] = Counter()
    for line in load.query(cluster, CONNECTIONS).splitlines():
        address, number = line.split("|")
        found[names.get(address, "pods that have gone")] += int(number)
    return found


def loaded_connections(said: str) -> int:
    """What `make plan ARGS=--json` says of them. Other lines may stand before its JSON."""
    plan, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    (loaded,) = [one["loaded"] for one in plan["limits"] if one["name"] == "database connections"]
    return loaded
