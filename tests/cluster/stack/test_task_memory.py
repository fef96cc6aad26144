"""A task that takes what others need ends alone, and says why in its log."""

import pytest

from tests.harness import dags
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow
REPOSITORY = "public/memory.git"
FILL = """
        from airflow.sdk import get_current_context
        import subprocess, sys, time
        conf = get_current_context()['dag_run'].conf
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(900)"])  # left behind
        data = [b"x" * 2**20 for _ in range(conf["mb"])]
        time.sleep(conf["seconds"])"""
HOG = dags.source("hog", work=FILL, default_args='{"retries": 0}')
RETURN = """
        from airflow.sdk import get_current_context
        return "x" * (2**20 * get_current_context()['dag_run'].conf['mb'])"""
PUSHER = dags.source("pusher", work=RETURN, default_args='{"retries": 3}')


@pytest.fixture(scope="module")
def hog(follow, git_host):
    git_host.create(REPOSITORY)
    git_host.commit(REPOSITORY, {"dags/hog.py": HOG, "dags/pusher.py": PUSHER})
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
    def read(run, dag="hog"):
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/answer/logs/1"
        return [str(line) for line in api.get(path)["content"]]

    return read


def test_a_task_that_fills_its_worker_ends_alone(hog, api, cluster, log):
    neighbor = api.start_task("hog", mb=10, seconds=45)
    before = restarts(cluster)
    greedy = api.start("hog", mb=100_000, seconds=0)

    assert api.ended("hog", greedy)["state"] == "failed"
    lines = log(greedy)
    reasons = [line for line in lines if "Task ended: the worker used " in line]
    assert len(reasons) == 1, lines
    assert "workers.memory_mb is " in reasons[0]
    assert api.ended("hog", neighbor)["state"] == "success"
    assert api.task("hog", neighbor, "answer")["try_number"] == 1
    assert restarts(cluster) == before
    wait_for("no process of the tasks", lambda: not left_behind(cluster), seconds=30)


def test_a_task_with_a_too_large_xcom_fails_at_once(hog, api, log):
    run = api.start("pusher", mb=17)

    assert api.ended("pusher", run)["state"] == "failed"
    assert api.task("pusher", run, "answer")["try_number"] == 1, "a retry would fail, too"
    reason = "XCom 'return_value' has 17 MiB, and workers.xcom_limit_mb is 16. Write the data to"
    lines = log(run, "pusher")
    assert [line for line in lines if reason in line], lines


def test_the_largest_xcom_arrives(hog, api):
    run = api.start("pusher", mb=15)

    assert api.ended("pusher", run)["state"] == "success"
    path = f"dags/pusher/dagRuns/{run}/taskInstances/answer/xcomEntries/return_value"
    assert len(api.get(path)["value"]) >= 15 * 2**20
