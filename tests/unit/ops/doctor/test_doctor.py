"""`make doctor` with a fake kubectl and a fake AWS CLI."""

import json

import pytest

from ops.doctor import checks, command, network_policy
from ops.doctor.checks import CHECKS, Check, Observation, Patient
from ops.kubernetes import Kubernetes
from ops.recovery.aws import Aws
from ops.shell import OperationError
from settings.kubernetes import KubernetesSettings

BY_ITEM = {check.item: check for check in CHECKS}
TAGS = {"stack": "prod"}
NO_KIND = 'echo "error: the server doesn\'t have a resource type" >&2; exit 1'


@pytest.fixture
def patient(stack):
    def make(name, **dags):
        settings = stack(name)[1]
        changed = settings.model_copy(update={"dags": settings.dags.model_copy(update=dags)})
        account = None if name == "local" else Aws(region="eu-west-1", tags=TAGS)
        cluster = Kubernetes(name=name, namespace="airflow", arguments=["--kubeconfig", "k"])
        return Patient(name=name, settings=changed, cluster=cluster, account=account)

    return make


@pytest.fixture
def kubectl(tools):
    """Answers of kubectl by words of its command line."""

    def make(**answers):
        cases = "".join(
            f"  *'{words.replace('_', ' ')}'*) {given if isinstance(given, str) else prints(given)} ;;\n"
            for words, given in answers.items()
        )
        tools("kubectl", f'case "$*" in\n{cases}esac')

    return make


def prints(value):
    return f"printf '%s' '{json.dumps(value)}'"


def items(*given):
    return {"items": list(given)}


def pool(name, **spec):
    return {"metadata": {"name": name}, "spec": {"template": {"spec": spec}}}


def node(**labels):
    given = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
    return {"metadata": {"labels": given}}


def seen(item, patient):
    found = BY_ITEM[item].observe(patient)
    return found.verdict, found.observed


def ports(monkeypatch, **changes):
    rows = {kind: {"open": False, "last": None} for kind in network_policy.KINDS}
    monkeypatch.setattr(network_policy, "measure", lambda *_: rows | changes)


STATEFUL = "NetworkPolicy for pods of a StatefulSet"


def test_an_enforced_policy_is_as_documented(monkeypatch, patient):
    ports(monkeypatch)

    assert seen(STATEFUL, patient("prod")) == (
        "as documented",
        "enforced: the closed port is closed",
    )


def test_an_open_port_behind_a_policy_differs(monkeypatch, patient):
    ports(monkeypatch, StatefulSet={"open": True, "last": 29.9})

    verdict, observed = seen(STATEFUL, patient("prod"))

    assert verdict == "differs"
    assert "not enforced" in observed


def test_the_probe_runs_once_also_if_it_fails(monkeypatch, patient):
    runs = []

    def fails(*_):
        runs.append(1)
        raise OperationError("no node")

    monkeypatch.setattr(network_policy, "measure", fails)
    one = patient("prod")

    for check in CHECKS[:5]:
        assert command._observe(check, one) == checks.not_checked("no node")
    assert runs == [1]


def test_the_first_moments_are_reported_by_kind(monkeypatch, patient):
    ports(monkeypatch, Job={"open": False, "last": 1.5})

    assert seen("first moments of a pod", patient("prod"))[1] == "open after its start: Job 1.5 s"


@pytest.mark.parametrize(
    ("spec", "verdict", "value"),
    [
        ({"expireAfter": "336h"}, "as documented", "336h"),
        ({"expireAfter": "720h"}, "differs", "720h"),
        ({}, "differs", "not set"),
    ],
)
def test_what_the_crd_fills_in_for_expire_after(kubectl, patient, spec, verdict, value):
    kubectl(get_nodepools=items(pool("airflow-workers", **spec)))

    found = seen("expireAfter of a NodePool", patient("prod"))

    assert found == (verdict, f"airflow-workers: {value}")


@pytest.mark.parametrize("item", ["expireAfter of a NodePool", "NodeClass"])
def test_a_cluster_without_auto_mode_is_not_checked(kubectl, patient, item):
    kubectl(get=NO_KIND)

    assert seen(item, patient("local")) == ("not checked", "the cluster has no EKS Auto Mode")


