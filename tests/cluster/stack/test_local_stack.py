"""`make up` installs a working Airflow that runs DAGs from Git."""

from urllib.parse import quote

from tests.harness import dags
from tests.harness.clone import clone_of_git_server
from tests.harness.cluster import is_ready
from tests.harness.waiting import wait_for

COMPONENTS = {"metadatabase", "scheduler", "triggerer", "dag_processor"}
EXAMPLES = {"sales_report", "word_count"}


def test_up_prints_how_to_open_airflow_and_push_dags(installed):
    assert "Airflow is healthy." in installed
    assert "port-forward svc/airflow-api-server 8080" in installed
    assert "get secret airflow-admin" in installed
    assert "git clone git://localhost/dags.git" in installed


def test_the_output_of_up_contains_no_password(installed, cluster):
    assert cluster.secret("airflow-admin", "password") not in installed


def test_every_pod_is_ready(installed, cluster):
    def not_ready():
        return [
            pod["metadata"]["name"]
            for pod in cluster.get("pods")
            if pod["status"]["phase"] != "Succeeded" and not is_ready(pod)
        ]

    # The autoscaler may have just added a worker.
    wait_for("every pod", lambda: not not_ready(), seconds=240)


def test_all_components_are_healthy(api):
    health = api.get("monitor/health")

    assert {name for name, state in health.items() if state["status"] == "healthy"} >= COMPONENTS


def test_an_example_dag_runs_on_a_worker_with_a_log(api, cluster):
    listed = {dag["dag_id"] for dag in api.get("dags")["dags"]}
    assert listed >= EXAMPLES

    run = api.run("word_count")

    assert run["state"] == "success"
    path = f"dags/word_count/dagRuns/{run['dag_run_id']}/taskInstances"
    tasks = api.get(path)["task_instances"]
    addresses = {pod["status"].get("podIP") for pod in cluster.pods("worker").values()}
    assert {task["hostname"] for task in tasks} <= addresses, "tasks must run on Celery workers"
    last = next(task for task in tasks if task["map_index"] == -1)
    log = api.get(f"{path}/{last['task_id']}/logs/1?map_index=-1")["content"]
    assert any("Task" in str(line.get("event")) or line.get("logger") == "task" for line in log), (
        log
    )


def test_an_asset_update_starts_the_dag_scheduled_on_it(api):
    # First: events during the pause of a DAG never start a run.
    api.switch("reorder_list", on=True)
    try:
        counted = api.run("stock_levels")
        assert counted["state"] == "success"

        events = f"assets/events?source_run_id={quote(counted['dag_run_id'])}"
        started = wait_for("the run of reorder_list", lambda: _started_by(api, events))

        assert {run["dag_id"] for run in started} == {"reorder_list"}
        ended = api.ended("reorder_list", started[0]["run_id"])
        assert (ended["run_type"], ended["state"]) == ("asset_triggered", "success")
    finally:
        for dag in ("stock_levels", "reorder_list"):
            api.switch(dag, on=False)


def _started_by(api, events):
    return [run for event in api.get(events)["asset_events"] for run in event["created_dagruns"]]


def test_a_push_to_the_git_server_appears(api, cluster):
    with clone_of_git_server(cluster) as clone:
        clone.push({"dags/pushed.py": dags.source("pushed")})
        try:
            assert wait_for("the pushed DAG", lambda: api.found("dags/pushed"))
        finally:
            clone.push({"dags/pushed.py": None})


def test_a_task_can_read_the_relay_but_cannot_push_dags(installed, cluster):
    (worker, *_) = cluster.ready("worker")

    def run(script):
        return cluster.exec(worker, "worker", "sh", "-c", script, check=False)

    output = run(
        "cd $(mktemp -d) && git clone -q git://dag-relay/dags.git . && git -c user.name=x "
        "-c user.email=x@x commit -q --allow-empty -m x && echo cloned; git push origin HEAD:dags"
    )
    assert "cloned" in output
    assert "service not enabled" in output, "a task could change all DAGs"
    # NetworkPolicies apply with a delay: a new worker may have the IP address of a deleted relay.
    ask = "timeout 5 git ls-remote git://git-server/dags.git || echo git-server: no"
    wait_for("a refused connection to the Git server", lambda: "git-server: no" in run(ask))


def test_a_second_up_changes_nothing(installed, checkout):
    checkout.up()

    output = checkout.up()

    assert "unchanged" in output
    for change in (" created", " updated", " replaced", " deleted"):
        assert change not in output.partition("Resources:")[2].partition("Duration")[0]


def test_more_workers_update_only_the_release(settings, checkout, cluster):
    before = cluster.revisions("worker")
    settings(workers={"max": 4})

    output = checkout.up()

    assert "~ 1 updated" in output
    assert "helm.sh/v3:Release airflow-release updated" in output
    (hpa,) = cluster.get("hpa")
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (1, 4)
    assert hpa["spec"]["scaleTargetRef"]["name"] == "airflow-worker"
    assert cluster.revisions("worker") == before, "running tasks must not be interrupted"
