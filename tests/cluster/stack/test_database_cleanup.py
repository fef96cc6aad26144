"""The weekly clean-up of a database of two years."""

import json
import urllib.request

import pytest

from tests.harness.checkout import ROOT
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow

OLD_DATABASE = (ROOT / "tests" / "harness" / "old_database.sql").read_text()
METRIC = "airflow_database_cleanup_failed_tables"
# What is left of it: the runs of 90 days, the versions that they use or that are the latest, and
# the triggers in use.
LEFT = {
    "dag": 39,
    "dag_version": 78,
    "serialized_dag": 78,
    "dag_run": 3510,
    "task_instance": 3510,
    "xcom": 3510,
}


def _psql(cluster, statements):
    words = ("exec", "-i", "database-0", "--", "psql", "-qtA", "-v", "ON_ERROR_STOP=1")
    return cluster.kubectl("-n", "airflow", *words, "-U", "airflow", "airflow", stdin=statements)


def _counts(cluster):
    counts = [f"'{t}', (SELECT count(*) FROM {t} WHERE dag_id LIKE 'old\\_%')" for t in LEFT]  # noqa: S608
    return json.loads(_psql(cluster, f"SELECT json_build_object({', '.join(counts)})"))


def _metric(cluster):
    with (
        cluster.forward("svc/airflow-statsd", 9102) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer,
    ):
        lines = answer.read().decode().splitlines()
    return [line.split()[1] for line in lines if line.startswith(METRIC)]


def test_the_cleanup_of_two_years_ends_well(installed, cluster):
    _psql(cluster, OLD_DATABASE)
    assert sum(_counts(cluster).values()) > 80_000
    in_airflow = ("-n", "airflow")
    try:
        new_job = ("create", "job", "clean", "--from=cronjob/airflow-database-cleanup")
        cluster.kubectl(*in_airflow, *new_job)

        def ended():
            (job,) = cluster.get("jobs", "--field-selector=metadata.name=clean")
            return [c["type"] for c in job["status"].get("conditions", ()) if c["status"] == "True"]

        conditions = wait_for("the clean-up", ended, seconds=180)

        assert "Complete" in conditions, cluster.kubectl(*in_airflow, "logs", "job/clean")
        assert _counts(cluster) == LEFT
        triggers = _psql(cluster, "SELECT count(*) FROM trigger WHERE id < 0").strip()
        assert triggers == "2", "an asset watcher and a callback use them"
        assert _metric(cluster) == ["0"]
    finally:
        cluster.kubectl(*in_airflow, "delete", "job", "clean", "--ignore-not-found")
        _psql(
            cluster,
            "DELETE FROM dag_run WHERE dag_id LIKE 'old\\_%';"
            "DELETE FROM dag WHERE dag_id LIKE 'old\\_%';"
            "DELETE FROM log WHERE dag_id LIKE 'old\\_%';"
            "DELETE FROM asset WHERE id < 0; DELETE FROM callback WHERE trigger_id < 0;"
            "DELETE FROM trigger WHERE id < 0;",
        )
