"""`dags.mode: bundle`: a run uses one commit from start to end."""

import pytest

from tests.harness.airflow_api import Api
from tests.harness.git_host import GitHost
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow
PATH = "public/versions.git"
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


def files(version, seconds):
    """The file of the DAG never changes, only the module that it imports."""
    module = f'VERSION = "{version}"\nSECONDS = {seconds}\n'
    return {"team/dags/versioned.py": DAG, "team/dags/_version.py": module}


@pytest.fixture
def clone(cluster, checkout, nothing_is_left):
    """A clone of the repository of a stack that is deployed in mode bundle."""
    with GitHost.install(cluster) as host:
        host.create(PATH)
        repo = host.settings(PATH, checkout.folder)
        checkout.change("local", dags={**repo, "sub_path": "team/dags", "mode": "bundle"})
        with host.clone(PATH) as cloned:
            cloned.push(files("old", seconds=20))
            try:
                checkout.up()
                yield cloned
            finally:
                down = checkout.make("down")
    nothing_is_left(*down)


def test_a_run_keeps_its_version_when_its_dag_changes(clone, cluster):
    with Api.open(cluster) as api:
        wait_for("the DAG", lambda: api.found("dags/versioned"), seconds=60)
        run = api.start("versioned")
        wait_for(
            "its first task",
            lambda: api.state_of("versioned", run, "first") == "running",
            seconds=90,
        )
        clone.push(files("new", seconds=0))
        wait_for(
            "the new version",
            lambda: [t["name"] for t in api.get("dags/versioned")["tags"]] == ["new"],
            seconds=30,
        )
        assert api.state_of("versioned", run, "first") == "running"

        assert api.ended("versioned", run)["state"] == "success"
        tasks = ("first", "second")
        assert [api.returned("versioned", run, task) for task in tasks] == ["old", "old"]

        after = api.run("versioned")["dag_run_id"]
        assert api.returned("versioned", after, "second") == "new"
