"""A throw-away cluster, and a copy of this checkout to run `make` in."""

import shutil
from contextlib import contextmanager

import pytest
import yaml

from tests.harness.airflow_api import Api
from tests.harness.checkout import ROOT, SETTINGS, Checkout
from tests.harness.cluster import Cluster

TOOLS = ("pulumi", "kubectl", "helm", "git", "ssh", "make")


@pytest.fixture(scope="session")
def cluster():
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.fail(f"not on PATH: {', '.join(missing)}; see CONTRIBUTING.md")
    content = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
    return Cluster(context=content["config"][SETTINGS]["cluster"]["context"])


@pytest.fixture(scope="package")
def checkout(tmp_path_factory, charts):
    return Checkout.copy(tmp_path_factory.mktemp("checkout"), charts)


@pytest.fixture(scope="session")
def nothing_is_left(cluster):
    """What must hold after `make down`."""

    def check(status, said):
        assert status == 0, said
        assert "Nothing is left." in said
        names = {n["metadata"]["name"] for n in cluster.get("namespaces")}
        assert "airflow" not in names, "`make down` must take the namespace with all that is in it"
        claims = [v["spec"]["claimRef"]["namespace"] for v in cluster.get("persistentvolumes")]
        assert "airflow" not in claims, "`make down` must leave no volume"

    return check


@pytest.fixture(scope="session")
def up_and_down(nothing_is_left):
    """The stack `local` of a checkout between `make up` and `make down`; gives what `make up` said."""

    @contextmanager
    def between(checkout):
        status, said = checkout.make("up")
        try:
            assert status == 0, said
            yield said
        finally:
            left = checkout.make("down")
        nothing_is_left(*left)

    return between


@pytest.fixture
def api(installed, cluster):
    """Airflow's API, where the package has its stack `installed`."""
    with Api.open(cluster) as opened:
        yield opened
