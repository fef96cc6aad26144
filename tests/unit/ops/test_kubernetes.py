"""Access to the cluster, with a fake kubectl."""

import json

import pytest

from ops import kubernetes
from ops.kubernetes import Kubernetes
from ops.shell import OperationError

KIND = Kubernetes(name="kind-a", namespace="airflow", arguments=["--context", "kind-a"])
CLUSTER = """
case "$*" in
  *get-contexts*) echo kind-a; echo kind-b ;;
  *readyz*) {ready} ;;
  *"get namespace"*) printf %s '{namespace}' ;;
esac
"""
OWN_NAMESPACE = {"metadata": {"labels": {"airflow-platform/stack": "local"}}}


def test_kubectl_never_uses_the_current_context(tools):
    tools("kubectl", CLUSTER.format(ready="echo ok", namespace=""))

    KIND.check_reachable()
    (readyz,) = [call for call in tools.calls() if "readyz" in call]
    assert readyz == "kubectl --context kind-a get --raw /readyz --request-timeout=10s"


def test_an_unknown_context_is_refused_with_the_known_ones(tools):
    tools("kubectl", CLUSTER.format(ready="echo ok", namespace=""))
    unknown = Kubernetes(name="kind-c", namespace="airflow", arguments=["--context", "kind-c"])

    with pytest.raises(
        OperationError, match="'kind-c' is not in your kubeconfig, which has: kind-a, kind-b"
    ):
        unknown.check_reachable()
    assert not [call for call in tools.calls() if "readyz" in call]


def test_an_empty_kubeconfig_is_reported(tools):
    tools("kubectl", "")

    with pytest.raises(OperationError, match="which has: none"):
        KIND.check_reachable()


def test_a_kubeconfig_of_the_stack_needs_no_context(tools):
    tools("kubectl", CLUSTER.format(ready="echo ok", namespace=""))

    Kubernetes(name="prod", namespace="airflow", arguments=["--kubeconfig", "x"]).check_reachable()
    assert "kubectl --kubeconfig x get --raw /readyz --request-timeout=10s" in tools.calls()


def test_an_unreachable_cluster_is_reported_with_the_reason(tools):
    down = "echo noise >&2; echo connection refused >&2; exit 1"
    tools("kubectl", CLUSTER.format(ready=down, namespace=""))

    with pytest.raises(
        OperationError, match=r"context 'kind-a' is unreachable: connection refused$"
    ):
        KIND.check_reachable()


@pytest.mark.parametrize("namespace", ["", json.dumps(OWN_NAMESPACE)], ids=["none", "own"])
def test_the_namespace_of_the_stack_is_accepted(tools, namespace):
    tools("kubectl", CLUSTER.format(ready="", namespace=namespace))

    KIND.check_namespace("local")
    assert tools.calls() == [
        "kubectl --context kind-a get namespace airflow --ignore-not-found --output json"
    ]


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"labels": {"airflow-platform/stack": "dev"}}, "stack 'dev'"),
        ({"labels": {"team": "data"}}, "another installation"),
        ({}, "another installation"),
    ],
    ids=["another stack", "no stack", "no labels"],
)
def test_a_namespace_of_another_owner_is_refused(tools, metadata, owner):
    tools("kubectl", CLUSTER.format(ready="", namespace=json.dumps({"metadata": metadata})))

    with pytest.raises(
        OperationError, match=f"'airflow' in context 'kind-a' belongs to {owner}; nothing"
    ):
        KIND.check_namespace("local")


def test_a_terminating_namespace_is_waited_for(tools, capsys):
    terminating = {"metadata": {"deletionTimestamp": "2026-11-24T07:00:00Z"}}
    tools("kubectl", CLUSTER.format(ready="", namespace=json.dumps(terminating)))

    KIND.check_namespace("local")
    assert tools.calls()[-1].startswith(
        "kubectl --context kind-a wait --for=delete namespace/airflow --timeout="
    )
    assert capsys.readouterr().out == (
        "namespace 'airflow' is terminating: waiting until its tasks have finished\n"
    )


@pytest.mark.parametrize(
    ("type_", "metadata", "found", "id_"),
    [
        ("core/v1:Secret", {"name": "a", "namespace": "airflow"}, "secret/a", "airflow/a"),
        ("core/v1:Secret", {"name": "a", "namespace": "airflow"}, "", None),
        ("core/v1:Namespace", {"name": "airflow"}, "namespace/airflow", "airflow"),
        ("core/v1:Namespace", {}, "namespace/x", None),
    ],
    ids=["namespaced", "missing", "cluster-scoped", "without a name"],
)
def test_the_pulumi_id_of_an_existing_object_is_found(tools, type_, metadata, found, id_):
    tools("kubectl", f"printf %s '{found}'")

    resource = {"type": f"kubernetes:{type_}", "inputs": {"metadata": metadata}}
    assert KIND.identify(resource) == id_


def test_an_object_is_looked_up_in_its_own_namespace(tools):
    tools("kubectl", "")
    metadata = {"name": "a", "namespace": "keda"}

    KIND.identify({"type": "kubernetes:core/v1:Secret", "inputs": {"metadata": metadata}})
    assert tools.calls() == [
        "kubectl --context kind-a get Secret a --namespace keda --ignore-not-found --output name"
    ]


