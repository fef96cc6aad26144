"""What Airflow says of itself."""

import json
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from local.environment import Ports

# Of the health endpoint; the metadata database has no heartbeat.
HEARTBEATS = {
    "scheduler": "latest_scheduler_heartbeat",
    "triggerer": "latest_triggerer_heartbeat",
    "dag_processor": "latest_dag_processor_heartbeat",
}


# Whatever proxy the shell names: this is on the same machine.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(ports: Ports) -> dict[str, Any] | None:
    try:
        with DIRECTLY.open(f"{ports.url}/api/v2/monitor/health", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def missing(health: Mapping[str, Any] | None, began: datetime) -> list[str]:
    """Parts of Airflow that are not well. A heartbeat of the start before this one does not count."""
    if health is None:
        return ["api-server"]
    sick = [name for name in ("metadatabase", *HEARTBEATS) if health[name]["status"] != "healthy"]
    late = [
        name
        for name, key in HEARTBEATS.items()
        if name not in sick and datetime.fromisoformat(health[name][key]) < began
    ]
    return sick + late
