"""One simulated account for all scenarios, and its stacks."""

import shutil
import subprocess
from pathlib import Path

import pytest

from settings.versions import AIRFLOW_CHART, KEDA_CHART
from tests.engine.account import Account, AwsStack
from tests.harness.cluster import Cluster

TOOLS = ("pulumi", "pulumi-resource-eks", "kubectl", "helm", "git", "make", "node")
CHARTS = Path(__file__).with_name("small-charts")
CONTEXT = "kind-airflow"


@pytest.fixture(scope="session")
def account(tmp_path_factory, request):
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.fail(f"not on PATH: {', '.join(missing)}; see tests/engine/README.md")
    official = request.config.getoption("--official-aws-provider")
    folder = tmp_path_factory.mktemp("account")
    with Account.open(folder, CONTEXT, official=official) as opened:
        yield opened


@pytest.fixture(scope="session")
def cluster(account):
    """The Kubernetes cluster that serves as EKS, with administrator access."""
    return Cluster(context=CONTEXT)


@pytest.fixture(autouse=True)
def _clear_faults(account):
    yield
    account.clear_faults()


@pytest.fixture(scope="session")
def small_charts(tmp_path_factory):
    """Minimal charts with the names and versions of the real ones."""
    folder = tmp_path_factory.mktemp("charts")
    for chart in (AIRFLOW_CHART, KEDA_CHART):
        package(chart.name, chart.version, folder)
    return folder


def package(name, version, folder):
    """Pack one of the minimal charts."""
    command = ["helm", "package", CHARTS / name, "--version", version, "-d", folder]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def deploy(account, tmp_path_factory):
    """Create a committed stack with its own checkout and state."""

    def copy(name, charts, **sections):
        return AwsStack.copy(name, tmp_path_factory.mktemp(name), account, charts, **sections)

    return copy
