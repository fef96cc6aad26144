"""Recovery from a first `make up` that was killed."""

import pytest

from tests.harness.processes import kill_session
from tests.harness.waiting import wait_for


@pytest.mark.slow
def test_up_adopts_the_resources_of_a_killed_first_up(checkout, cluster, nothing_is_left):
    process = checkout.start("up")
    try:
        wait_for("the StatefulSets", lambda: len(cluster.get("statefulsets")) >= 3)
    finally:
        kill_session(process)
        process.communicate()
    try:
        output = checkout.up()
    finally:
        down = checkout.make("down")

    assert "an interrupted command was creating " in output
    assert "Airflow is healthy." in output
    nothing_is_left(*down)
