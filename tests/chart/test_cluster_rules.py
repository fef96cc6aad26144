"""Every pod follows the rules of a cluster: labels, annotations, CPU limits, and the proxy."""

import pytest
from pydantic import TypeAdapter, ValidationError

from components.support.cluster_rules import cpu_limit
from settings.kubernetes import KubernetesSettings
from settings.proxy import NAMES
from tests.chart.conftest import KUBERNETES_RULES, PROXY, VARIANTS

RULED = [name for name in VARIANTS if name.startswith("cluster-rules")]
with_rules = pytest.mark.parametrize("name", RULED)


def _containers(rendered):
    for pod in rendered.all_pods:
        for container in pod.containers:
            yield f"{pod.kind} {pod.name}: {container['name']}", container


def _millis(quantity):
    text = str(quantity)
    return float(text[:-1]) if text.endswith("m") else 1000 * float(text)


def test_the_variants_have_every_kind_of_pod(render):
    kinds = {pod.kind for pod in render("cluster-rules").all_pods}
    own = {pod.name.rpartition("-")[0] or pod.name for pod in render("cluster-rules").own_pods}

    assert kinds == {"Deployment", "StatefulSet", "Job", "CronJob"}
    assert len(render("cluster-rules").all_pods) > 15
    assert len(own) >= 6, "database, Redis, Git server, relay, task keeper and both Jobs"


@with_rules
def test_every_pod_has_the_labels_and_annotations(render, name):
    for pod in render(name).all_pods:
        assert pod.labels.items() >= KUBERNETES_RULES["pod_labels"].items(), pod.name
        assert pod.annotations.items() >= KUBERNETES_RULES["pod_annotations"].items(), pod.name


@with_rules
def test_no_selector_has_the_labels(render, name):
    """A selector of a Deployment cannot change."""
    rendered = render(name)
    specs = [o["spec"] for o in rendered.airflow.objects + rendered.keda.objects if "spec" in o]
    specs += [r.inputs["spec"] for r in rendered.snapshot.resources.values() if "spec" in r.inputs]

    selectors = [str(spec["selector"]) for spec in specs if spec.get("selector")]
    assert len(selectors) > 15
    assert [each for each in selectors if "example.com" in each or "cost-center" in each] == []


@with_rules
def test_every_namespace_has_the_labels_and_annotations(render, name):
    found = render(name).snapshot.all("kubernetes:core/v1:Namespace")

    assert len(found) >= 2
    for namespace in found:
        metadata = namespace.inputs["metadata"]
        assert metadata["labels"].items() >= KUBERNETES_RULES["namespace_labels"].items()
        assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        annotations = KUBERNETES_RULES["namespace_annotations"].items()
        assert metadata["annotations"].items() >= annotations


@with_rules
def test_every_container_has_a_cpu_limit(render, name):
    for where, container in _containers(render(name)):
        resources = container["resources"]
        for kind in ("requests", "limits"):
            assert resources[kind].keys() >= {"cpu", "memory"}, f"{where}: {kind}"
        wanted = _millis(cpu_limit(resources["requests"]["cpu"]))
        assert _millis(resources["limits"]["cpu"]) == wanted, where


def test_without_the_setting_no_container_has_a_cpu_limit(stack):
    """Except for those of KEDA: its chart sets them."""
    pods = stack.own_pods + stack.airflow.pods
    limited = [p.name for p in pods for c in p.containers if "cpu" in c["resources"]["limits"]]

    assert limited == []


@pytest.mark.parametrize(
    ("name", "direct"),
    [
        ("cluster-rules", ["10.244.0.0/16", ".example.org"]),
        ("cluster-rules-on-aws", ["169.254.169.254", "169.254.170.23", "10.2.0.0/16"]),
    ],
)
def test_every_pod_with_external_requests_has_the_proxy(render, name, direct):
    rendered = render(name)
    behind = set()
    for pod in rendered.all_pods:
        for container in pod.containers:
            env = {e["name"]: e.get("value") for e in container.get("env") or []}
            if not env.keys() & set(NAMES):
                continue
            behind.add(f"{pod.name} {container['name']}")
            for spelled in (str.upper, str.lower):
                assert env[spelled("http_proxy")] == PROXY["http"]
                assert env[spelled("https_proxy")] == PROXY["https"]
                listed = env[spelled("no_proxy")].split(",")
                assert listed[-len(direct) :] == direct
                assert {".svc", "localhost", "$(KUBERNETES_SERVICE_HOST)"} <= set(listed)
                assert "airflow-api-server" in listed, "workers call it by this name"

    of_airflow = {
        f"{pod.name} {container['name']}"
        for pod in rendered.airflow.pods
        for container in pod.containers
        if "/airflow" in container["image"] and not container["name"].endswith("-log-groomer")
    }
    assert behind >= of_airflow, "every process of Airflow"
    assert "dag-relay git-sync" in behind
    own = {f"{pod.name} {c['name']}" for pod in rendered.own_pods for c in pod.containers}
    assert {each.rpartition(" ")[2] for each in own & behind} <= {"git-sync", "sso-check"}


def test_the_sso_check_uses_the_proxy(render):
    pods = [p for p in render("cluster-rules").own_pods if p.labels.get("component") == "sso-check"]

    (env,) = [{e["name"]: e.get("value") for e in c["env"]} for p in pods for c in p.containers]
    assert env["HTTPS_PROXY"] == PROXY["https"]


def test_a_label_or_annotation_of_a_pod_is_refused(any_stack):
    """Selectors, disruption budgets and policies find pods by their labels."""
    fields = KubernetesSettings.model_fields
    for setting, given in (("pod_labels", "labels"), ("pod_annotations", "annotations")):
        adapter = TypeAdapter(fields[setting].annotation)
        own = {key for pod in any_stack.all_pods for key in getattr(pod, given)}
        for key in sorted(own - KUBERNETES_RULES[setting].keys()):
            with pytest.raises(ValidationError, match="belongs to Kubernetes"):
                adapter.validate_python({key: "x"})
