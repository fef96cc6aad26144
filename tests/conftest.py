"""Where test suites get what the command line says."""

from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--charts", type=Path, help="directory with airflow-*.tgz and keda-*.tgz")
    parser.addoption(
        "--official-aws-provider",
        action="store_true",
        help="tests/engine: Pulumi's own AWS provider on the simulated account; add -m 'not faults'",
    )


@pytest.fixture(scope="session")
def charts(request):
    """The charts to render and install. Without them these suites cannot say anything: they fail."""
    folder = request.config.getoption("--charts")
    if folder is None or not list(folder.glob("airflow-*.tgz")):
        pytest.fail("pass --charts with a directory that holds airflow-*.tgz: see CONTRIBUTING.md")
    return folder.resolve()
