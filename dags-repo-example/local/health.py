"""The health endpoint of Airflow's API server."""

import json
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from local.environment import Ports

# Keys of the health endpoint; the metadata database has no heartbeat.
HEARTBEATS = {
    "scheduler": "latest_scheduler_heartbeat",
    "triggerer": "latest_triggerer_heartbeat",
    "dag_processor": "latest_dag_processor_heartbeat",
}


# Ignores the proxy settings of the shell: the API server runs on the same machine.
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(ports: Ports) -> dict[str, Any] | None:
    try:
        with WITHOUT_PROXY.open(f"{ports.url}/api/v2/monitor/health", timeout=5) as response:
            return json.load(response)
    except OSError:
        return None


def unhealthy_components(health: Mapping[str, Any] | None, started_at: datetime) -> list[str]:
    """Components without a healthy status, or without a heartbeat since this start."""
    if health is None:
        return ["api-server"]
    unhealthy = [
        name for name in ("metadatabase", *HEARTBEATS) if health[name]["status"] != "healthy"
    ]
    stale = [
        name
        for name, key in HEARTBEATS.items()
        if name not in unhealthy and datetime.fromisoformat(health[name][key]) < started_at
    ]
    return unhealthy + stale
