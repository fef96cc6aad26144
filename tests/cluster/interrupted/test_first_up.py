"""The first `make up` is killed in the middle."""

import os
import signal

import pytest

from tests.harness.waiting import wait_for


@pytest.mark.slow
def test_the_next_up_adopts_what_a_killed_first_one_created(checkout, cluster, nothing_is_left):
    process = checkout.start("up")
    try:
        wait_for("the first servers", lambda: len(cluster.get("statefulsets")) >= 3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    try:
        said = checkout.up()
    finally:
        left = checkout.make("down")

    assert "looking what is there" in said
    assert "Airflow is healthy." in said
    nothing_is_left(*left)
