"""Task slots, database connections and nodes that a stack needs. Pure arithmetic."""

import math
from collections.abc import Collection, Iterable

from settings.airflow import AirflowSettings
from settings.limits import (
    HEARTBEAT_CPU,
    HEARTBEAT_SHARE,
    IMAGES_GB,
    KEDA_CONNECTION_LIMIT,
    KEDA_CONNECTIONS,
    MAX_HEARTBEAT_SECONDS,
    MAX_OVERFLOW,
    MIN_HEARTBEAT_SECONDS,
    NODE_DISK_GB,
    NODE_GPUS,
    NODE_PODS,
    POD_CPU,
    POD_DISK,
    POD_MB,
    POOL_SIZE,
    RESERVED_CONNECTIONS,
    SIDECARS_CPU,
    SIDECARS_MB,
)
from settings.workers import WorkerSettings


def task_slots(queues: Collection[WorkerSettings]) -> int:
    """Task slots of all queues at their maximum number of workers."""
    return sum(queue.max * queue.concurrency for queue in queues)


def parallelism(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Airflow's `core.parallelism`, running tasks per scheduler: all slots, unless set."""
    return airflow.parallelism or task_slots(queues)


def schedulable_tasks(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Maximum number of running tasks, over all schedulers."""
    return parallelism(queues, airflow) * airflow.replicas.scheduler


def running_tasks(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Maximum number of running tasks, on all workers."""
    return min(task_slots(queues), schedulable_tasks(queues, airflow))


def heartbeats_of_process() -> int:
    """Heartbeats a second that a process of an API server answers beside its other requests."""
    return int(HEARTBEAT_SHARE / HEARTBEAT_CPU)


def heartbeat_seconds(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Seconds between two heartbeats of a task: the shortest time that the API servers can answer."""
    chosen = airflow.whole_number("workers", "min_heartbeat_interval")
    answered = airflow.api_processes * heartbeats_of_process()
    needed = math.ceil(running_tasks(queues, airflow) / answered)
    return chosen or min(max(needed, MIN_HEARTBEAT_SECONDS), MAX_HEARTBEAT_SECONDS)


def heartbeats(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Heartbeats a second of all running tasks."""
    return math.ceil(running_tasks(queues, airflow) / heartbeat_seconds(queues, airflow))


def worker_connections(queue: WorkerSettings) -> int:
    """Connections of all workers of a queue: one per slot, and one per worker for Celery results."""
    return queue.max * (queue.concurrency + 1)


def keda_connection_limit(queues: Collection[WorkerSettings]) -> int:
    """Connection limit of the KEDA role."""
    return KEDA_CONNECTION_LIMIT * _scaled_by_keda(queues)


def _scaled_by_keda(queues: Collection[WorkerSettings]) -> int:
    return sum(queue.scaling == "queue" for queue in queues)


def worker_requests(queue: WorkerSettings) -> tuple[float, int]:
    """Requests of a worker pod: CPU, and memory in MiB."""
    return round(queue.cpu + SIDECARS_CPU, 2), queue.memory_mb + SIDECARS_MB


def node_disk_gb(queues: Iterable[WorkerSettings]) -> int:
    """Disk of every node: one worker of the queue with the largest disk fits beside the images."""
    largest = max(queue.disk_gb for queue in queues)
    return max(NODE_DISK_GB, math.ceil((largest + IMAGES_GB) / POD_DISK))


def min_nodes(queue: WorkerSettings, disk_gb: int) -> int:
    """Minimum number of nodes for all workers of a queue: nodes of the largest size.

    `disk_gb` is the disk of a node.
    """
    cpu, memory_mb = worker_requests(queue)
    per_node = min(
        NODE_PODS,
        NODE_GPUS // queue.gpu if queue.gpu else NODE_PODS,
        int(POD_CPU / cpu),
        int(POD_MB / memory_mb),
        int(POD_DISK * disk_gb / queue.disk_gb),
    )
    return math.ceil(queue.max / per_node)


def database_connections(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Maximum number of connections: full pools, the workers of every queue, and KEDA.

    A waiting DAG processor has one connection; the lock of the working one is part of the reserve.
    """
    replicas = airflow.replicas
    processes = replicas.scheduler + replicas.triggerer + 1 + airflow.api_processes
    pools = processes * (POOL_SIZE + MAX_OVERFLOW)
    waiting = replicas.dag_processor - 1
    return pools + waiting + _queue_connections(queues) + RESERVED_CONNECTIONS


def loaded_connections(queues: Collection[WorkerSettings], airflow: AirflowSettings) -> int:
    """Connections while every slot runs a task, as `make bench-workers` counts them.

    A process of an API server opens its pool and one asynchronous connection; each DAG processor one
    for its lock, the working one another; the task keeper and every other process open one.
    """
    replicas = airflow.replicas
    servers = airflow.api_processes * (POOL_SIZE + 1)
    others = replicas.scheduler + replicas.dag_processor + 1 + replicas.triggerer + 1
    return servers + others + _queue_connections(queues)


def _queue_connections(queues: Collection[WorkerSettings]) -> int:
    """Connections of all workers, and of KEDA for the queues that it scales."""
    return sum(map(worker_connections, queues)) + KEDA_CONNECTIONS * _scaled_by_keda(queues)
