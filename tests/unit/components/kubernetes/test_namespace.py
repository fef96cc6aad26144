import pulumi
import pytest

from components.kubernetes.namespace import Namespace, NamespaceArgs

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
NAMESPACE = "kubernetes:core/v1:Namespace"


@pytest.fixture
def namespace(deploy):
    return lambda grace_seconds=600: deploy(
        lambda: Namespace("ns", NamespaceArgs(grace_seconds=grace_seconds))
    )


def test_pods_must_be_restricted(namespace):
    labels = namespace().one(NAMESPACE).inputs["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_command_tells_its_own_namespace_from_a_foreign_one(namespace):
    metadata = namespace().one(NAMESPACE).inputs["metadata"]

    assert metadata["name"] == "airflow"
    assert metadata["labels"]["airflow-platform/stack"] == "test"
    assert metadata["labels"]["app.kubernetes.io/part-of"] == "airflow-platform"


def test_nothing_reaches_a_pod_unless_a_policy_says_so(namespace):
    policy = namespace().one(POLICY).inputs

    assert policy["metadata"] == {"name": "deny-ingress", "namespace": "airflow"}
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


@pytest.mark.parametrize("grace_seconds", [30, 7200])
def test_deleting_it_waits_for_the_last_task(namespace, wire, grace_seconds):
    namespace(grace_seconds)

    timeout = wire["ns-namespace"].customTimeouts.delete
    assert timeout == f"{grace_seconds + 600}s", "Helm's clean-up comes on top of the workers'"


def test_who_uses_its_name_waits_for_it(deploy):
    def program():
        name = Namespace("ns", NamespaceArgs(grace_seconds=30)).name
        pulumi.export("name", name)

    declaration = deploy(program)
    assert declaration.exports["name"] == "airflow"
    policy = declaration.one(POLICY)
    assert declaration.one(NAMESPACE).urn in policy.depends_on
