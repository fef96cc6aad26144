"""Workers scale with the queued tasks, and no task is lost when the autoscaler fails or changes.

The order matters: the later tests change the scaling, which removes KEDA.
"""

import pytest

from components.airflow.values import worker_sets
from settings.workers import WorkerSettings
from tests.cluster.keda.scaling import wait_rounds

pytestmark = pytest.mark.slow
IDLE_SECONDS = 480  # for scale-in to zero: KEDA's cooldown is 120 s
# KEDA's query, queries of other columns and tables, and statements of a malicious DAG.
STATEMENTS = {
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
for name, statement in {STATEMENTS!r}.items():
    try:
        connection.cursor().execute(statement)
        print(name)
    except psycopg2.errors.InsufficientPrivilege:
        pass
"""
CONNECT = """
import socket
try:
    socket.create_connection(("{host}.keda", {port}), 3)
    print("open")
except OSError:
    print("closed")
"""
END_SESSIONS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'airflow_keda'"
)


def _psql(cluster, statement):
    psql = ["psql", "-U", "airflow", "-d", "airflow", "-A", "-t", "-c", statement]
    return cluster.exec("database-0", "database", *psql).strip()


def _wait_scaled_to_zero(scaling):
    scaling.wait(
        "scale-in to zero workers",
        lambda: scaling.desired() == 0 and not scaling.workers(),
        seconds=IDLE_SECONDS,
    )


def test_workers_scale_from_zero_and_back(scaling, api):
    _wait_scaled_to_zero(scaling)

    run = scaling.started(api, seconds=5)

    assert len(scaling.workers()) >= 1
    assert api.succeeded_at_first_try("sleeper", run)
    _wait_scaled_to_zero(scaling)


@pytest.mark.parametrize(
    ("host", "port", "found"),
    [("keda-operator", 9666, "closed"), ("keda-operator-metrics-apiserver", 443, "open")],
)
def test_pods_of_airflow_do_not_reach_the_operator(installed, cluster, host, port, found):
    (scheduler, *_) = cluster.ready("scheduler")
    script = CONNECT.format(host=host, port=port)

    output = cluster.exec(scheduler, "scheduler", "python", "-c", script)

    assert output.strip() == found, "any pod may call the API server's port: it has to log in"


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ("update deployments.apps --subresource=scale", "yes"),
        ("update replicasets.apps --subresource=scale", "no"),
        ("get deployments.apps", "yes"),
        ("get roles.rbac.authorization.k8s.io", "no"),
    ],
)
def test_keda_may_scale_deployments_only(installed, cluster, words, allowed):
    operator = "--as=system:serviceaccount:keda:keda-operator"

    output = cluster.kubectl(
        "-n", "airflow", "auth", "can-i", *words.split(), operator, check=False
    )

    assert output.split()[0] == allowed


def test_each_queued_task_adds_a_worker(scaling, api):
    _wait_scaled_to_zero(scaling)
    runs = []

    with scaling.unschedulable():
        try:
            for number in (11, 12):
                while len(runs) < number:
                    runs.append(api.start("sleeper", seconds=1))
                scaling.wait(
                    f"{number} workers for {number} tasks",
                    lambda min_workers=number: scaling.desired() >= min_workers,
                )
        finally:
            for run in runs:
                api.stop("sleeper", run)
            _wait_scaled_to_zero(scaling)


def test_the_connection_for_keda_only_reads_the_counted_columns(scaling, api, cluster):
    run = scaling.started(api, seconds=60)
    (worker, *_) = scaling.workers()

    allowed = cluster.exec(worker, "worker", "python", "-c", AS_KEDA).splitlines()

    assert allowed == ["count", "two columns"]
    limits = "SELECT rolconnlimit, rolconfig FROM pg_roles WHERE rolname = 'airflow_keda'"
    assert _psql(cluster, limits) == "5|{statement_timeout=10s}"
    assert api.succeeded_at_first_try("sleeper", run)


def test_keda_s_password_is_in_no_log_and_no_job(scaling, cluster):
    password = cluster.secret("airflow-keda", "connection").split(":")[2].partition("@")[0]
    assert len(password) == 32
    (job,) = cluster.get("jobs", "-l", "app.kubernetes.io/part-of=airflow-platform")
    name = job["metadata"]["name"]
    assert job["status"].get("succeeded") == 1, scaling.state()

    outputs = [
        cluster.kubectl("-n", "airflow", "logs", f"job/{name}"),
        cluster.kubectl("-n", "airflow", "get", f"job/{name}", "-o", "yaml"),
        cluster.kubectl("-n", "airflow", "logs", "database-0", "-c", "database"),
    ]

    assert "task_instance" in outputs[0], "the log of the job is empty: this test proves nothing"
    assert [text for text in outputs if password in text] == []


def test_an_outage_of_keda_keeps_workers_and_tasks(scaling, api):
    run = scaling.started(api, seconds=100)
    before = scaling.workers()

    with scaling.without("keda-operator", namespace="keda"):
        wait_rounds()
        assert scaling.workers() == before
        assert scaling.desired() == len(before)

    assert api.succeeded_at_first_try("sleeper", run)


def test_a_rotated_password_of_keda_restarts_no_pod(scaling, api, checkout, cluster):
    run = scaling.started(api, seconds=150)
    before = cluster.revisions()
    connection = cluster.secret("airflow-keda", "connection")
    checkout.change("local", rotation={"keda": 2})

    output = checkout.up()

    assert "airflow-keda-role-job" in output
    assert "Release airflow-release updated" not in output
    assert cluster.revisions() == before
    assert cluster.secret("airflow-keda", "connection") != connection
    assert api.succeeded_at_first_try("sleeper", run)
    _wait_scaled_to_zero(scaling)
    # Open sessions stay logged in: end them, so that KEDA logs in with the new password.
    _psql(cluster, END_SESSIONS)
    assert api.succeeded_at_first_try("sleeper", scaling.started(api, seconds=1))


def test_a_change_of_the_scaling_loses_no_task(scaling, api, mode):
    run = scaling.started(api, seconds=200)
    mode(scaling="cpu", min=1)
    scaling.wait(
        "the removal of KEDA's autoscaler", lambda: scaling.autoscalers() == ["airflow-worker"]
    )
    assert api.succeeded_at_first_try("sleeper", run)

    run = scaling.started(api, seconds=200)
    mode(scaling="fixed", min=1, max=2)
    scaling.wait("two workers", lambda: len(scaling.workers()) == 2, seconds=240)
    assert scaling.autoscalers() == []
    assert api.succeeded_at_first_try("sleeper", run)


def test_a_change_from_zero_workers_to_cpu_starts_a_worker(scaling, api, mode):
    mode()
    _wait_scaled_to_zero(scaling)

    mode(scaling="cpu", min=1)

    scaling.wait("a worker", scaling.workers, seconds=240)
    assert api.succeeded_at_first_try("sleeper", scaling.started(api, seconds=1))


def test_an_outage_of_the_metrics_keeps_the_workers(scaling, cluster, mode):
    mode(scaling="cpu", min=1)
    scaling.wait("metrics in the autoscaler", lambda: scaling.active() == "True", seconds=300)

    with scaling.without("metrics-server", namespace="kube-system"):
        scaling.wait(
            "missing metrics in the autoscaler", lambda: scaling.active() == "False", seconds=240
        )
        cluster.kubectl("-n", "airflow", "scale", "deployment/airflow-worker", "--replicas=2")
        scaling.wait("two workers", lambda: len(scaling.workers()) == 2, seconds=240)
        wait_rounds()
        assert scaling.desired() == 2, scaling.state()

    scaling.wait("metrics in the autoscaler again", lambda: scaling.active() == "True", seconds=300)
