"""`make up STACK=dev` deploys a working Airflow on AWS; a change updates only its own resources."""

import re

import pytest

from tests.engine.scenarios.airflow.conftest import CONFIGURED, INSTANCE_NAME
from tests.harness.airflow_api import Api
from tests.harness.clone import clone_of_git_server
from tests.harness.waiting import wait_for

LOG_LINE = "three hundred and sixty-five"
DAG = f"""
import time
from airflow.sdk import dag, task

@dag(schedule=None)
def pushed():
    @task
    def count(seconds):
        print("{LOG_LINE}")
        time.sleep(float(seconds))
    count("{{{{ dag_run.conf['seconds'] }}}}")

pushed()
"""

# Airflow's connection with another root certificate. Error text could contain the password.
UNKNOWN_AUTHORITY = """
import os, psycopg2
url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
try:
    psycopg2.connect(url, sslrootcert="/etc/ssl/certs/ca-certificates.crt")
    print("connected")
except psycopg2.OperationalError as error:
    print("certificate verify failed" if "certificate verify failed" in str(error) else "another error")
"""


def changes(output):
    """The resource counts of Pulumi's summary, such as `1 updated`."""
    return set(re.findall(r"^ +[~+-]+ ?(\d+ \w+)", output.partition("Resources:")[2], re.MULTILINE))


def _objects(account):
    s3 = account.client("s3")
    (bucket,) = [b["Name"] for b in s3.list_buckets()["Buckets"]]
    for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        yield entry["Key"], s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().decode()


@pytest.fixture(scope="module")
def pushed(dev, cluster):
    """A DAG, pushed to the Git server, whose task sleeps for the seconds of the run."""
    with clone_of_git_server(cluster) as clone:
        clone.push({"dags/pushed.py": DAG})
    with Api.open(cluster) as api:
        wait_for("the pushed DAG", lambda: api.found("dags/pushed"))


def test_a_pushed_dag_runs_and_its_log_is_in_the_bucket(pushed, api, account):
    run = api.start("pushed", seconds=0)

    assert api.ended("pushed", run)["state"] == "success"
    path = f"dags/pushed/dagRuns/{run}/taskInstances/count/logs/1"
    found = wait_for("the log", lambda: [k for k, text in _objects(account) if LOG_LINE in text])
    assert any(run in key for key in found)
    assert LOG_LINE in str(api.get(path)["content"]), "the UI does not show the log of the bucket"


def test_only_pods_that_write_logs_have_aws_credentials(dev, cluster):
    for component, has in (("worker", True), ("triggerer", True), ("scheduler", False)):
        for pod in cluster.pods(component).values():
            names = {v["name"] for c in pod["spec"]["containers"] for v in c.get("env", [])}
            assert ("AWS_SECRET_ACCESS_KEY" in names) is has, component


def test_database_connections_are_encrypted_and_verified(dev, cluster):
    identifier = dev.resources()["aws:rds/instance:Instance database-instance"]["outputs"][
        "identifier"
    ]
    sql = (
        "select ssl, count(*) from pg_stat_ssl join pg_stat_activity using (pid) "
        "where client_addr is not null group by ssl"
    )
    psql = ["psql", "-U", "airflow", "-d", "airflow", "-A", "-t", "-c", sql]
    output = cluster.kubectl("-n", "simulated-aws", "exec", identifier, "--", *psql)
    assert re.fullmatch(r"t\|\d+", output.strip()), output

    uri = cluster.secret("airflow-metadata", "connection")
    assert "sslmode=verify-full" in uri
    (worker, *_) = cluster.ready("worker")
    words = ["exec", worker, "-c", "worker", "--", "python", "-c", UNKNOWN_AUTHORITY]
    assert cluster.kubectl("-n", "airflow", *words).strip() == "certificate verify failed"


def test_a_second_up_changes_nothing(dev):
    output = dev.up()

    assert "unchanged" in output
    assert changes(output) == set()


