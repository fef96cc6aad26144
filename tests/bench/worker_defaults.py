"""The same loads with the worker defaults of the chart and of Airflow, for comparison.

As in the stack: concurrency, CPU and memory of a worker, 1 to 4 workers, and no volume for logs.
The chart's own KEDA is enabled where the number of workers changes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tests.bench.dags import upgrade
from tests.bench.figures import show, show_one
from tests.bench.worker_bench import (
    MAX_WORKERS,
    ONE_SLOT,
    SLOTS,
    SOAK_WORKERS,
    WORKERS,
    Bench,
    drained,
    new_pods,
    show_connections,
    show_from_zero,
    show_scale_in,
    show_soak,
    show_throughput,
    show_waits,
)

DEFAULT_PROBE = {
    "enabled": True,
    "initialDelaySeconds": 10,
    "timeoutSeconds": 20,
    "failureThreshold": 5,
    "periodSeconds": 60,
    # The chart's default, written out: a Helm upgrade cannot unset a value of the stack.
    "command": [
        "sh",
        "-c",
        "CONNECTION_CHECK_MAX_COUNT=0 exec /entrypoint python -m celery --app "
        "airflow.providers.celery.executors.celery_executor.app inspect ping "
        "-d celery@$(python -c 'import socket; print(socket.gethostname())')",
    ],
}
DEFAULT_KEDA = {
    "enabled": True,
    "pollingInterval": 5,
    "cooldownPeriod": 30,
    "minReplicaCount": 1,
    "maxReplicaCount": MAX_WORKERS,
}
DEFAULT_CONFIG = {
    "core": {"default_task_retries": 0},
    "celery": {
        "task_track_started": "True",
        "sync_parallelism": 0,
        "operation_timeout": 1.0,
        "extra_celery_config": "{}",
    },
    "scheduler": {
        "task_queued_timeout": 600,
        "orphaned_tasks_check_interval": 300,
        "scheduler_idle_sleep_time": 1,
    },
    "workers": {"min_heartbeat_interval": 5},
}


def queued_running_by_default(bench: Bench) -> None:
    _fixed_by_default(bench, 1)
    show_waits(bench, "  the chart's defaults")


def throughput_by_default(bench: Bench) -> None:
    _fixed_by_default(bench, 2)
    show_throughput(bench, "  the chart's defaults, tasks an hour", "  the chart's defaults, a hop")


def backlog_by_default(bench: Bench) -> None:
    _by_default(bench, {"keda": DEFAULT_KEDA})
    bench.wait_workers(1)
    show_one("  the chart's defaults, its KEDA", drained(bench))


def scale_in_by_default(bench: Bench) -> None:
    _by_default(bench, {"keda": DEFAULT_KEDA})
    bench.wait_workers(1)
    show_scale_in(bench, "  the chart's defaults, its KEDA")


def connections_by_default(bench: Bench) -> None:
    _fixed_by_default(bench, MAX_WORKERS)
    show_connections(bench, "  the chart's defaults", SLOTS)


def new_pod_by_default(bench: Bench) -> None:
    pods = bench.pods + 1
    bench.arrange(scaling="queue", max=pods, **ONE_SLOT)
    _by_default(bench, {"keda": DEFAULT_KEDA | {"maxReplicaCount": pods}}, **ONE_SLOT)
    bench.wait_workers(1)
    show("  the chart's defaults, its KEDA", new_pods(bench, lambda _: None))


def from_zero_by_default(bench: Bench) -> None:
    bench.arrange(scaling="queue", max=1)
    _by_default(bench, {"keda": DEFAULT_KEDA | {"minReplicaCount": 0, "maxReplicaCount": 1}})
    show_from_zero(bench, "  the chart's defaults, its KEDA")


def soak_by_default(bench: Bench) -> None:
    bench.arrange(scaling="queue", **SOAK_WORKERS)
    _by_default(bench, {"keda": DEFAULT_KEDA}, **SOAK_WORKERS)
    bench.wait_workers(1)
    show_soak(bench, "  the chart's defaults, its KEDA")


def _fixed_by_default(bench: Bench, number: int) -> None:
    _by_default(bench, {"keda": {"enabled": False}, "replicas": number})
    bench.wait_workers(number)
    bench.wait_slots(number)


def _by_default(bench: Bench, scaling: Mapping[str, Any], **workers: Any) -> None:
    """Upgrade the deployed release to the worker defaults of the chart and of Airflow."""
    size = WORKERS | workers
    memory = f"{size['memory_mb']}Mi"
    worker_set = {
        "name": "default",
        "queue": "default",
        "serviceAccount": {"name": "airflow-worker"},
        "terminationGracePeriodSeconds": 600,
        "hpa": {"enabled": False},
        **scaling,
        # KEDA reads its connection from the environment of the worker.
        "env": [
            {
                "name": "AIRFLOW_CONN_AIRFLOW_DB",
                "valueFrom": {"secretKeyRef": {"name": "airflow-keda", "key": "connection"}},
            }
        ],
        "resources": {
            "requests": {"cpu": f"{round(size['cpu'] * 1000)}m", "memory": memory},
            "limits": {"memory": memory},
        },
    }
    values = {
        "workers": {
            "celery": {
                "sets": [worker_set],
                "waitForMigrations": {"enabled": True},
                "livenessProbe": DEFAULT_PROBE,
                "podDisruptionBudget": {"enabled": False},
                "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "50%"}},
            }
        },
        "config": DEFAULT_CONFIG,
    }
    upgrade(bench.cluster, bench.charts, values)


BY_DEFAULT: dict[str, Callable[[Bench], None]] = {
    "queued-running": queued_running_by_default,
    "throughput": throughput_by_default,
    "connections": connections_by_default,
    "backlog": backlog_by_default,
    "scale-in": scale_in_by_default,
    # These change the worker settings first.
    "new-pod": new_pod_by_default,
    "from-zero": from_zero_by_default,
    "soak": soak_by_default,
}
