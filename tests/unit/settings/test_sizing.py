import re

import pytest

from settings import limits, sizing
from settings.airflow import AirflowSettings, ReplicaSettings
from settings.workers import WorkerSettings

# Families of https://aws.amazon.com/rds/instance-types/ that run PostgreSQL, and their sizes.
BURSTABLE = ["micro", "small", "medium", "large", "xlarge", "2xlarge"]
STEADY = ["large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge"]
CLASSES = [f"db.{family}.{size}" for family in ("t3", "t4g") for size in BURSTABLE] + [
    f"db.{family}.{size}"
    for family in (
        *("m5", "m5d", "m6g", "m6gd", "m6i", "m6id", "m7g", "m7i", "m8g", "m8gd"),
        *("r5", "r5b", "r5d", "r6g", "r6gd", "r6i", "r6id", "r7g", "r7i", "r8g"),
    )
    for size in STEADY
]


def workers(most, concurrency):
    return WorkerSettings(max=most, concurrency=concurrency, memory_mb=8192)


@pytest.mark.parametrize(
    ("instance_class", "gib"),
    [
        ("db.t3.micro", 1),
        ("db.t4g.small", 2),
        ("db.t4g.medium", 4),
        ("db.t3.large", 8),
        ("db.t4g.xlarge", 16),
        ("db.t4g.2xlarge", 32),
        ("db.m7g.large", 8),
        ("db.m6i.xlarge", 16),
        ("db.m5d.4xlarge", 64),
        ("db.m6i.32xlarge", 512),
        ("db.r6g.large", 16),
        ("db.r7g.xlarge", 32),
        ("db.r5.24xlarge", 768),
        ("db.r8g.48xlarge", 1536),
    ],
)
def test_the_memory_of_an_instance_class_is_what_aws_sells(instance_class, gib):
    assert limits.memory_gib(instance_class) == gib


def test_every_instance_class_of_a_known_family_may_be_set_and_has_a_size():
    refused = [name for name in CLASSES if not re.fullmatch(limits.INSTANCE_CLASS, name)]

    assert not refused
    assert min(map(limits.memory_gib, CLASSES)) == 1


@pytest.mark.parametrize(
    "instance_class",
    [
        "t4g.medium",
        "db.t4g",
        "db.t4g.8xlarge",
        "db.t2.micro",
        "db.m7g.medium",
        "db.m4.large",
        "db.c6gd.large",
        "db.x2g.large",
        "db.x8g.large",
        "db.serverless",
        "db.m7g.metal",
        "db.m7g.large.extra",
        "db.m7g.0xlarge",
        "db.m7g.1xlarge",
        "db.m7g.3xlarge",
        "db.m7g.100xlarge",
    ],
)
def test_an_instance_class_without_a_known_size_cannot_be_set(instance_class):
    assert not re.fullmatch(limits.INSTANCE_CLASS, instance_class)


@pytest.mark.parametrize(
    ("instance_class", "connections"),
    [
        ("db.t4g.micro", 101),
        ("db.t4g.small", 202),
        ("db.t4g.medium", 405),
        ("db.m7g.large", 811),
        ("db.r7g.large", 1622),
        ("db.m7g.2xlarge", 3244),
        ("db.m7g.4xlarge", 5000),
        ("db.r8g.48xlarge", 5000),
    ],
)
def test_a_database_has_as_many_connections_as_its_memory_carries(instance_class, connections):
    assert limits.rds_max_connections(instance_class) == connections


def test_no_database_is_promised_more_connections_than_the_formula_of_rds_gives():
    """LEAST(DBInstanceClassMemory / 9531392, 5000), of which the system keeps a part for itself."""
    for name in CLASSES:
        formula = min(5000, limits.memory_gib(name) * 1024**3 / 9531392)

        assert 0.85 * formula < limits.rds_max_connections(name) <= formula, name


@pytest.mark.parametrize(("most", "concurrency", "slots"), [(4, 8, 32), (1, 1, 1), (20, 16, 320)])
def test_every_worker_brings_its_slots(most, concurrency, slots):
    assert sizing.task_slots([workers(most, concurrency)]) == slots


@pytest.mark.parametrize(
    ("parallelism", "schedulers", "one", "together"),
    [(None, 1, 32, 32), (None, 3, 32, 96), (10, 1, 10, 10), (10, 3, 10, 30), (1, 1, 1, 1)],
)
def test_each_scheduler_runs_as_many_tasks_as_there_are_slots_unless_told_otherwise(
    parallelism, schedulers, one, together
):
    airflow = AirflowSettings(
        parallelism=parallelism, replicas=ReplicaSettings(scheduler=schedulers)
    )

    assert sizing.parallelism([workers(4, 8)], airflow) == one
    assert sizing.schedulable_tasks([workers(4, 8)], airflow) == together