@pytest.mark.slow
def test_more_workers_update_the_release_and_keep_tasks_running(pushed, dev, api, cluster):
    run = api.start("pushed", seconds=25)
    wait_for("the task", lambda: api.state_of("pushed", run, "count") == "running")
    before = cluster.revisions("worker")
    dev.change(workers={"max": 5})

    output = dev.up()

    assert changes(output) == {"1 updated"}
    assert "helm.sh/v3:Release airflow-release updated" in output
    (scaled,) = cluster.get("scaledobjects.keda.sh")
    assert scaled["spec"]["maxReplicaCount"] == 5
    assert cluster.revisions("worker") == before
    assert api.ended("pushed", run)["state"] == "success"


@pytest.mark.slow
def test_a_rotated_database_password_reaches_its_clients(pushed, dev, cluster):
    before = {name: cluster.revisions(name) for name in ("api-server", "scheduler", "statsd")}
    redis = cluster.get("pods", "-l", "app.kubernetes.io/name=redis")[0]["metadata"]["uid"]
    password = cluster.secret("airflow-metadata", "connection")
    dev.change(rotation={"database": 2})

    output = dev.up()

    assert cluster.secret("airflow-metadata", "connection") != password
    order = ["random:index:RandomPassword", "aws:rds:Instance", "core/v1:Secret", "v3:Release"]
    places = [
        re.search(rf"{re.escape(kind)} .*(updated|created|replaced)", output) for kind in order
    ]
    assert all(places), output
    starts = [place.start() for place in places]
    assert starts == sorted(starts), "a client was updated before the database"
    after = {name: cluster.revisions(name) for name in before}
    assert not before["scheduler"] & after["scheduler"]
    assert before["statsd"] == after["statsd"], (
        "statsd does not use the password and must not restart"
    )
    assert cluster.get("pods", "-l", "app.kubernetes.io/name=redis")[0]["metadata"]["uid"] == redis
    with Api.open(cluster) as api:
        assert api.ended("pushed", api.start("pushed", seconds=0))["state"] == "success"


@pytest.mark.slow
def test_a_drill_proves_the_backup_and_leaves_nothing(pushed, dev, cluster, account):
    def databases():
        found = account.client("rds").describe_db_instances()["DBInstances"]
        return [each["DBInstanceIdentifier"] for each in found]

    (server,) = cluster.ready("api-server")
    cluster.exec(server, "api-server", "airflow", "variables", "set", "drilled", "yes")
    status, output = dev.make("drill")

    assert status == 0, output
    assert "is usable:" in output
    assert "variable 1\n  Fernet key  decrypts" in output
    assert databases() == ["airflow-dev"]


@pytest.mark.slow
def test_a_removed_chart_value_is_removed_in_the_cluster(dev, cluster):
    def configured():
        (config,) = [
            c for c in cluster.get("configmaps") if c["metadata"]["name"] == "airflow-config"
        ]
        return config["data"]["airflow.cfg"]

    assert INSTANCE_NAME in configured()
    settings = dev.settings()
    dev.change(airflow={**settings["airflow"], "config": {}})

    dev.up()

    assert INSTANCE_NAME not in configured()


@pytest.mark.slow
def test_repair_shows_and_restores_drift_in_the_cluster(dev, cluster):
    key = cluster.secret("airflow-jwt", "jwt-secret")
    cluster.kubectl("-n", "airflow", "delete", "secret", "airflow-jwt")
    (before,) = cluster.get("deployments", "-l", "component=triggerer")
    patch = '{"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}'
    cluster.kubectl("-n", "airflow", "patch", "deployment", "airflow-triggerer", "-p", patch)

    status, output = dev.make("repair")

    assert status == 0, output
    assert "airflow-jwt" in output
    assert "terminationGracePeriodSeconds: 7" in output
    assert cluster.secret("airflow-jwt", "jwt-secret") == key, (
        "another key invalidates the tokens of sessions"
    )
    (after,) = cluster.get("deployments", "-l", "component=triggerer")
    grace = [
        d["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] for d in (before, after)
    ]
    assert grace[0] == grace[1]


def test_the_admin_has_the_configured_password(dev, cluster):
    assert cluster.secret("airflow-admin", "password") == CONFIGURED
