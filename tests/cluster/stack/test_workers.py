"""Workers come and go, and no task is lost with them."""

import pytest

from tests.bench.chaos import MAIN, kill_container
from tests.harness import dags
from tests.harness.waiting import wait_for

PATH = "public/work.git"
COST = "controller.kubernetes.io/pod-deletion-cost"
# No retries: whoever lets one of them fail is seen.
SLEEPER = dags.source("sleeper", work=dags.SLEEP, default_args='{"retries": 0}')

# The processes in which a worker runs its tasks.
FREEZE = f'main={MAIN}; kill -STOP $(grep -sl "^PPid:[[:space:]]*$main$" /proc/[0-9]*/status | cut -d/ -f3)'


@pytest.fixture(scope="module")
def followed(follow, git_host):
    """The stack follows a repository with a DAG that sleeps as long as its runs say."""
    git_host.create(PATH)
    git_host.commit(PATH, {"dags/sleeper.py": SLEEPER})
    return follow(PATH)


@pytest.fixture
def start(followed, api):
    """Start a task that sleeps; its run, when it is on a worker."""

    def begin(seconds):
        run = api.start("sleeper", seconds=seconds)
        wait_for("the task on a worker", lambda: state(api, run) == "running")
        return run

    return begin


def instance(api, run):
    return api.get(f"dags/sleeper/dagRuns/{run}/taskInstances/answer")


def state(api, run):
    return instance(api, run)["state"]


def tries(api, run):
    found = api.get(f"dags/sleeper/dagRuns/{run}/taskInstances/answer/tries")["task_instances"]
    return [one["try_number"] for one in found]


def busy_worker(api, cluster, run):
    """The pod that has the task."""
    address = instance(api, run)["hostname"]
    (name,) = [n for n, p in cluster.pods("worker").items() if p["status"].get("podIP") == address]
    return name


def cost(cluster, pod):
    notes = cluster.pods("worker")[pod]["metadata"]["annotations"]
    return notes.get(COST)


@pytest.mark.slow
def test_of_two_workers_the_idle_one_goes(start, api, cluster, settings, checkout):
    settings(workers={"scaling": "fixed", "max": 2})
    checkout.up()
    wait_for("two workers", lambda: len(cluster.ready("worker")) == 2, seconds=240)
    run = start(60)
    busy = busy_worker(api, cluster, run)
    wait_for("its cost", lambda: cost(cluster, busy) == "1")

    settings(workers={"max": 1})
    checkout.up()

    wait_for("one worker", lambda: cluster.pods("worker").keys() == {busy})
    assert api.ended("sleeper", run)["state"] == "success"
    assert tries(api, run) == [1]
    wait_for("no cost", lambda: cost(cluster, busy) == "0")


def test_a_worker_that_is_evicted_finishes_its_task(start, api, cluster):
    run = start(8)  # its worker has 30 s
    cluster.kubectl(
        "-n", "airflow", "delete", "pod", busy_worker(api, cluster, run), "--wait=false"
    )

    assert api.ended("sleeper", run)["state"] == "success"
    assert tries(api, run) == [1]


@pytest.mark.slow
def test_a_task_longer_than_the_grace_starts_again_once_and_keeps_its_retries(start, api, cluster):
    run = start(75)
    worker = busy_worker(api, cluster, run)
    cluster.kubectl("-n", "airflow", "delete", "pod", worker, "--wait=false")

    assert api.ended("sleeper", run)["state"] == "success", "it had no retries to lose"
    assert tries(api, run) == [1, 2]
    assert worker not in cluster.pods("worker")


def delete_at_once(cluster, worker):
    cluster.kubectl("-n", "airflow", "delete", "pod", worker, "--grace-period=0", "--force")


@pytest.mark.slow
@pytest.mark.parametrize("end", [delete_at_once, kill_container])
def test_a_task_whose_worker_vanishes_starts_again_soon_and_keeps_its_retries(
    start, api, cluster, end
):
    run = start(75)
    end(cluster, busy_worker(api, cluster, run))

    wait_for("the second try", lambda: tries(api, run) == [1, 2])
    wait_for("it runs again", lambda: state(api, run) == "running")
    assert api.ended("sleeper", run)["state"] == "success", "it had no retries to lose"


def taken(cluster):
    """Messages in the hands of workers; also those of tasks that ended with their worker."""
    return int(
        cluster.kubectl("-n", "airflow", "exec", "redis-0", "--", "redis-cli", "hlen", "unacked")
    )


@pytest.mark.slow
def test_a_task_that_a_killed_worker_had_taken_and_not_begun_starts_soon(followed, api, cluster):
    workers = list(cluster.ready("worker"))
    for name in workers:
        cluster.kubectl("-n", "airflow", "exec", name, "-c", "worker", "--", "sh", "-c", FREEZE)
    before = taken(cluster)
    run = api.start("sleeper", seconds=1)
    wait_for("its message taken", lambda: taken(cluster) == before + 1)
    assert state(api, run) == "queued"
    for name in workers:
        kill_container(cluster, name)

    wait_for("it runs", lambda: state(api, run) in ("running", "success"))
    assert api.ended("sleeper", run)["state"] == "success"
    assert tries(api, run) == [1], "none was begun before"
