"""Large XComs in a bucket of the user."""

import pytest

from tests.harness import s3
from tests.harness.airflow_api import Api

pytestmark = pytest.mark.slow
REPOSITORY = "public/xcoms.git"
LOGS = {"bucket": "logs/airflow", "endpoint_url": s3.URL, "credentials_secret": s3.SECRET}
FOLDER = "airflow/xcom/"
MB = 20  # more than xcom_limit_mb
DAG = f"""
from airflow.sdk import dag, task


@dag(schedule=None, default_args={{"retries": 0}})
def large():
    @task
    def push():
        return "x" * {MB} * 2**20

    @task
    def pull(pushed):
        return len(pushed)

    pull(push())


large()
"""


@pytest.fixture
def image(request):
    given = request.config.getoption("--s3fs-image")
    if given is None:
        pytest.fail("pass --s3fs-image with an image of Airflow that contains s3fs")
    return given


@pytest.fixture
def large(follow, git_host):
    git_host.create(REPOSITORY)
    git_host.commit(REPOSITORY, {"dags/large.py": DAG})
    return follow(REPOSITORY)


def test_a_large_xcom_is_an_object_until_its_task_is_cleared(
    large, image, settings, checkout, cluster
):
    with s3.installed(cluster):
        settings(logs=LOGS, airflow={"image": image, "xcom_bucket": True})
        checkout.up()
        # Opened now: `up` has replaced the API server.
        with Api.open(cluster) as api:
            run = api.start("large")
            assert api.ended("large", run)["state"] == "success"
            assert api.returned("large", run, "pull") == MB * 2**20

            (first,) = s3.sizes(cluster, "logs", FOLDER).items()
            assert first[1] == MB * 2**20 + 2, "JSON of a text"
            address = api.returned("large", run, "push")
            assert address == f"s3://remote_logs@logs/{first[0]}", "the row is only an address"

            api.clear("large", run)
            assert api.ended("large", run)["state"] == "success"
            (second,) = s3.sizes(cluster, "logs", FOLDER)
            assert second != first[0], "the former object is deleted"


def test_an_image_without_s3fs_is_refused_before_the_update(settings, checkout, cluster):
    """The official image under another name: `make plan` knows only its own."""
    before = cluster.ready("worker")
    with s3.installed(cluster):
        settings(logs=LOGS, airflow={"image": "docker.io/apache/airflow", "xcom_bucket": True})
        status, output = checkout.make("up")

    assert status != 0
    assert "airflow.image: the image lacks the Python package s3fs" in output
    assert cluster.ready("worker") == before, "no pod was replaced"
