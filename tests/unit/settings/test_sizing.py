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


def workers(max_workers, concurrency):
    return WorkerSettings(max=max_workers, concurrency=concurrency, memory_mb=8192)


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
def test_the_memory_of_an_instance_class_matches_aws(instance_class, gib):
    assert limits.memory_gib(instance_class) == gib


def test_every_class_of_a_known_family_is_accepted():
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
def test_an_unknown_instance_class_is_refused(instance_class):
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
def test_max_connections_follow_the_memory(instance_class, connections):
    assert limits.rds_max_connections(instance_class) == connections


def test_max_connections_stay_below_the_formula_of_rds():
    """LEAST(DBInstanceClassMemory / 9531392, 5000), minus what RDS and the system reserve."""
    for name in CLASSES:
        formula = min(5000, limits.memory_gib(name) * 1024**3 / 9531392)

        assert 0.85 * formula < limits.rds_max_connections(name) <= formula, name


@pytest.mark.parametrize(
    ("max_workers", "concurrency", "slots"), [(4, 8, 32), (1, 1, 1), (20, 16, 320)]
)
def test_slots_are_max_times_concurrency(max_workers, concurrency, slots):
    assert sizing.task_slots([workers(max_workers, concurrency)]) == slots


@pytest.mark.parametrize(
    ("parallelism", "schedulers", "one", "together"),
    [(None, 1, 32, 32), (None, 3, 32, 96), (10, 1, 10, 10), (10, 3, 10, 30), (1, 1, 1, 1)],
)
def test_parallelism_per_scheduler_is_all_slots_by_default(parallelism, schedulers, one, together):
    airflow = AirflowSettings(
        parallelism=parallelism, replicas=ReplicaSettings(scheduler=schedulers)
    )

    assert sizing.parallelism([workers(4, 8)], airflow) == one
    assert sizing.schedulable_tasks([workers(4, 8)], airflow) == together


@pytest.mark.parametrize(
    ("max_workers", "concurrency", "replicas", "connections"),
    [
        # 4 processes with pools of 15, 4 workers of 8 slots plus 1, 2 for KEDA, 15 reserved
        (4, 8, {}, 4 * 15 + 4 * 9 + 2 + 15),
        (20, 8, {}, 4 * 15 + 20 * 9 + 2 + 15),
        (4, 16, {}, 4 * 15 + 4 * 17 + 2 + 15),
        (4, 8, {"scheduler": 3}, 6 * 15 + 4 * 9 + 2 + 15),
        (4, 8, {"api_server": 2, "dag_processor": 2, "triggerer": 2}, 7 * 15 + 4 * 9 + 2 + 15),
    ],
)
def test_the_maximum_number_of_connections(max_workers, concurrency, replicas, connections):
    airflow = AirflowSettings(replicas=ReplicaSettings(**replicas))

    assert sizing.database_connections([workers(max_workers, concurrency)], airflow) == connections


def test_connections_under_full_load_match_the_measurement():
    # make bench-workers, 2026-11-26: 20 of the workers, 6 of the API server, one of each other process.
    fixed = WorkerSettings(max=4, concurrency=4, scaling="fixed")

    assert sizing.loaded_connections([fixed], AirflowSettings()) == 20 + 6 + 4


def test_every_process_and_queue_adds_loaded_connections():
    replicas = ReplicaSettings(scheduler=2, api_server=3, dag_processor=2, triggerer=2)
    queues = [workers(4, 8), workers(2, 3)]

    connections = sizing.loaded_connections(queues, AirflowSettings(replicas=replicas))

    assert connections == 3 * 6 + 2 + 2 + 2 + 1 + 4 * 9 + 2 * 4 + 2 * 2


@pytest.mark.parametrize(("concurrency", "minimum"), [(1, 704), (8, 1152), (16, 1664), (64, 4736)])
def test_worker_memory_grows_with_concurrency(concurrency, minimum):
    assert limits.worker_memory_mb(concurrency) == minimum


def test_worker_memory_exceeds_the_measurement():
    measured_mib = 1.42e9 / 2**20  # 16 slots, 16 tasks, Airflow 3.2.2
    assert measured_mib < limits.worker_memory_mb(16)


def test_sizes_add_up_over_all_queues():
    queues = [workers(4, 8), workers(2, 3)]
    airflow = AirflowSettings(replicas=ReplicaSettings(scheduler=2))

    assert sizing.task_slots(queues) == 4 * 8 + 2 * 3
    assert sizing.parallelism(queues, airflow) == 38
    assert sizing.schedulable_tasks(queues, airflow) == 76
    assert sizing.worker_connections(queues[1]) == 2 * 4
    assert sizing.database_connections(queues, airflow) == 5 * 15 + 4 * 9 + 2 * 4 + 2 * 2 + 15


def test_the_connection_limit_of_keda_is_per_queue():
    by_tasks, by_cpu = WorkerSettings(), WorkerSettings(scaling="cpu")

    assert sizing.keda_connection_limit([by_tasks]) == 5
    assert sizing.keda_connection_limit([by_tasks, by_cpu, by_tasks]) == 10


@pytest.mark.parametrize(
    ("workers", "nodes"),
    [
        ({"max": 1}, 1),
        ({"max": 20, "cpu": 2, "memory_mb": 6144}, 1),
        # 192 CPU and 1536 GiB, a tenth of them reserved: 10 workers of 16.02 CPU
        ({"max": 10, "cpu": 16}, 1),
        ({"max": 11, "cpu": 16}, 2),
        # 5 workers of 256 GiB and their sidecars
        ({"max": 5, "memory_mb": 262144}, 1),
        ({"max": 6, "memory_mb": 262144}, 2),
        # at most 110 pods per node
        ({"max": 110, "cpu": 0.1}, 1),
        ({"max": 111, "cpu": 0.1}, 2),
    ],
)
def test_the_minimum_of_nodes_is_for_the_largest_size(workers, nodes):
    assert sizing.min_nodes(WorkerSettings(**workers)) == nodes
