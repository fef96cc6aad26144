"""An outage of five minutes ends no task: options that depend on each other, and on defaults."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

VALUES = yaml.safe_load((Path(__file__).parents[2] / "values" / "airflow.yaml").read_text())
CONFIG = VALUES["config"]
OUTAGE = 300
# Defaults of Airflow 3.2.2: airflow/config_templates/config.yml
REQUEST_TIMEOUT, RENEWED_PART = 5, 0.2


def pauses():
    """Seconds between the attempts of a request: random between one second and these."""
    workers = CONFIG["workers"]
    attempts = range(workers["execution_api_retries"] - 1)
    return [min(2**n, workers["execution_api_retry_wait_max"]) for n in attempts]


def test_requests_of_tasks_outlast_the_api_server():
    expected = sum((1 + longest) / 2 for longest in pauses())

    assert expected > 1.5 * OUTAGE, "a task fails with its first request that fails"


def test_a_worker_stops_a_task_before_its_second_try_starts():
    options = CONFIG["workers"]
    expected = sum((1 + longest) / 2 for longest in pauses())
    unanswered = options["execution_api_retries"] * REQUEST_TIMEOUT

    gives_up = options["max_failed_heartbeats"] * (expected + unanswered)
    assert OUTAGE < gives_up < CONFIG["scheduler"]["task_instance_heartbeat_timeout"]


def test_a_running_task_has_a_valid_token_after_an_outage():
    at_least = RENEWED_PART * CONFIG["execution_api"]["jwt_expiration_time"]

    assert at_least > CONFIG["scheduler"]["task_instance_heartbeat_timeout"]


def test_a_message_is_replaced_before_its_token_is_refused():
    interval = CONFIG["scheduler"]["task_queued_timeout_check_interval"]

    assert CONFIG["api_auth"]["jwt_leeway"] > 2 * interval, "a worker would fail the queued task"


def test_queued_tasks_outlast_a_long_drain():
    timeout = CONFIG["scheduler"]["task_queued_timeout"]

    assert timeout == CONFIG["celery_broker_transport_options"]["visibility_timeout"]


def test_sending_a_task_is_repeated_while_redis_is_away():
    celery = CONFIG["celery"]
    extra = json.loads(celery["extra_celery_config"])
    policy = extra["task_publish_retry_policy"]
    retried = policy["max_retries"] * policy["interval_max"] / 2

    assert celery["operation_timeout"] < min(retried, extra["broker_connection_timeout"]), (
        "Airflow repeats after operation_timeout, and fails the task after any other error"
    )
    assert celery["task_publish_max_retries"] * celery["operation_timeout"] > 10 * OUTAGE


@pytest.mark.parametrize(("reachable", "succeeds"), [(True, False), (False, True)])
def test_workers_are_not_restarted_while_redis_is_away(tmp_path, reachable, succeeds):
    """The probe of a worker that has lost its queue."""
    (tmp_path / "python").write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as redis:
        port = redis.getsockname()[1]
        if not reachable:
            redis.close()
        env = {
            "AIRFLOW__CELERY__BROKER_URL": f"redis://:p%40ss@127.0.0.1:{port}/0",
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "HOSTNAME": "worker",
        }
        command = VALUES["workers"]["celery"]["livenessProbe"]["command"]
        done = subprocess.run(command, env=env, check=False, timeout=30)  # noqa: S603

    assert (done.returncode == 0) is succeeds
