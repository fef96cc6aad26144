"""`dags.mode: bundle`: a run ends on the commit that it began with."""

from tests.cluster.platform import Api, wait_for

PATH = "public/versions.git"
DAG = """
import time

from airflow.sdk import dag, task

VERSION = "{version}"

@dag(schedule=None, tags=[VERSION])
def versioned():
    @task
    def first():
        time.sleep({seconds})
        return VERSION

    @task
    def second(before):
        return VERSION

    second(first())

versioned()
"""


def files(version, seconds):
    return {"team/dags/versioned.py": DAG.format(version=version, seconds=seconds)}


def returned(api, run, task):
    path = f"dags/versioned/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
    return api.get(path)["value"]


def test_a_dag_that_changes_in_mid_run_ends_as_it_began(follow, git_host, cluster):
    git_host.create(PATH)
    with git_host.clone(PATH) as clone:
        clone.push(files("old", seconds=20))
        follow(PATH, mode="bundle", sub_path="team/dags")

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
            assert (returned(api, run, "first"), returned(api, run, "second")) == ("old", "old")

            after = api.run("versioned")["dag_run_id"]
            assert returned(api, after, "second") == "new"
