import pytest

from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    REQUESTS_AND_LIMITS,
    airflow,
    assert_complies,
    breaches,
    container,
    findings,
    resource,
    server,
)

NAMESPACE = "kubernetes:core/v1:Namespace"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ENFORCE = "pod-security.kubernetes.io/enforce"
REQUIRED = ("requests.cpu", "requests.memory", "limits.memory")
CHART_CONTAINERS = [
    "scheduler",
    "scheduler.logGroomerSidecar",
    "apiServer",
    "dagProcessor",
    "dagProcessor.logGroomerSidecar",
    "triggerer",
    "triggerer.logGroomerSidecar",
    "dags.gitSync",
    "statsd",
    "migrateDatabaseJob",
    "createUserJob",
    "databaseCleanup",
    "workers.celery",
    "workers.celery.logGroomerSidecar",
]


def chart_values(without="", resources=REQUESTS_AND_LIMITS):
    """Values of the Airflow chart with resources for every container, except for `without`."""
    values = {
        "dagProcessor": {"enabled": True},
        "databaseCleanup": {"enabled": True},
        "dags": {"gitSync": {"enabled": True}},
    }
    for path in CHART_CONTAINERS:
        inner = values
        for key in path.split("."):
            inner = inner.setdefault(key, {})
        if path != without:
            inner["resources"] = resources
    return values


def default_deny(namespace="airflow", **changed):
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], **changed}
    return resource(NETWORK_POLICY, "deny", metadata={"namespace": namespace}, spec=spec)


@pytest.mark.parametrize(
    ("resources", "missing"),
    [
        ({**REQUESTS_AND_LIMITS, "limits": {}}, "limits.memory"),
        ({**REQUESTS_AND_LIMITS, "requests": {"cpu": "1"}}, "requests.memory"),
        ({**REQUESTS_AND_LIMITS, "requests": {"memory": "1Gi"}}, "requests.cpu"),
    ],
)
def test_a_container_without_a_request_or_limit_is_a_breach(resources, missing):
    pod = server(container(resources=resources))
    assert breaches("containers-request-resources", pod) == [
        ("redis", f"main: resources.{missing} is not set", "Measure the usage and set it")
    ]


def test_chart_containers_without_a_limit_are_a_breach():
    values = chart_values(resources={**REQUESTS_AND_LIMITS, "limits": {}})
    assert breaches("containers-request-resources", airflow(**values)) == [
        ("airflow-release", f"{path}.resources.limits.memory is not set", "Set it in values/")
        for path in CHART_CONTAINERS
    ]


@pytest.mark.parametrize("path", CHART_CONTAINERS)
def test_every_chart_container_needs_its_own_resources(path):
    found = findings("containers-request-resources", airflow(**chart_values(without=path)))
    assert [f.what for f in found] == [f"{path}.resources.{key} is not set" for key in REQUIRED]


def test_every_set_of_workers_needs_resources():
    values = chart_values(without="workers.celery")
    values["workers"]["celery"] |= {
        "enableDefault": False,
        "sets": [{"name": "one", "resources": REQUESTS_AND_LIMITS}, {"name": "two"}],
    }

    found = findings("containers-request-resources", airflow(**values))
    path = "workers.celery.sets.two.resources"
    assert [f.what for f in found] == [f"{path}.{key} is not set" for key in REQUIRED]


def test_a_disabled_chart_part_needs_no_resources():
    values = chart_values(without="databaseCleanup")
    values["databaseCleanup"] = {"enabled": False}
    assert_complies("containers-request-resources", airflow(**values))


def test_containers_with_requests_and_limits_comply():
    assert_complies("containers-request-resources", server(), airflow(**chart_values()))


@pytest.mark.parametrize(
    ("context", "found"), [({"runAsNonRoot": False}, "is false"), (None, "is not set")]
)
def test_a_pod_that_may_run_as_root_is_a_breach(context, found):
    pod = server(securityContext=context)
    assert breaches("pod-security-context-restricted", pod) == [
        ("redis", f"securityContext.runAsNonRoot {found}", "Set it to true")
    ]


def test_an_init_container_that_may_escalate_is_a_breach():
    pod = server(container(), initContainers=[container(name="first", securityContext={})])
    assert breaches("pod-security-context-restricted", pod) == [
        ("redis", "first: securityContext.allowPrivilegeEscalation is not set", "Set it to false")
    ]


def test_an_unprivileged_pod_complies():
    assert_complies("pod-security-context-restricted", server())


@pytest.mark.parametrize(
    ("labels", "found"), [({ENFORCE: "baseline"}, 'is "baseline"'), (None, "is not set")]
)
def test_a_namespace_with_weak_pod_security_is_a_breach(labels, found):
    namespace = resource(NAMESPACE, metadata={"labels": labels})
    assert breaches("namespace-pod-security-restricted", namespace) == [
        ("it", f"{ENFORCE} {found}", "Set the label to restricted")
    ]


@pytest.mark.parametrize("labels", [{ENFORCE: "restricted"}, UNKNOWN])
def test_a_namespace_with_restricted_pods_complies(labels):
    namespace = resource(NAMESPACE, metadata={"labels": labels})
    assert_complies("namespace-pod-security-restricted", namespace)


@pytest.mark.parametrize(
    "policy",
    [
        default_deny("other"),
        default_deny(podSelector={"matchLabels": {"a": "b"}}),
        default_deny(policyTypes=["Egress"]),
        default_deny(ingress=[{}]),
    ],
    ids=["other namespace", "some pods only", "egress only", "allows ingress"],
)
def test_a_namespace_without_default_deny_is_a_breach(policy):
    assert breaches("default-deny-network-policy", server(), policy) == [
        (
            "redis",
            "namespace airflow has no NetworkPolicy that denies all ingress",
            "Add a NetworkPolicy with podSelector {} and no ingress rules; then allow the clients",
        )
    ]


def test_a_namespace_with_default_deny_complies():
    assert_complies("default-deny-network-policy", server(), default_deny())


def test_an_unknown_namespace_complies():
    assert_complies("default-deny-network-policy", server(namespace=UNKNOWN))


@pytest.mark.parametrize(
    ("type", "path"),
    [
        ("kubernetes:apps/v1:Deployment", "spec.template.spec"),
        ("kubernetes:apps/v1:DaemonSet", "spec.template.spec"),
        ("kubernetes:batch/v1:Job", "spec.template.spec"),
        ("kubernetes:batch/v1:CronJob", "spec.jobTemplate.spec.template.spec"),
        ("kubernetes:core/v1:Pod", "spec"),
    ],
)
def test_rules_check_every_kind_of_pod_template(type, path):
    inputs = {"containers": [container(image="redis:latest")]}
    for key in reversed(path.split(".")):
        inputs = {key: inputs}
    found = findings("image-tag-pinned", resource(type, **inputs))
    assert [f.what for f in found] == ['main: image is "redis:latest"']
