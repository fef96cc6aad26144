"""The stack `local`, installed once by `make up` on a throw-away cluster, removed by `make down`."""

import shutil

import pytest
import yaml

from tests.cluster.platform import ROOT, Api, Checkout, Cluster

TOOLS = ("pulumi", "kubectl", "helm", "git", "make")


@pytest.fixture(scope="session")
def cluster():
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.fail(f"not on PATH: {', '.join(missing)}; see docs/development.md")
    content = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
    settings = content["config"]["airflow-platform:settings"]
    return Cluster(context=settings["cluster"]["context"])


@pytest.fixture(scope="session")
def checkout(tmp_path_factory, charts):
    return Checkout.copy(tmp_path_factory.mktemp("checkout"), charts)


@pytest.fixture(scope="session")
def installed(checkout, cluster):
    """What `make up` said. After the last test, `make down` must leave nothing."""
    status, said = checkout.make("up")
    try:
        assert status == 0, said
        yield said
    finally:
        status, said = checkout.make("down")
    assert status == 0, said
    assert "Nothing is left." in said
    names = {n["metadata"]["name"] for n in cluster.get("namespaces")}
    assert "airflow" not in names, "`make down` must take the namespace with all that is in it"
    claimed = [v["spec"]["claimRef"]["namespace"] for v in cluster.get("persistentvolumes")]
    assert "airflow" not in claimed, "`make down` must leave no volume"


@pytest.fixture
def api(installed, cluster):
    with Api.open(cluster) as opened:
        yield opened


@pytest.fixture
def settings(installed, checkout):
    """Change settings of the stack local; afterwards they are as they were, and applied again."""
    before = checkout.file("local").read_text()
    yield lambda **sections: checkout.change("local", **sections)
    if checkout.file("local").read_text() != before:
        checkout.file("local").write_text(before)
        checkout.up()
