"""What an operator does day by day: look at the queues, scale, drain, pause. Nothing that runs is lost."""

import json

import pytest

from tests.harness import dags
from tests.harness.waiting import wait_for

PATH = "public/day-two.git"
# Longer than a command on a busy machine takes; shorter than the workers' grace.
TASK_SECONDS = 60
GRACE_SECONDS = 300
REPOSITORY = {
    "dags/slow.py": dags.source("slow", work=f"import time; time.sleep({TASK_SECONDS})"),
    "dags/quick.py": dags.source("quick"),
}


@pytest.fixture(scope="module")
def patient(installed, checkout, git_host):
    """The stack with these DAGs, and workers that let a task end; afterwards it is as it was."""
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
def operate(patient, checkout):
    """Run a target that must end well; what it said."""
    return checkout.done


def running(api, dag="slow"):
    """The run of a task that has begun."""
    run = api.start(dag)
    wait_for("its task", lambda: api.state_of(dag, run, "answer") == "running", seconds=180)
    return run


def ended_well(api, dag, run):
    assert api.ended(dag, run)["state"] == "success"
    task = api.get(f"dags/{dag}/dagRuns/{run}/taskInstances/answer")
    assert task["try_number"] == 1, "it ran once, undisturbed"


def one(cluster, kind, name):
    (found,) = [o for o in cluster.get(kind) if o["metadata"]["name"] == name]
    return found


def replicas(cluster, name):
    return one(cluster, "deployments", name)["spec"]["replicas"]


def queue(operate):
    said = operate("queues", "ARGS=--json")
    # `make` has said something before and after it.
    answer, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    (found,) = answer["queues"]
    return found


@pytest.mark.slow
def test_the_queues_are_shown_while_a_task_runs(operate, api):
    run = running(api)

    found = queue(operate)
    table = operate("queues")

    assert found["busy"] >= 1
    assert found["slots"] >= 4
    assert found["state"] == "active"
    assert found["target"] == {"min": 1, "max": 3, "scaling": "cpu"}
    assert "1-3 (cpu)" in table
    ended_well(api, "slow", run)


@pytest.mark.slow
def test_scaling_changes_the_autoscaler_and_the_file_and_restarts_no_worker(
    operate, api, cluster, checkout
):
    run = running(api)
    before = cluster.revisions("worker")

    said = operate("scale", "QUEUE=default", "MAX=4")

    assert "helm.sh/v3:Release airflow-release updated" in said
    assert one(cluster, "hpa", "airflow-worker")["spec"]["maxReplicas"] == 4
    assert "max: 4" in checkout.file("local").read_text()
    assert cluster.revisions("worker") == before
    ended_well(api, "slow", run)


def test_a_bad_maximum_changes_neither_the_file_nor_the_cluster(installed, checkout, cluster):
    before = checkout.file("local").read_bytes()
    most = one(cluster, "hpa", "airflow-worker")["spec"]["maxReplicas"]

    status, said = checkout.make("scale", "local", "QUEUE=default", "MAX=1000")

    assert status != 0
    assert "workers.max" in said
    assert "Traceback" not in said
    assert checkout.file("local").read_bytes() == before
    assert one(cluster, "hpa", "airflow-worker")["spec"]["maxReplicas"] == most


@pytest.mark.slow
def test_draining_lets_a_task_end_and_keeps_new_ones_waiting(operate, api, cluster):
    run = running(api)

    said = operate("drain", "QUEUE=default")
    assert "default: drained. " in said
    # Those that are still there are on their way out.
    wait_for("no worker", lambda: not cluster.pods("worker"))
    waits = api.start("quick")
    wait_for("the queue", lambda: api.state_of("quick", waits, "answer") == "queued")
    ended_well(api, "slow", run)
    assert api.state_of("quick", waits, "answer") == "queued"
    found = queue(operate)
    assert (found["state"], found["queued"]) == ("drained", 1)
    assert found["oldest_wait_seconds"] >= 0
    operate("drain", "QUEUE=default")
    assert replicas(cluster, "airflow-worker") == 0

    operate("undrain", "QUEUE=default")
    ended_well(api, "quick", waits)
    assert queue(operate)["state"] == "active"


@pytest.mark.slow
def test_a_pause_outlives_an_upgrade_and_a_resume_ends_it(operate, api, cluster, checkout):
    run = running(api)

    operate("pause")
    wait_for("no scheduler", lambda: not cluster.pods("scheduler"))
    wait_for("no worker", lambda: not cluster.pods("worker"))
    wait_for(
        "the end of what ran",
        lambda: api.state_of("slow", run, "answer") == "success",
        seconds=180,
    )
    waits = api.start("quick")

    assert "Airflow is paused" in operate("pause")
    assert "and Airflow is paused" in operate("up")
    assert "and Airflow is paused" in operate("scale", "QUEUE=default", "MAX=5")
    assert replicas(cluster, "airflow-scheduler") == 0
    assert replicas(cluster, "airflow-worker") == 0
    assert one(cluster, "hpa", "airflow-worker")["spec"]["maxReplicas"] == 5

    said = operate("resume")
    assert "Airflow runs again." in said
    assert replicas(cluster, "airflow-scheduler") == 1
    ended_well(api, "quick", waits)
    assert "Airflow is not paused." in operate("resume")
