"""KEDA's rights, and its NetworkPolicies, fit the pods and Services of its chart."""

import pytest

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


@pytest.fixture
def keda(render):
    return render("dev")


def _open_ports(keda):
    """Ports that a NetworkPolicy of the program opens, by pod."""
    found = {pod.name: set() for pod in keda.keda.pods}
    for policy in keda.snapshot.all(POLICY):
        if policy.inputs["metadata"]["namespace"] != "keda":
            continue
        selector = policy.inputs["spec"]["podSelector"].get("matchLabels", {})
        for pod in keda.keda.pods:
            if selector.items() <= pod.labels.items():
                rules = policy.inputs["spec"].get("ingress", [])
                found[pod.name] |= {port["port"] for rule in rules for port in rule["ports"]}
    return found


def test_keda_has_no_right_on_every_kind(keda):
    rules = [
        rule
        for role in keda.keda.all("ClusterRole").values()
        for rule in role["rules"]
        if {"*", "*/scale"} & set(rule.get("resources", []))
    ]

    assert {group for rule in rules for group in rule["apiGroups"]} <= {"keda.sh"}, rules


def test_every_port_of_keda_s_services_is_open(keda):
    needed = {
        name: {port["targetPort"] for port in service["spec"]["ports"]}
        for name, service in keda.keda.all("Service").items()
    }

    assert needed == _open_ports(keda), "KEDA's metrics server and the API server connect to them"
