"""The main job: a real Airflow, installed by `make up`, whose DAGs come from Git."""

import subprocess
from urllib.parse import quote

from tests.harness import dags
from tests.harness.cluster import is_ready
from tests.harness.waiting import wait_for

PARTS = {"metadatabase", "scheduler", "triggerer", "dag_processor"}
EXAMPLES = {"sales_report", "word_count"}


def test_up_says_how_to_open_airflow_and_where_to_push_dags(installed):
    assert "Airflow is healthy." in installed
    assert "port-forward svc/airflow-api-server 8080" in installed
    assert "get secret airflow-admin" in installed
    assert "git clone git://localhost/dags.git" in installed


def test_the_password_that_up_tells_of_stays_out_of_its_output(installed, cluster):
    assert cluster.secret("airflow-admin", "password") not in installed


def test_every_pod_is_ready(installed, cluster):
    def lacking():
        return [
            pod["metadata"]["name"]
            for pod in cluster.get("pods")
            if pod["status"]["phase"] != "Succeeded" and not is_ready(pod)
        ]

    # The autoscaler may just have started a worker more.
    wait_for("every pod", lambda: not lacking(), seconds=240)


def test_all_four_parts_are_healthy(api):
    health = api.get("monitor/health")

    assert {part for part, state in health.items() if state["status"] == "healthy"} >= PARTS


def test_the_example_dags_are_there_and_run_on_a_worker_with_a_readable_log(api, cluster):
    listed = {dag["dag_id"] for dag in api.get("dags")["dags"]}
    assert listed >= EXAMPLES

    run = api.run("word_count")

    assert run["state"] == "success"
    path = f"dags/word_count/dagRuns/{run['dag_run_id']}/taskInstances"
    tasks = api.get(path)["task_instances"]
    addresses = {pod["status"].get("podIP") for pod in cluster.pods("worker").values()}
    assert {task["hostname"] for task in tasks} <= addresses, "tasks run on Celery workers"
    last = next(task for task in tasks if task["map_index"] == -1)
    log = api.get(f"{path}/{last['task_id']}/logs/1?map_index=-1")["content"]
    assert any("Task" in str(line.get("event")) or line.get("logger") == "task" for line in log), (
        log
    )


def test_a_run_that_updates_an_asset_starts_the_dag_that_is_scheduled_by_it(api):
    # What happens while the second one is switched off starts no run of it, not even later.
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


def test_a_push_to_the_git_server_appears(api, cluster, tmp_path):
    with cluster.forward("svc/git-server", 9418) as port:
        _git(tmp_path, "clone", "-q", f"git://127.0.0.1:{port}/dags.git", "work")
        work = tmp_path / "work"
        (work / "dags" / "pushed.py").write_text(dags.source("pushed"))
        _git(work, "add", "dags/pushed.py")
        _git(work, "commit", "-q", "-m", "A new DAG")
        _git(work, "push", "-q", "origin", "HEAD:main")

        try:
            assert wait_for("the pushed DAG", lambda: api.found("dags/pushed"))
        finally:
            _git(work, "rm", "-q", "dags/pushed.py")
            _git(work, "commit", "-q", "-m", "Without it")
            _git(work, "push", "-q", "origin", "HEAD:main")


def test_a_task_reads_the_relay_and_writes_nothing_that_becomes_a_dag(installed, cluster):
    (worker, *_) = cluster.ready("worker")

    def run(script):
        in_worker = ["-n", "airflow", "exec", worker, "-c", "worker", "--"]
        return cluster.kubectl(*in_worker, "sh", "-c", script, check=False)

    said = run(
        "cd $(mktemp -d) && git clone -q git://dag-relay/dags.git . && git -c user.name=x "
        "-c user.email=x@x commit -q --allow-empty -m x && echo cloned; git push origin HEAD:dags"
    )
    assert "cloned" in said
    assert "service not enabled" in said, "it could change the DAGs of everybody"
    # NetworkPolicies follow the pods some seconds behind: a worker may have the address that a relay
    # which is gone was admitted by.
    ask = "timeout 5 git ls-remote git://git-server/dags.git || echo git-server: no"
    wait_for("only the relay reaches it", lambda: "git-server: no" in run(ask))


def test_up_again_changes_nothing(installed, checkout):
    checkout.up()

    assert "unchanged" in (said := checkout.up())
    for change in (" created", " updated", " replaced", " deleted"):
        assert change not in said.partition("Resources:")[2].partition("Duration")[0]


def test_more_workers_change_only_the_release_and_restart_no_worker(settings, checkout, cluster):
    before = cluster.revisions("worker")
    settings(workers={"max": 4})

    said = checkout.up()

    assert "~ 1 updated" in said
    assert "helm.sh/v3:Release airflow-release updated" in said
    (hpa,) = cluster.get("hpa")
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (1, 4)
    assert hpa["spec"]["scaleTargetRef"]["name"] == "airflow-worker"
    assert cluster.revisions("worker") == before, "running tasks go on"


def _git(folder, *words):
    who = ["-c", "user.name=author", "-c", "user.email=author@localhost"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
