"""The number of workers follows the tasks, and no task is lost when what counts them fails or changes.

The tests build on one another: after a change to another mode KEDA is gone.
"""

import pytest

from components.airflow.values import worker_sets
from settings.workers import WorkerSettings
from tests.cluster.keda.scaling import rounds, succeeded_at_once

pytestmark = pytest.mark.slow
IDLE_SECONDS = 480  # until the last worker goes: KEDA's cooldown is 120 s
# What KEDA asks, what a column more would be, and what a DAG that misuses its connection might try.
TRIED = {
    "count": worker_sets({"default": WorkerSettings()})[0]["keda"]["query"],
    "two columns": "SELECT state, queue FROM task_instance",
    "another column": "SELECT dag_id FROM task_instance",
    "connections": "SELECT * FROM connection",
    "variables": "SELECT * FROM variable",
    "passwords": "SELECT * FROM ab_user",
    "update": "UPDATE task_instance SET state = 'failed' WHERE false",
    "delete": "DELETE FROM task_instance WHERE false",
    "create": "CREATE TABLE mine (x int)",
    "become another": "SET ROLE airflow",
}
AS_KEDA = f"""
import os, psycopg2
connection = psycopg2.connect(os.environ["AIRFLOW_CONN_AIRFLOW_DB"])
connection.autocommit = True
for name, statement in {TRIED!r}.items():
    try:
        connection.cursor().execute(statement)
        print(name)
    except psycopg2.errors.InsufficientPrivilege:
        pass
"""
SESSIONS_END = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'airflow_keda'"
)


def _psql(cluster, statement):
    words = ["psql", "-U", "airflow", "-d", "airflow", "-A", "-t", "-c", statement]
    return cluster.kubectl("-n", "airflow", "exec", "database-0", "--", *words).strip()


def _none(scaling):
    scaling.wait(
        "the last worker to go",
        lambda: scaling.wanted() == 0 and not scaling.workers(),
        seconds=IDLE_SECONDS,
    )


def test_from_no_worker_at_all_a_run_gets_one_and_afterwards_there_is_none(scaling, api):
    _none(scaling)

    run = scaling.started(api, seconds=5)

    assert len(scaling.workers()) >= 1
    assert succeeded_at_once(api, run)
    _none(scaling)


def test_a_task_that_waits_brings_a_worker_however_many_there_are(scaling, api):
    _none(scaling)
    runs = []

    with scaling.no_room():
        try:
            for number in (11, 12):
                while len(runs) < number:
                    runs.append(api.start("sleeper", seconds=1))
                scaling.wait(
                    f"{number} workers for as many tasks",
                    lambda least=number: scaling.wanted() >= least,
                )
        finally:
            for run in runs:
                api.stop("sleeper", run)
            _none(scaling)


def test_the_connection_on_a_worker_reads_what_keda_counts_and_nothing_else(scaling, api, cluster):
    run = scaling.started(api, seconds=60)
    (worker, *_) = scaling.workers()
    words = ("exec", worker, "-c", "worker", "--", "python", "-c", AS_KEDA)

    allowed = cluster.kubectl("-n", "airflow", *words).splitlines()

    assert allowed == ["count", "two columns"]
    limits = "SELECT rolconnlimit, rolconfig FROM pg_roles WHERE rolname = 'airflow_keda'"
    assert _psql(cluster, limits) == "5|{statement_timeout=10s}"
    assert succeeded_at_once(api, run)


def test_the_password_of_keda_is_in_no_log_and_on_no_command_line(scaling, cluster):
    password = cluster.secret("airflow-keda", "connection").split(":")[2].partition("@")[0]
    assert len(password) == 32
    (job,) = cluster.get("jobs", "-l", "app.kubernetes.io/part-of=airflow-platform")
    name = job["metadata"]["name"]
    assert job["status"].get("succeeded") == 1, scaling.state()

    said = [
        cluster.kubectl("-n", "airflow", "logs", f"job/{name}"),
        cluster.kubectl("-n", "airflow", "get", f"job/{name}", "-o", "yaml"),
        cluster.kubectl("-n", "airflow", "logs", "database-0", "-c", "database"),
    ]

    assert "task_instance" in said[0], "otherwise this looked at nothing"
    assert [text for text in said if password in text] == []


def test_while_keda_is_away_workers_stay_and_their_tasks_go_on(scaling, api):
    run = scaling.started(api, seconds=100)
    before = scaling.workers()

    with scaling.without("keda-operator", namespace="keda"):
        rounds()
        assert scaling.workers() == before
        assert scaling.wanted() == len(before)

    assert succeeded_at_once(api, run)


def test_a_new_password_of_keda_restarts_no_pod_and_takes_effect(scaling, api, checkout, cluster):
    run = scaling.started(api, seconds=150)
    before = cluster.revisions()
    connection = cluster.secret("airflow-keda", "connection")
    checkout.change("local", rotation={"keda": 2})

    said = checkout.up()

    assert "airflow-keda-role-job" in said
    assert "Release airflow-release updated" not in said
    assert cluster.revisions() == before
    assert cluster.secret("airflow-keda", "connection") != connection
    assert succeeded_at_once(api, run)
    _none(scaling)
    # Those that are there stay logged in; these have to log in again.
    _psql(cluster, SESSIONS_END)
    assert succeeded_at_once(api, scaling.started(api, seconds=1))


def test_a_change_of_what_workers_follow_loses_no_task(scaling, api, mode):
    run = scaling.started(api, seconds=200)
    mode(scaling="cpu", min=1)
    scaling.wait("KEDA's autoscaler to go", lambda: scaling.autoscalers() == ["airflow-worker"])
    assert succeeded_at_once(api, run)

    run = scaling.started(api, seconds=200)
    mode(scaling="fixed", min=1, max=2)
    scaling.wait("two workers", lambda: len(scaling.workers()) == 2, seconds=240)
    assert scaling.autoscalers() == []
    assert succeeded_at_once(api, run)


def test_a_change_to_cpu_while_there_is_no_worker_starts_one(scaling, api, mode):
    mode()
    _none(scaling)

    mode(scaling="cpu", min=1)

    scaling.wait("a worker", scaling.workers, seconds=240)
    assert succeeded_at_once(api, scaling.started(api, seconds=1))


def test_while_metrics_are_away_the_number_of_workers_stays(scaling, cluster, mode):
    mode(scaling="cpu", min=1)
    scaling.wait("the autoscaler to see", lambda: scaling.sees() == "True", seconds=300)

    with scaling.without("metrics-server", namespace="kube-system"):
        scaling.wait("the autoscaler to be blind", lambda: scaling.sees() == "False", seconds=240)
        cluster.kubectl("-n", "airflow", "scale", "deployment/airflow-worker", "--replicas=2")
        scaling.wait("two workers", lambda: len(scaling.workers()) == 2, seconds=240)
        rounds()
        assert scaling.wanted() == 2, scaling.state()

    scaling.wait("the autoscaler to see again", lambda: scaling.sees() == "True", seconds=300)