@pytest.mark.parametrize(
    ("most", "concurrency", "replicas", "connections"),
    [
        # 4 processes with pools of 15, 4 workers with 8 slots and themselves, KEDA twice, 15 in reserve
        (4, 8, {}, 4 * 15 + 4 * 9 + 2 + 15),
        (20, 8, {}, 4 * 15 + 20 * 9 + 2 + 15),
        (4, 16, {}, 4 * 15 + 4 * 17 + 2 + 15),
        (4, 8, {"scheduler": 3}, 6 * 15 + 4 * 9 + 2 + 15),
        (4, 8, {"api_server": 2, "dag_processor": 2, "triggerer": 2}, 7 * 15 + 4 * 9 + 2 + 15),
    ],
)
def test_connections_are_counted_for_the_busiest_moment(most, concurrency, replicas, connections):
    airflow = AirflowSettings(replicas=ReplicaSettings(**replicas))

    assert sizing.database_connections([workers(most, concurrency)], airflow) == connections


def test_connections_under_full_load_are_those_that_were_measured():
    # make bench-workers, 2026-11-26: 20 of the workers, 6 of the API server, one of each other process.
    fixed = WorkerSettings(max=4, concurrency=4, scaling="fixed")

    assert sizing.loaded_connections([fixed], AirflowSettings()) == 20 + 6 + 4


def test_every_process_and_every_queue_adds_to_the_connections_under_full_load():
    replicas = ReplicaSettings(scheduler=2, api_server=3, dag_processor=2, triggerer=2)
    queues = [workers(4, 8), workers(2, 3)]

    connections = sizing.loaded_connections(queues, AirflowSettings(replicas=replicas))

    assert connections == 3 * 6 + 2 + 2 + 2 + 1 + 4 * 9 + 2 * 4 + 2 * 2


@pytest.mark.parametrize(("concurrency", "least"), [(1, 704), (8, 1152), (16, 1664), (64, 4736)])
def test_a_worker_needs_memory_for_itself_and_for_each_task(concurrency, least):
    assert limits.worker_memory_mb(concurrency) == least


def test_the_memory_of_a_worker_is_more_than_was_measured():
    measured_mib = 1.42e9 / 2**20  # 16 slots, 16 tasks, Airflow 3.2.2
    assert measured_mib < limits.worker_memory_mb(16)


def test_the_workers_of_every_queue_count():
    queues = [workers(4, 8), workers(2, 3)]
    airflow = AirflowSettings(replicas=ReplicaSettings(scheduler=2))

    assert sizing.task_slots(queues) == 4 * 8 + 2 * 3
    assert sizing.parallelism(queues, airflow) == 38
    assert sizing.schedulable_tasks(queues, airflow) == 76
    assert sizing.worker_connections(queues[1]) == 2 * 4
    assert sizing.database_connections(queues, airflow) == 5 * 15 + 4 * 9 + 2 * 4 + 2 * 2 + 15


def test_keda_may_open_connections_for_each_queue_that_it_scales():
    by_tasks, by_cpu = WorkerSettings(), WorkerSettings(scaling="cpu")

    assert sizing.keda_connection_limit([by_tasks]) == 5
    assert sizing.keda_connection_limit([by_tasks, by_cpu, by_tasks]) == 10


@pytest.mark.parametrize(
    ("workers", "nodes"),
    [
        ({"max": 1}, 1),
        ({"max": 20, "cpu": 2, "memory_mb": 6144}, 1),
        # 192 CPU and 1536 GiB, of which a tenth is not for pods: 10 workers of 16.02 CPU
        ({"max": 10, "cpu": 16}, 1),
        ({"max": 11, "cpu": 16}, 2),
        # 5 workers of 256 GiB and their sidecars
        ({"max": 5, "memory_mb": 262144}, 1),
        ({"max": 6, "memory_mb": 262144}, 2),
        # no node has more than 110 pods
        ({"max": 110, "cpu": 0.1}, 1),
        ({"max": 111, "cpu": 0.1}, 2),
    ],
)
def test_the_least_number_of_nodes_is_that_of_the_largest_ones(workers, nodes):
    assert sizing.least_nodes(WorkerSettings(**workers)) == nodes