def test_resources_of_other_providers_are_not_looked_up(tools):
    tools("kubectl", "echo found")

    inputs = {"metadata": {"name": "a"}}
    assert KIND.identify({"type": "random:index/randomId:RandomId", "inputs": inputs}) is None
    assert tools.calls() == []


@pytest.mark.parametrize(
    ("script", "health"),
    [
        (
            'echo \'{"scheduler": {"status": "healthy"}, "triggerer": {"status": null}}\'',
            {"scheduler": "healthy", "triggerer": "missing"},
        ),
        ("exit 1", {}),
    ],
    ids=["responds", "does not respond"],
)
def test_health_is_read_from_the_api_server(tools, script, health):
    tools("kubectl", script)

    assert KIND.health() == health
    assert "exec --namespace airflow deploy/airflow-api-server" in tools.calls()[0]


@pytest.fixture
def cluster_with(tools, monkeypatch, tmp_path):
    """Create a cluster from the status of components and successive lists of Jobs."""
    monkeypatch.setattr(kubernetes.time, "sleep", lambda seconds: None)

    def create(status, *jobs):
        for number, items in enumerate(jobs, start=1):
            (tmp_path / f"jobs{number}").write_text(json.dumps({"items": items}) + "\n")
        (tmp_path / "polls").write_text("")
        health = json.dumps({name: {"status": state} for name, state in status.items()})
        tools(
            "kubectl",
            f"""case "$*" in
              *" get job "*) printf x >> {tmp_path}/polls
                read -r polls < {tmp_path}/polls; cat {tmp_path}/jobs${{#polls}} ;;
              *) echo '{health}' ;;
            esac""",
        )

    return create


def job(**status):
    return {"metadata": {"name": "airflow-create-user"}, "status": status}


def test_waiting_ends_when_every_component_is_healthy(cluster_with, tools, capsys):
    cluster_with({"scheduler": "healthy"}, [])

    KIND.wait_healthy()

    assert capsys.readouterr().out == "scheduler healthy\n"
    assert "get job --namespace airflow --selector release=airflow" in tools.calls()[-1]


def test_waiting_ends_when_the_admin_user_exists(cluster_with, capsys):
    cluster_with({"scheduler": "healthy"}, [job()], [job(active=1)], [job(succeeded=1)])

    KIND.wait_healthy()

    assert capsys.readouterr().out.splitlines() == [
        "scheduler healthy, airflow-create-user not complete",
        "scheduler healthy",
    ]


def test_waiting_ignores_stopped_components(cluster_with, capsys):
    cluster_with({"scheduler": "unhealthy", "triggerer": "healthy"}, [])

    KIND.wait_healthy(ignore={"scheduler"})

    assert capsys.readouterr().out == "triggerer healthy\n"


@pytest.mark.parametrize(
    ("state", "jobs", "reason"),
    [
        ("unhealthy", [], "scheduler is unhealthy"),
        ("healthy", [job(failed=3)], "airflow-create-user is not complete"),
    ],
    ids=["component", "job"],
)
def test_a_timeout_names_the_unhealthy_component(cluster_with, monkeypatch, state, jobs, reason):
    cluster_with({"scheduler": state}, jobs)
    now = iter([0, 0, 10**6])
    monkeypatch.setattr(kubernetes.time, "monotonic", lambda: next(now))

    with pytest.raises(OperationError, match=f"after 300 s: {reason}") as error:
        KIND.wait_healthy()
    assert str(error.value).endswith("kubectl --context kind-a get pods --namespace airflow")


def test_the_load_balancer_is_waited_for(tools, no_sleep, tmp_path):
    tools("kubectl", f"[ -e {tmp_path}/asked ] && printf lb.example; touch {tmp_path}/asked")

    assert KIND.load_balancer() == "lb.example"
    assert len(tools.calls()) == 2


def test_a_load_balancer_is_waited_for_a_bounded_time(tools, no_sleep):
    tools("kubectl", "exit 1")

    assert KIND.load_balancer(seconds=0) is None


FORBIDDEN = 'Error from server (Forbidden): namespaces "airflow" is forbidden'


def test_a_namespace_of_an_administrator_may_be_unreadable(tools):
    tools("kubectl", f"echo '{FORBIDDEN}' >&2; exit 1")

    KIND.check_namespace("local", creates=False)
    with pytest.raises(OperationError, match="Forbidden"):
        KIND.check_namespace("local")


@pytest.mark.parametrize(
    ("namespace", "reason"),
    [
        ("", "does not exist in context 'kind-a', and cluster.create_namespace is false"),
        (
            json.dumps({"metadata": {}}),
            "belongs to no stack: it has no label airflow-platform/stack=local",
        ),
        (
            json.dumps({"metadata": {"labels": {"airflow-platform/stack": "dev"}}}),
            "belongs to stack 'dev'; nothing was changed",
        ),
    ],
    ids=["none", "no label", "another stack"],
)
def test_a_namespace_of_an_administrator_names_its_stack(tools, namespace, reason):
    tools("kubectl", CLUSTER.format(ready="", namespace=namespace))

    with pytest.raises(OperationError, match=reason):
        KIND.check_namespace("local", creates=False)
    tools("kubectl", CLUSTER.format(ready="", namespace=json.dumps(OWN_NAMESPACE)))
    KIND.check_namespace("local", creates=False)
