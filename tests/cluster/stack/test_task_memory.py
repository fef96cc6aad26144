"""A task that takes the memory of its worker ends alone, and says why in its log."""

import pytest

from tests.harness import dags
from tests.harness.waiting import wait_for

REPOSITORY = "public/memory.git"
FILL = """
        from airflow.sdk import get_current_context
        import subprocess, sys, time
        conf = get_current_context()['dag_run'].conf
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(900)"])  # left behind
        data = [b"x" * 2**20 for _ in range(conf["mb"])]
        time.sleep(conf["seconds"])"""
HOG = dags.source("hog", work=FILL, default_args='{"retries": 0}')


@pytest.fixture(scope="module")
def hog(follow, git_host):
    git_host.create(REPOSITORY)
    git_host.commit(REPOSITORY, {"dags/hog.py": HOG})
    return follow(REPOSITORY)


def restarts(cluster):
    return {
        name: sum(c["restartCount"] for c in pod["status"]["containerStatuses"])
        for name, pod in cluster.pods("worker").items()
    }


def left_behind(cluster):
    """Whether a worker has processes of ended tasks."""
    # The brackets: grep does not find itself.
    find = "grep -l 'time[.]sleep(900)' /proc/[0-9]*/cmdline 2>/dev/null || true"
    return any(cluster.exec(name, "worker", "sh", "-c", find) for name in cluster.ready("worker"))


@pytest.fixture
def log(api):
    def read(run):
        path = f"dags/hog/dagRuns/{run}/taskInstances/answer/logs/1"
        return [str(line["event"]) for line in api.get(path)["content"]]

    return read


def test_a_task_that_fills_its_worker_ends_alone(hog, api, cluster, log):
    neighbor = api.start_task("hog", mb=10, seconds=45)
    before = restarts(cluster)
    greedy = api.start("hog", mb=100_000, seconds=0)

    assert api.ended("hog", greedy)["state"] == "failed"
    lines = log(greedy)
    reasons = [line for line in lines if line.startswith("Task ended: the worker used ")]
    assert len(reasons) == 1, lines
    assert "workers.memory_mb is " in reasons[0]
    assert api.ended("hog", neighbor)["state"] == "success"
    assert api.task("hog", neighbor, "answer")["try_number"] == 1
    assert restarts(cluster) == before
    wait_for("no process of the tasks", lambda: not left_behind(cluster), seconds=30)
