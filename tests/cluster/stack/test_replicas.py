"""Two of each component of Airflow."""

import time

import pytest

from tests.harness import dags
from tests.harness.clone import clone_of_git_server
from tests.harness.waiting import wait_for

COMPONENTS = ("scheduler", "api-server", "dag-processor", "triggerer")
NAMES = [f"replicas_{n}" for n in range(30)]
PUSHES = 5
TAKEOVER_SECONDS = 10
# The task starts again on a triggerer.
DEFERRED = """
from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG

with DAG("deferred", schedule=None):
    TimeDeltaSensor(task_id="wait", delta=timedelta(seconds=1), deferrable=True)
"""


def _files(version):
    tags = f'["a{version}", "b{version}", "c{version}"]'
    return {f"dags/{name}.py": dags.source(name, tags=tags) for name in NAMES}


def _restarts(cluster):
    return {
        (name, status["name"]): status["restartCount"]
        for component in COMPONENTS
        for name, pod in cluster.pods(component).items()
        for status in pod["status"]["containerStatuses"]
    }


def _is_waiting(cluster, pod):
    script = "test -e /tmp/dag-processor-waits && echo waits || echo works"
    return cluster.exec(pod, "dag-processor", "sh", "-c", script).strip() == "waits"


def _tagged(api, tag):
    return api.get(f"dags?tags={tag}&limit=100")["total_entries"]


@pytest.mark.slow
def test_two_of_each_component_work_together(settings, checkout, api, cluster):
    replicas = ("scheduler", "api_server", "dag_processor", "triggerer")
    settings(airflow={"replicas": dict.fromkeys(replicas, 2)})
    checkout.up()
    for component in COMPONENTS:
        wait_for(f"two of {component}", lambda c=component: len(cluster.ready(c)) == 2, seconds=240)
    before = _restarts(cluster)
    with clone_of_git_server(cluster) as clone:
        try:
            for version in range(PUSHES):
                clone.push(_files(version))
                tag = f"c{version}"
                wait_for(
                    "the tags of the push", lambda t=tag: _tagged(api, t) == len(NAMES), seconds=120
                )
            assert _restarts(cluster) == before, "two DAG processors must not end each other"

            clone.push({"dags/deferred.py": DEFERRED})
            runs = [api.start("deferred") for _ in range(4)]
            assert {api.ended("deferred", run)["state"] for run in runs} == {"success"}

            processors = cluster.ready("dag-processor")
            (working,) = [pod for pod in processors if not _is_waiting(cluster, pod)]
            cluster.kubectl("-n", "airflow", "delete", "pod", working, "--now", "--wait=false")
            deleted = time.monotonic()
            (successor,) = processors - {working}
            wait_for("the successor", lambda: not _is_waiting(cluster, successor))
            assert time.monotonic() - deleted < TAKEOVER_SECONDS
            clone.push({"dags/after.py": dags.source("after")})
            wait_for("a DAG after the takeover", lambda: api.live("after"), seconds=30)
        finally:
            files = [*_files(0), "dags/deferred.py", "dags/after.py"]
            clone.push({file: None for file in files if (clone.folder / file).exists()})
