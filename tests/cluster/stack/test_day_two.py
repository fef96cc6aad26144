"""Day-two commands keep running tasks: `queues`, `scale`, `drain`, `undrain`, `pause`, `resume`."""

import json

import pytest

from tests.harness import dags
from tests.harness.waiting import wait_for

PATH = "public/day-two.git"
# Longer than a command takes on a busy machine, shorter than the grace period.
TASK_SECONDS = 60
GRACE_SECONDS = 300
REPOSITORY = {
    "dags/slow.py": dags.source("slow", work=f"import time; time.sleep({TASK_SECONDS})"),
    "dags/quick.py": dags.source("quick"),
}


@pytest.fixture(scope="module")
def long_grace(installed, checkout, git_host):
    """The stack with these DAGs and a long grace period of the workers; restored at the end."""
    before = checkout.file("local").read_text()
    git_host.create(PATH)
    git_host.commit(PATH, REPOSITORY)
    try:
        checkout.change(
            "local",
            dags=git_host.settings(PATH, checkout.folder),
            workers={"grace_seconds": GRACE_SECONDS},
        )
        yield checkout.up()
    finally:
        checkout.make("resume")
        checkout.make("undrain", "local", "QUEUE=default")
        checkout.file("local").write_text(before)
        checkout.up()


@pytest.fixture
def operate(long_grace, checkout):
    """Run a target, require success, and return its output."""
    return checkout.done


def spec(cluster, kind, name):
    (found,) = [o for o in cluster.get(kind) if o["metadata"]["name"] == name]
    return found["spec"]


def replicas(cluster, name):
    return spec(cluster, "deployments", name)["replicas"]


def max_replicas(cluster):
    return spec(cluster, "hpa", "airflow-worker")["maxReplicas"]


def queue(operate):
    output = operate("queues", "ARGS=--json")
    # Other lines of `make` surround the JSON.
    status, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
    (found,) = status["queues"]
    return found


@pytest.mark.slow
def test_dags_shows_the_published_commit(operate, relay):
    assert f"dags.repo   {relay.published()[:7]}" in operate("dags")


@pytest.mark.slow
def test_queues_shows_a_running_task(operate, api):
    run = api.start_task("slow")

    found = queue(operate)
    table = operate("queues")

    assert found["busy"] >= 1
    assert found["slots"] >= 4
    assert found["state"] == "active"
    assert found["target"] == {"min": 1, "max": 3, "scaling": "cpu"}
    assert "1-3 (cpu)" in table
    assert api.succeeded_at_first_try("slow", run)


@pytest.mark.slow
def test_scale_updates_file_and_autoscaler_without_restarts(operate, api, cluster, checkout):
    run = api.start_task("slow")
    before = cluster.revisions("worker")
    lines = checkout.file("local").read_text().splitlines()

    output = operate("scale", "QUEUE=default", "MAX=4")

    assert "helm.sh/v3:Release airflow-release updated" in output
    assert max_replicas(cluster) == 4
    changed = checkout.file("local").read_text().splitlines()
    assert [line.strip() for line in changed if line not in lines] == ["max: 4"]
    assert cluster.revisions("worker") == before
    assert api.succeeded_at_first_try("slow", run)


def test_an_invalid_maximum_changes_nothing(installed, checkout, cluster):
    before = checkout.file("local").read_bytes()
    maximum = max_replicas(cluster)

    status, output = checkout.make("scale", "local", "QUEUE=default", "MAX=1000")

    assert status != 0
    assert "workers.max" in output
    assert "Traceback" not in output
    assert checkout.file("local").read_bytes() == before
    assert max_replicas(cluster) == maximum


@pytest.mark.slow
def test_a_drained_queue_finishes_its_tasks_and_queues_new_ones(operate, api, cluster):
    run = api.start_task("slow")

    output = operate("drain", "QUEUE=default")
    assert "default: drained; " in output
    # `pods` excludes terminating workers.
    wait_for("no worker", lambda: not cluster.pods("worker"))
    queued = api.start("quick")
    wait_for("the queue", lambda: api.state_of("quick", queued, "answer") == "queued")
    assert api.succeeded_at_first_try("slow", run)
    assert api.state_of("quick", queued, "answer") == "queued"
    found = queue(operate)
    assert (found["state"], found["queued"]) == ("drained", 1)
    assert found["oldest_wait_seconds"] >= 0
    operate("drain", "QUEUE=default")
    assert replicas(cluster, "airflow-worker") == 0

    operate("undrain", "QUEUE=default")
    assert api.succeeded_at_first_try("quick", queued)
    assert queue(operate)["state"] == "active"


@pytest.mark.slow
def test_a_pause_lasts_through_upgrades_until_resume(operate, api, cluster, checkout):
    run = api.start_task("slow")

    operate("pause")
    wait_for("no scheduler", lambda: not cluster.pods("scheduler"))
    wait_for("no worker", lambda: not cluster.pods("worker"))
    wait_for(
        "the end of the running task",
        lambda: api.state_of("slow", run, "answer") == "success",
        seconds=180,
    )
    queued = api.start("quick")

    assert "Airflow is paused" in operate("pause")
    assert "Airflow is paused and stays paused" in operate("up")
    assert "Airflow is paused and stays paused" in operate("scale", "QUEUE=default", "MAX=5")
    assert replicas(cluster, "airflow-scheduler") == 0
    assert replicas(cluster, "airflow-worker") == 0
    assert max_replicas(cluster) == 5

    output = operate("resume")
    assert "Airflow is running again." in output
    assert replicas(cluster, "airflow-scheduler") == 1
    assert api.succeeded_at_first_try("quick", queued)
    assert "Airflow is not paused." in operate("resume")
