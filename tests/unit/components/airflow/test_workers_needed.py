"""KEDA's query for the number of workers, executed on a SQLite table."""

import math
import sqlite3
from contextlib import closing

import pytest

from components.airflow.values import worker_sets
from settings.workers import WorkerSettings


@pytest.fixture
def needed():
    """Result of the query for these tasks: (state, queue, number)."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.create_function("ceil", 1, math.ceil)  # missing in some builds of SQLite
        database.execute("CREATE TABLE task_instance (state, queue)")

        def count(*tasks, queue="default", concurrency=4):
            database.execute("DELETE FROM task_instance")
            for state, of, number in tasks:
                rows = [(state, of)] * number
                database.executemany("INSERT INTO task_instance VALUES (?, ?)", rows)
            (workers,) = worker_sets({queue: WorkerSettings(concurrency=concurrency)})
            (value,) = database.execute(workers["keda"]["query"]).fetchone()
            return value

        yield count


@pytest.mark.parametrize("queue", ["default", "etl"])
def test_running_and_queued_tasks_get_a_slot(needed, queue):
    assert needed(queue=queue) == 0
    assert needed(("queued", queue, 1), queue=queue) == 1
    assert needed(("running", queue, 4), queue=queue) == 1
    assert needed(("running", queue, 4), ("queued", queue, 1), queue=queue) == 2
    assert needed(("running", queue, 4), queue=queue, concurrency=3) == 2


def test_other_states_are_not_counted(needed):
    states = ["success", "failed", "scheduled", "deferred", "up_for_retry", None]

    assert needed(*((state, "default", 50) for state in states)) == 0


def test_other_queues_are_not_counted(needed):
    assert needed(("queued", "etl", 50), ("running", "default", 4)) == 1


@pytest.mark.parametrize("concurrency", [1, 3, 16])
@pytest.mark.parametrize("full", [1, 9, 10, 11, 20, 99, 100])
def test_a_queued_task_always_triggers_scale_up(needed, full, concurrency):
    running = ("running", "default", full * concurrency)

    seen = needed(running, ("queued", "default", 1), concurrency=concurrency)

    # https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
    assert seen / full > 1.1, "the HPA would not scale up"
    assert seen <= 1.1 * (full + 1), "headroom is at most 10 %"
    assert needed(running, concurrency=concurrency) == full, (
        "without queued tasks there is no headroom"
    )
