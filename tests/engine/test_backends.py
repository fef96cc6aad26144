"""The backends of EKS and RDS, with a fake kubectl."""

import itertools
import json
from unittest.mock import Mock

import pytest

from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.load_balancers import LoadBalancers
from tests.engine.simulator.backends.pods import Pods
from tests.engine.simulator.backends.postgres import Postgres
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources import LOOKUPS


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


def ingress(name="airflow-ingress", cls="airflow", **status):
    return {"metadata": {"name": name}, "spec": {"ingressClassName": cls}, "status": status}


@pytest.fixture
def load_balancers(backends):
    """The host names given to Ingresses, by Ingress."""
    _, pods = backends

    def sync(*ingresses, scheme="internal"):
        kubectl = Mock()
        kubectl.get.side_effect = lambda kind, *_: (
            {"items": list(ingresses)} if kind == "ingresses" else {"spec": {"scheme": scheme}}
        )
        LoadBalancers(pods.cloud, kubectl).sync()
        patches = [call.args for call in kubectl.run.call_args_list]
        return {
            words[2]: json.loads(words[-1])["status"]["loadBalancer"]["ingress"][0]["hostname"]
            for words in patches
        }

    sync.cloud = pods.cloud
    return sync


@pytest.mark.parametrize(
    ("scheme", "start"), [("internal", "internal-k8s-"), ("internet-facing", "k8s-")]
)
def test_an_ingress_gets_a_name_like_that_of_aws(load_balancers, scheme, start):
    known = ingress("known", loadBalancer={"ingress": [{"hostname": "a"}]})

    names = load_balancers(ingress(), known, ingress("other", "nginx"), scheme=scheme)

    assert list(names) == ["airflow-ingress"]
    assert names["airflow-ingress"].startswith(f"{start}airflow-airflowi-")
    assert names["airflow-ingress"].endswith(".eu-west-1.elb.amazonaws.com")


def test_an_ingress_gets_the_name_of_its_load_balancer(load_balancers):
    cloud = load_balancers.cloud
    subnets = [s["SubnetId"] for s in cloud.client("ec2").describe_subnets()["Subnets"][:2]]
    tags = [
        {"Key": "simulated/object", "Value": "airflow/airflow-ingress"},
        {"Key": "ingress.eks.amazonaws.com/stack", "Value": "airflow/airflow-ingress"},
    ]
    (created,) = cloud.client("elbv2").create_load_balancer(Name="one", Subnets=subnets, Tags=tags)[
        "LoadBalancers"
    ]

    assert load_balancers(ingress()) == {"airflow-ingress": created["DNSName"]}
    wanted = {"tags": {"ingress.eks.amazonaws.com/stack": "airflow/airflow-ingress"}}
    (arn,) = LOOKUPS["aws:lb/getLbs:getLbs"](cloud, wanted)["arns"]
    found = LOOKUPS["aws:lb/getLoadBalancer:getLoadBalancer"](cloud, {"arn": arn})
    assert found["dnsName"] == created["DNSName"]
    assert LOOKUPS["aws:lb/getLbs:getLbs"](cloud, {"tags": {"a": "b"}})["arns"] == []
