"""Task slots, database connections and nodes that a stack needs. Pure arithmetic."""

import math
from collections.abc import Collection

from settings.airflow import AirflowSettings
from settings.limits import (
    KEDA_CONNECTION_LIMIT,
    KEDA_CONNECTIONS,
    MAX_OVERFLOW,
    NODE_PODS,
    POD_CPU,
    POD_MB,
    POOL_SIZE,
    RESERVED_CONNECTIONS,
    SIDECARS_CPU,
    SIDECARS_MB,
)
from settings.workers import WorkerSettings


def task_slots(queues: Collection[WorkerSettings]) -> int:
    """Tasks that run at the same time when there are as many workers as there may be."""
    return sum(queue.max * queue.concurrency for queue in queues)


def parallelism(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Airflow's `core.parallelism`, tasks that one scheduler runs: every slot, unless set otherwise."""
    return airflow.parallelism or task_slots(queues)


def schedulable_tasks(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Tasks that all schedulers together let run."""
    return parallelism(queues, airflow) * airflow.replicas.scheduler


def worker_connections(queue: WorkerSettings) -> int:
    """Connections of all workers of a queue: each task slot, and the worker, with its Celery result."""
    return queue.max * (queue.concurrency + 1)


def keda_connection_limit(queues: Collection[WorkerSettings]) -> int:
    """Connections that KEDA's user may open."""
    return KEDA_CONNECTION_LIMIT * _counted_by_keda(queues)


def _counted_by_keda(queues: Collection[WorkerSettings]) -> int:
    return sum(queue.scaling == "queue" for queue in queues)


def worker_requests(queue: WorkerSettings) -> tuple[float, int]:
    """CPU and memory, in MiB, that the pod of one worker requests."""
    return round(queue.cpu + SIDECARS_CPU, 2), queue.memory_mb + SIDECARS_MB


def least_nodes(queue: WorkerSettings) -> int:
    """Nodes for all workers of a queue, if each node is of the largest size."""
    cpu, memory_mb = worker_requests(queue)
    on_a_node = min(NODE_PODS, int(POD_CPU / cpu), int(POD_MB / memory_mb))
    return math.ceil(queue.max / on_a_node)


def database_connections(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """The most connections that Airflow may open: full pools, the workers of every queue, and KEDA."""
    processes = sum(airflow.replicas.model_dump().values())
    pools = processes * (POOL_SIZE + MAX_OVERFLOW)
    return pools + _queue_connections(queues) + RESERVED_CONNECTIONS


def loaded_connections(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Connections that are there when every slot has a task, as `make bench-workers` counts them.

    An API server has its pool and one for what it does asynchronously; the task keeper and each other process
    one.
    """
    replicas = airflow.replicas
    servers = replicas.api_server * (POOL_SIZE + 1)
    others = replicas.scheduler + replicas.dag_processor + replicas.triggerer + 1
    return servers + others + _queue_connections(queues)


def _queue_connections(queues: Collection[WorkerSettings]) -> int:
    """Connections of all workers, and of KEDA for the queues that it counts."""
    return sum(map(worker_connections, queues)) + KEDA_CONNECTIONS * _counted_by_keda(queues)
