"""What stands behind EKS and RDS, with a Kubernetes that only keeps books."""

import pytest

from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.pods import Pods
from tests.engine.simulator.backends.postgres import Postgres
from tests.engine.simulator.cloud import Cloud


class Kubectl:
    """Each Service has an address of its own."""

    def __init__(self):
        self.services = 0

    def apply(self, *objects):
        pass

    def run(self, *words, stdin=None):
        return ""

    def delete(self, *words):
        pass

    def get(self, kind, *words):
        if kind != "service":
            return {"items": []}
        self.services += 1
        return {"spec": {"clusterIP": f"10.96.0.{self.services}"}}


@pytest.fixture
def behind(monkeypatch):
    """Databases, and the pods that look for them."""
    monkeypatch.setattr(Postgres, "_parameters", lambda *_: {})
    cloud, kubectl, authority = Cloud(host="127.0.0.1"), Kubectl(), Authority()
    names = {}
    pods = Pods(cloud, kubectl, authority, "127.0.0.1", names)
    yield Postgres(cloud, kubectl, authority, names), pods
    pods.stop()
    cloud.stop()


def _found(pods):
    """What a new pod finds, by name."""
    spec = pods.mutate({"spec": {"containers": []}}, "airflow")["spec"]
    return {alias["hostnames"][0]: alias["ip"] for alias in spec.get("hostAliases", [])}


def test_pods_find_the_databases_that_are_there_and_no_other(behind):
    databases, pods = behind
    assert _found(pods) == {}

    first, _ = databases.create("first", "airflow", "password", "airflow")
    assert _found(pods) == {first: "10.96.0.1"}

    databases.delete("first")
    second, _ = databases.create("second", "airflow", "password", "airflow")
    assert _found(pods) == {second: "10.96.0.2"}
