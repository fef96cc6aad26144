"""The backends of EKS and RDS, with a fake kubectl."""

import itertools
from unittest.mock import Mock

import pytest

from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.pods import Pods
from tests.engine.simulator.backends.postgres import Postgres
from tests.engine.simulator.cloud import Cloud


def _kubectl():
    """Each Service has its own address."""
    addresses = (f"10.96.0.{number}" for number in itertools.count(1))
    kubectl = Mock()
    kubectl.get.side_effect = lambda kind, *_: (
        {"spec": {"clusterIP": next(addresses)}} if kind == "service" else {"items": []}
    )
    return kubectl


@pytest.fixture
def backends(monkeypatch):
    """The databases, and the webhook for pods."""
    monkeypatch.setattr(Postgres, "_parameters", lambda *_: {})
    cloud, kubectl, authority = Cloud(host="127.0.0.1"), _kubectl(), Authority()
    names = {}
    pods = Pods(cloud, kubectl, authority, "127.0.0.1", names)
    yield Postgres(cloud, kubectl, authority, names), pods
    pods.stop()
    cloud.stop()


def _host_aliases(pods):
    """Host aliases of a new pod."""
    spec = pods.mutate({"spec": {"containers": []}}, "airflow")["spec"]
    return {alias["hostnames"][0]: alias["ip"] for alias in spec.get("hostAliases", [])}


def test_pods_resolve_only_existing_databases(backends):
    databases, pods = backends
    assert _host_aliases(pods) == {}

    first, _ = databases.create("first", "airflow", "password", "airflow")
    assert _host_aliases(pods) == {first: "10.96.0.1"}

    databases.delete("first")
    second, _ = databases.create("second", "airflow", "password", "airflow")
    assert _host_aliases(pods) == {second: "10.96.0.2"}


POOL = {
    "spec": {
        "template": {
            "metadata": {"labels": {"nodes": "workers"}},
            "spec": {
                "requirements": [
                    {
                        "key": "karpenter.sh/capacity-type",
                        "operator": "In",
                        "values": ["spot", "on-demand"],
                    }
                ]
            },
        }
    }
}


def test_a_spot_pool_starts_no_node_without_the_role(backends):
    _, pods = backends
    pods.kubectl.get.side_effect = lambda *_: {"items": [POOL]}
    worker = {"spec": {"containers": [], "nodeSelector": {"nodes": "workers"}}}

    assert pods.mutate(worker, "airflow")["spec"]["nodeSelector"] == {"nodes": "workers"}

    pods.cloud.client("iam").create_service_linked_role(AWSServiceName="spot.amazonaws.com")
    assert pods.mutate(worker, "airflow")["spec"]["nodeSelector"] == {}
