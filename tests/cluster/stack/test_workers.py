"""Scale-in, eviction and crashes of workers lose no task."""

import time
from functools import partial

import pytest

from tests.harness.airflow_api import Api
from tests.harness.cluster import MAIN_PROCESS, Cluster
from tests.harness.waiting import wait_for

COST = "controller.kubernetes.io/pod-deletion-cost"
# Stops the processes in which a worker runs its tasks.
FREEZE = (
    f"main={MAIN_PROCESS}; "
    'kill -STOP $(grep -sl "^PPid:[[:space:]]*$main$" /proc/[0-9]*/status | cut -d/ -f3)'
)


def state(api, run):
    return api.state_of("sleeper", run, "answer")


def tries(api, run):
    found = api.get(f"dags/sleeper/dagRuns/{run}/taskInstances/answer/tries")["task_instances"]
    return [task["try_number"] for task in found]


def busy_worker(api, cluster, run):
    """The pod that runs the task."""
    address = api.task("sleeper", run, "answer")["hostname"]
    (name,) = [n for n, p in cluster.pods("worker").items() if p["status"].get("podIP") == address]
    return name


def deletion_cost(cluster, pod):
    return cluster.pods("worker")[pod]["metadata"]["annotations"].get(COST)


@pytest.mark.slow
def test_scale_in_deletes_the_idle_worker(start, api, cluster, settings, checkout):
    settings(workers={"scaling": "fixed", "max": 2})
    checkout.up()
    wait_for("two workers", lambda: len(cluster.ready("worker")) == 2, seconds=240)
    run = start(60)
    busy = busy_worker(api, cluster, run)
    wait_for("its deletion cost", lambda: deletion_cost(cluster, busy) == "1")

    settings(workers={"max": 1})
    checkout.up()

    wait_for("one worker", lambda: cluster.pods("worker").keys() == {busy})
    assert api.ended("sleeper", run)["state"] == "success"
    assert tries(api, run) == [1]
    wait_for("no deletion cost", lambda: deletion_cost(cluster, busy) == "0")


@pytest.mark.slow
def test_an_evicted_worker_finishes_its_task(start, api, cluster):
    run = start(8)  # the grace period is 30 s
    worker = busy_worker(api, cluster, run)
    cluster.kubectl("-n", "airflow", "delete", "pod", worker, "--wait=false")

    assert api.ended("sleeper", run)["state"] == "success"
    assert tries(api, run) == [1]


@pytest.mark.slow
def test_a_task_beyond_the_grace_period_restarts_once(start, api, cluster):
    run = start(75)
    worker = busy_worker(api, cluster, run)
    cluster.kubectl("-n", "airflow", "delete", "pod", worker, "--wait=false")

    assert api.ended("sleeper", run)["state"] == "success", "the restart must not count as a retry"
    assert tries(api, run) == [1, 2]
    assert worker not in cluster.pods("worker")


@pytest.mark.slow
def test_a_task_survives_an_absent_api_server(start, cluster):
    run = start(30)
    scale = partial(cluster.kubectl, "-n", "airflow", "scale", "deployment/airflow-api-server")
    scale("--replicas=0")
    time.sleep(120)  # a new node and the image; five minutes in `make chaos`
    scale("--replicas=1")
    wait_for("an API server", lambda: cluster.ready("api-server"), seconds=240)

    with Api.open(cluster) as api:
        assert api.succeeded_at_first_try("sleeper", run)


def delete_at_once(cluster, worker):
    cluster.kubectl("-n", "airflow", "delete", "pod", worker, "--grace-period=0", "--force")


@pytest.mark.slow
@pytest.mark.parametrize("kill", [delete_at_once, Cluster.kill_worker_container])
def test_a_task_of_a_killed_worker_restarts_soon(start, api, cluster, kill):
    run = start(75)
    kill(cluster, busy_worker(api, cluster, run))

    wait_for("the second try", lambda: tries(api, run) == [1, 2])
    wait_for("its start", lambda: state(api, run) == "running")
    assert api.ended("sleeper", run)["state"] == "success", "the restart must not count as a retry"


def unacknowledged(cluster):
    """Number of messages that workers have taken, including those of killed workers."""
    return int(cluster.exec("redis-0", "redis", "redis-cli", "--user", "admin", "hlen", "unacked"))


@pytest.mark.slow
def test_a_message_of_a_killed_worker_starts_soon(followed, api, cluster):
    workers = list(cluster.ready("worker"))
    for name in workers:
        cluster.exec(name, "worker", "sh", "-c", FREEZE)
    before = unacknowledged(cluster)
    run = api.start("sleeper", seconds=1)
    wait_for("its message on a worker", lambda: unacknowledged(cluster) == before + 1)
    assert state(api, run) == "queued"
    for name in workers:
        cluster.kill_worker_container(name)

    wait_for("its start", lambda: state(api, run) in ("running", "success"))
    assert api.ended("sleeper", run)["state"] == "success"
    assert tries(api, run) == [1], "the killed worker had not started the task"