@pytest.mark.parametrize(("status", "verdict"), [("True", "as documented"), ("False", "differs")])
def test_the_readiness_of_the_node_class(kubectl, patient, status, verdict):
    condition = {"type": "Ready", "status": status, "reason": "Ready"}
    found = {"metadata": {"name": "airflow"}, "status": {"conditions": [condition]}}
    kubectl(get_nodeclasses=items(found))

    assert seen("NodeClass", patient("prod")) == (verdict, f"airflow: {status} Ready")


@pytest.mark.parametrize(("generation", "verdict"), [("7", "as documented"), ("4", "differs")])
def test_machines_are_counted_by_type_and_zone(kubectl, patient, generation, verdict):
    one = node(
        **{
            "node.kubernetes.io__instance_type": "m7g.large",
            "topology.kubernetes.io__zone": "eu_west_1a",
            "karpenter.sh__capacity_type": "spot",
            "eks.amazonaws.com__instance_generation": generation,
        }
    )
    kubectl(get_nodes=items(one, one))

    found = seen("instance types and zones of the nodes", patient("prod"))

    assert found == (verdict, "2 x m7g.large eu_west_1a spot")


@pytest.mark.parametrize(
    ("method", "token", "verdict"),
    [
        ("container-role", False, "as documented"),
        ("container-role", True, "differs"),
        (None, False, "differs"),
    ],
)
def test_credentials_of_a_worker_need_no_token(kubectl, patient, method, token, verdict):
    kubectl(get_deployment="echo 1", exec=f"echo 'found: {json.dumps([method, token])}'")

    assert seen("Pod Identity without a ServiceAccount token", patient("prod"))[0] == verdict


def test_without_a_worker_pod_identity_is_not_checked(kubectl, patient):
    kubectl(get_deployment=":")

    found = seen("Pod Identity without a ServiceAccount token", patient("prod"))

    assert found == ("not checked", "no worker is running: start a task")


@pytest.mark.parametrize(
    ("role", "nodes", "verdict"),
    [
        (":", [node(karpenter__x="y", **{"karpenter.sh__capacity_type": "spot"})], "as documented"),
        (":", [], "unknown"),
        ("echo '(NoSuchEntity)' >&2; exit 254", [], "differs"),
    ],
)
def test_the_spot_role_and_spot_nodes(kubectl, tools, patient, role, nodes, verdict):
    kubectl(get_nodes=items(*nodes))
    tools("aws", role)

    assert seen("service-linked role of EC2 Spot", patient("dev"))[0] == verdict


