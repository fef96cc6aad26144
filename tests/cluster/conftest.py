"""A throw-away cluster, and a copy of this checkout in which `make` runs."""

import shutil
from contextlib import contextmanager

import pytest

from tests.harness.airflow_api import Api
from tests.harness.checkout import Checkout
from tests.harness.cluster import Cluster

TOOLS = ("pulumi", "kubectl", "helm", "git", "ssh", "make")


@pytest.fixture(scope="session")
def cluster():
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.fail(f"not on PATH: {', '.join(missing)}; see CONTRIBUTING.md")
    return Cluster.of_local_stack()


@pytest.fixture(scope="package")
def checkout(tmp_path_factory, charts):
    return Checkout.copy(tmp_path_factory.mktemp("checkout"), charts)


@pytest.fixture(scope="session")
def nothing_is_left(cluster):
    """The check after `make down`."""

    def check(status, output):
        assert status == 0, output
        assert "All resources were deleted." in output
        names = {n["metadata"]["name"] for n in cluster.get("namespaces")}
        assert "airflow" not in names, "`make down` must delete the namespace"
        claims = [v["spec"]["claimRef"]["namespace"] for v in cluster.get("persistentvolumes")]
        assert "airflow" not in claims, "`make down` must delete all volumes"

    return check


@pytest.fixture(scope="session")
def up_and_down(nothing_is_left):
    """The stack `local` between `make up`, whose output it yields, and `make down`."""

    @contextmanager
    def between(checkout):
        status, output = checkout.make("up")
        try:
            assert status == 0, output
            yield output
        finally:
            down = checkout.make("down")
        nothing_is_left(*down)

    return between


@pytest.fixture
def api(installed, cluster):
    """Airflow's API, in packages with a fixture `installed`."""
    with Api.open(cluster) as opened:
        yield opened
