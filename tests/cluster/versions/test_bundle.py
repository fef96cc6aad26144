"""`dags.mode: bundle`: a run uses one commit from start to end."""

import pytest

from tests.harness import dags
from tests.harness.airflow_api import Api
from tests.harness.git_host import GitHost
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow
PATH, OTHER = "public/versions.git", "public/other.git"
DAG = """
import time

from _version import SECONDS, VERSION
from airflow.sdk import dag, task

@dag(schedule=None, tags=[VERSION])
def versioned():
    @task
    def first():
        time.sleep(SECONDS)
        return VERSION

    @task
    def second(before):
        return VERSION

    second(first())

versioned()
"""
# In a worker: kill checkouts of the newest version at different times, and repeat each.
KILL = """
import os, shutil, signal, time
from airflow.dag_processing.bundles.manager import DagBundlesManager

def bundle(version=None):
    return DagBundlesManager().get_bundle(name="dags", version=version)

newest = bundle()
newest.initialize()
# `get_current_version` returns text before Airflow 3.3.
version = newest.repo.head.commit.hexsha

def checkout():
    child = os.fork()
    if child == 0:
        os.setsid()
        bundle(version).initialize()
        os._exit(0)
    return child

spoiled = killed = 0
for number in range(20):
    shutil.rmtree(newest.versions_dir, ignore_errors=True)
    start, child = time.monotonic(), checkout()
    if number:
        time.sleep(seconds * number / 20)
        os.killpg(child, signal.SIGKILL)
    if os.waitpid(child, 0)[1] == signal.SIGKILL:
        killed += 1
    seconds = seconds if number else time.monotonic() - start
    try:
        again = bundle(version)
        again.initialize()
        spoiled += not (again.path / "versioned.py").exists()
    except Exception as error:
        print(error)
        spoiled += 1
print(f"{killed > 10} {spoiled} spoiled")
"""


def files(version, seconds):
    """The file of the DAG never changes, only the module that it imports."""
    module = f'VERSION = "{version}"\nSECONDS = {seconds}\n'
    return {"team/dags/versioned.py": DAG, "team/dags/_version.py": module}


@pytest.fixture(scope="module")
def host(cluster, checkout, nothing_is_left):
    """A Git host with the repositories of a stack that is deployed in mode bundle."""
    with GitHost.install(cluster) as host:
        for path in (PATH, OTHER):
            host.create(path)
        host.commit(PATH, files("old", seconds=20))
        host.commit(OTHER, {"dags/other.py": dags.source("other")})
        repo = host.settings(PATH, checkout.folder)
        more = {"other": host.settings(OTHER, checkout.folder)}
        where = {"sub_path": "team/dags", "mode": "bundle", "repositories": more}
        checkout.change("local", dags={**repo, **where})
        try:
            checkout.up()
            yield host
        finally:
            down = checkout.make("down")
    nothing_is_left(*down)


@pytest.fixture
def api(host, cluster):
    with Api.open(cluster) as opened:
        yield opened


def worker(cluster):
    return next(iter(cluster.ready("worker")))


def test_a_run_keeps_its_version_after_a_forced_push(host, api, cluster):
    wait_for("the DAG", lambda: api.found("dags/versioned"), seconds=60)
    run = api.start("versioned")
    wait_for(
        "its first task",
        lambda: api.state_of("versioned", run, "first") == "running",
        seconds=90,
    )
    with host.clone(PATH) as clone:
        clone.commit(files("new", seconds=0), "--amend")
        clone.git("push", "--quiet", "--force", "origin", "HEAD:main")
    wait_for(
        "the new version",
        lambda: [t["name"] for t in api.get("dags/versioned")["tags"]] == ["new"],
        seconds=30,
    )
    # As on a new worker, the second task must fetch the version from the relay.
    for name in cluster.ready("worker"):
        cluster.exec(name, "worker", "sh", "-c", "rm -rf /tmp/airflow/dag_bundles/*")
    assert api.state_of("versioned", run, "first") == "running"

    assert api.ended("versioned", run)["state"] == "success"
    tasks = ("first", "second")
    assert [api.returned("versioned", run, task) for task in tasks] == ["old", "old"]

    after = api.run("versioned")["dag_run_id"]
    assert api.returned("versioned", after, "second") == "new"


def test_another_repository_has_its_own_bundle(api):
    assert api.run("other")["state"] == "success"
    assert api.get("dags/other")["bundle_name"] == "other"
    assert api.get("dags/versioned")["bundle_name"] == "dags"


def test_a_killed_checkout_is_repeated(host, cluster):
    output = cluster.exec(worker(cluster), "worker", "python", "-c", KILL)

    assert output.strip().splitlines()[-1] == "True 0 spoiled", output