@pytest.mark.parametrize(("drop", "verdict"), [("true", "as documented"), ("false", "differs")])
def test_attributes_and_tags_of_the_load_balancer(kubectl, tools, patient, drop, verdict):
    kubectl(get_ingress="printf lb.elb.amazonaws.com")
    balancer = {"DNSName": "lb.elb.amazonaws.com", "LoadBalancerArn": "a", "Scheme": "internal"}
    attribute = {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": drop}
    tags = {"TagDescriptions": [{"Tags": [{"Key": "stack", "Value": "prod"}]}]}
    tools(
        "aws",
        f"""case "$*" in
        *describe-load-balancers*) {prints({"LoadBalancers": [balancer]})} ;;
        *attributes*) {prints({"Attributes": [attribute]})} ;;
        *describe-tags*) {prints(tags)} ;;
        esac""",
    )

    found = seen("attributes and tags of the load balancer", patient("prod"))

    assert found[0] == verdict
    assert found[1] == (
        f"internal; drop_invalid_header_fields: {drop}; access logs: not set; "
        "tags of the stack: yes"
    )


WEBHOOK = "actions.* annotations of the Ingress"


@pytest.mark.parametrize(
    ("status", "size", "verdict"),
    [(403, 0, "as documented"), (403, 20, "differs"), (405, 30, "differs"), (200, 0, "differs")],
)
def test_the_webhook_answers_its_path(kubectl, monkeypatch, patient, status, size, verdict):
    kubectl(get_ingress="printf lb")
    monkeypatch.setattr(checks, "_call", lambda address, host: (status, size))

    assert seen(WEBHOOK, patient("prod", webhook=True))[0] == verdict


def test_an_unreachable_webhook_is_not_checked(kubectl, monkeypatch, patient):
    def unreachable(address, host):
        raise TimeoutError

    kubectl(get_ingress="printf lb")
    monkeypatch.setattr(checks, "_call", unreachable)

    verdict, observed = seen(WEBHOOK, patient("prod", webhook=True))

    assert verdict == "not checked"
    assert "not reachable from here (TimeoutError)" in observed
    assert seen(WEBHOOK, patient("prod"))[0] == "not checked", "without a webhook"


@pytest.mark.parametrize(
    ("found", "verdict"),
    [("verified", "as documented"), ("CERTIFICATE_VERIFY_FAILED", "differs")],
)
def test_certificates_of_rds_in_strict_mode(kubectl, patient, found, verdict):
    kubectl(exec=f"echo 'found: {found}'")

    item = "certificates of RDS in Python's strict mode"

    assert seen(item, patient("prod")) == (verdict, found)


def test_the_table_names_no_account_host_or_address():
    check = Check(item="i", documented="d", source="https://s", observe=lambda patient: None)
    text = (
        "arn:aws:iam::111122223333:role/x at 10.0.1.2, db.abc.eu-west-1.rds.amazonaws.com, "
        "ip-10-0-0-1.eu-west-1.compute.internal | airflow.example.com"
    )
    rows = [(check, Observation(verdict="unknown", observed=text))]

    line = command.table(rows, ["airflow.example.com"])[-1]

    assert line == (
        "| i | [d](https://s) | arn:aws:iam::<account>:role/x at <address>, <host>, <host> / <host> "
        "| unknown |"
    )


@pytest.mark.parametrize("error", [OperationError("no"), KeyboardInterrupt()])
def test_the_namespace_is_deleted_before_and_after(kubectl, tools, monkeypatch, error):
    def fails(*_):
        raise error

    kubectl()
    monkeypatch.setattr(network_policy, "_address", fails)
    cluster = Kubernetes(name="c", namespace="airflow", arguments=["--context", "c"])

    with pytest.raises(type(error)):
        network_policy.measure(cluster, "image")

    words = [call.split()[3] for call in tools.calls()]
    assert words == ["delete", "apply", "delete"]
    assert "namespace airflow-doctor --ignore-not-found" in tools.calls()[0]


def test_a_closed_port_without_an_open_one_proves_nothing(kubectl, monkeypatch):
    rows = [{"kind": kind, "last": None, "open": False} for kind in network_policy.KINDS]
    lines = "\n".join(f"echo 'result: {json.dumps(row)}'" for row in rows)
    kubectl(logs=f"{lines}\n")
    monkeypatch.setattr(network_policy, "RESULT_SECONDS", 0.1)
    monkeypatch.setattr(network_policy.time, "sleep", lambda seconds: None)

    with pytest.raises(OperationError, match="proves nothing"):
        network_policy._results(
            Kubernetes(name="c", namespace="airflow", arguments=["--context", "c"])
        )


@pytest.mark.parametrize("kind", network_policy.KINDS)
def test_pods_of_the_probe_follow_the_rules_of_the_cluster(kind):
    server = network_policy._server(kind, "image", "10.0.0.1")
    selector = server["spec"].get("selector")
    given = {"pod_labels": {"team": "data"}, "pod_annotations": {"scan": "no"}, "cpu_limits": True}

    found = network_policy.ruled(server, KubernetesSettings(**given))

    pod = found["spec"].get("template", found)
    assert pod["metadata"]["labels"]["team"] == "data"
    assert pod["metadata"]["annotations"] == {"scan": "no"}
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "1000m", "memory": "64Mi"}
    assert "team" not in str(selector)


@pytest.mark.parametrize("kind", network_policy.KINDS)
def test_pods_of_the_probe_are_restricted(kind):
    declared = network_policy._server(kind, "image", "10.0.0.1")
    pod = declared["spec"] if kind == "Pod" else declared["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert declared["kind"] == kind
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["resources"]["limits"] == {"memory": "64Mi"}


def test_only_the_client_and_the_control_accept_connections():
    deny, allow = network_policy._policies()

    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    (expression,) = allow["spec"]["podSelector"]["matchExpressions"]
    assert expression["values"] == ["client", "allowed"]


def test_the_probe_logs_in_to_the_private_registry(tools):
    data = {".dockerconfigjson": "e30="}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "t", "data": data, "metadata": {}}
    tools("kubectl", prints(secret))
    cluster = Kubernetes(name="c", namespace="flow", arguments=[])

    copied, account = network_policy._login(cluster, "registry")

    assert "get secret registry --namespace flow" in tools.calls()[0]
    assert (copied["data"], copied["metadata"]) == (data, {"name": "registry"})
    assert account["metadata"] == {"name": "default"}, "of all pods of the namespace"
    assert account["imagePullSecrets"] == [{"name": "registry"}]
    assert network_policy._login(cluster, None) == []
