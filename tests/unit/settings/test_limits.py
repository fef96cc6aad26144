import re

import pytest

from settings import limits

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


@pytest.mark.parametrize(("concurrency", "minimum"), [(1, 704), (8, 1152), (16, 1664), (64, 4736)])
def test_worker_memory_grows_with_concurrency(concurrency, minimum):
    assert limits.worker_memory_mb(concurrency) == minimum


def test_worker_memory_exceeds_the_measurement():
    measured_mib = 1.42e9 / 2**20  # 16 slots, 16 tasks, Airflow 3.2.2
    assert measured_mib < limits.worker_memory_mb(16)


@pytest.mark.parametrize(
    ("days", "accepted"),
    [(1, 1), (2, 3), (30, 30), (31, 60), (365, 365), (366, 400), (3650, 3653), (3653, 3653)],
)
def test_a_log_group_keeps_its_events_at_least_that_long(days, accepted):
    assert limits.cloudwatch_retention(days) == accepted
