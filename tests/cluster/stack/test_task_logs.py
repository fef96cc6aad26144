"""Task logs in a bucket of the user."""

import pytest

from tests.harness import s3
from tests.harness.airflow_api import Api
from tests.harness.waiting import wait_for

LOGS = {"bucket": "logs/airflow", "endpoint_url": s3.URL, "credentials_secret": s3.SECRET}


@pytest.mark.slow
def test_a_log_outlives_its_worker(settings, checkout, cluster):
    with s3.installed(cluster):
        settings(logs=LOGS)
        checkout.up()
        # Opened now: `up` has replaced the API server.
        with Api.open(cluster) as api:
            run = api.run("word_count")
            assert run["state"] == "success"
            workers = cluster.ready("worker")
            cluster.kubectl("-n", "airflow", "delete", "pod", "--now", *workers)
            wait_for("another worker", lambda: cluster.ready("worker") - workers, seconds=240)

            path = f"dags/word_count/dagRuns/{run['dag_run_id']}/taskInstances"
            (task, *_) = [t for t in api.get(path)["task_instances"] if t["map_index"] == -1]
            log = api.get(f"{path}/{task['task_id']}/logs/1?map_index=-1")["content"]

    events = [str(line["event"]) for line in log]
    assert any(event.startswith("s3://logs/airflow/dag_id=word_count/") for event in events), log
    assert any("DagBag" in event for event in events), "the lines of the task itself"
