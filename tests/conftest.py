"""Command-line options of the test suites."""

from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--charts", type=Path, help="directory with airflow-*.tgz and keda-*.tgz")
    parser.addoption(
        "--dag-repository",
        type=Path,
        help="tests/migration: DAG repository with .venv; default: dags-repo-example",
    )
    parser.addoption(
        "--sso-image",
        default="apache/airflow",
        help="tests/cluster/sso: image of Airflow with the package authlib, as the official one has it",
    )
    parser.addoption(
        "--s3fs-image",
        help="tests/cluster/stack/test_xcom_bucket.py: image of Airflow with the package s3fs",
    )
    parser.addoption(
        "--official-aws-provider",
        action="store_true",
        help="tests/engine: use Pulumi's official AWS provider; add -m 'not faults'",
    )


@pytest.fixture(scope="session")
def charts(request):
    """The chart archives. Without them the suite fails."""
    folder = request.config.getoption("--charts")
    if folder is None or not list(folder.glob("airflow-*.tgz")):
        pytest.fail("pass --charts with a directory that holds airflow-*.tgz: see CONTRIBUTING.md")
    return folder.resolve()
