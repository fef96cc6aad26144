import pulumi
import pytest

from components.kubernetes.namespace import Namespace, NamespaceArgs

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
NAMESPACE = "kubernetes:core/v1:Namespace"


@pytest.fixture
def namespace(deploy):
    return lambda grace_seconds=600: deploy(
        lambda: Namespace("ns", NamespaceArgs(name="flow", grace_seconds=grace_seconds))
    )


@pytest.mark.parametrize("grace_seconds", [30, 7200])
def test_deletion_waits_for_the_grace_period(namespace, wire, grace_seconds):
    namespace(grace_seconds)

    timeout = wire["ns-namespace"].customTimeouts.delete
    assert timeout == f"{grace_seconds + 600}s", "the margin is for Helm's cleanup"


def test_users_of_the_name_depend_on_the_namespace(deploy):
    def program():
        name = Namespace("ns", NamespaceArgs(name="flow", grace_seconds=30)).name
        pulumi.export("name", name)

    snapshot = deploy(program)
    assert snapshot.exports["name"] == "flow"
    policy = snapshot.one(POLICY)
    assert snapshot.one(NAMESPACE).urn in policy.depends_on


def test_a_given_namespace_is_used_and_closed(deploy):
    def program():
        args = NamespaceArgs(name="flow", create=False, grace_seconds=30)
        pulumi.export("name", Namespace("ns", args).name)

    snapshot = deploy(program)
    assert snapshot.exports["name"] == "flow"
    assert snapshot.all(NAMESPACE) == [], "it would be deleted with the stack"
    assert snapshot.one(POLICY).inputs["metadata"]["namespace"] == "flow"
