"""Rules for pods: those that the program declares, and those that chart values describe."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from policies import chart_values
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, at, differs, is_, items

# Kinds with a pod template, and where it is.
TEMPLATES = {
    "kubernetes:apps/v1:StatefulSet": "spec.template.spec",
    "kubernetes:apps/v1:Deployment": "spec.template.spec",
    "kubernetes:apps/v1:DaemonSet": "spec.template.spec",
    "kubernetes:batch/v1:Job": "spec.template.spec",
    "kubernetes:batch/v1:CronJob": "spec.jobTemplate.spec.template.spec",
    "kubernetes:core/v1:Pod": "spec",
}
NAMESPACE = "kubernetes:core/v1:Namespace"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
LABEL = "pod-security.kubernetes.io/enforce"
# Parts of the Airflow chart that have containers, and the values that say whether they are there. Workers
# come on top.
CHART_CONTAINERS: dict[str, str | None] = {
    "scheduler": None,
    "scheduler.logGroomerSidecar": None,
    "apiServer": None,
    "dagProcessor": "dagProcessor.enabled",
    "dagProcessor.logGroomerSidecar": "dagProcessor.enabled",
    "triggerer": None,
    "triggerer.logGroomerSidecar": None,
    "dags.gitSync": "dags.gitSync.enabled",
    "statsd": None,
    "migrateDatabaseJob": None,
    "createUserJob": None,
    "databaseCleanup": "databaseCleanup.enabled",
}
NEEDED = ("requests.cpu", "requests.memory", "limits.memory")


class Pod(NamedTuple):
    """A resource that makes pods, and their specification."""

    resource: Resource
    spec: dict[str, Any]


def pods(stack: Stack) -> Iterator[Pod]:
    for resource in stack.all(*TEMPLATES):
        spec = resource.get(TEMPLATES[resource.type])
        if isinstance(spec, dict):
            yield Pod(resource, spec)


def containers(pod: Pod) -> list[dict[str, Any]]:
    return [*items(pod.spec.get("containers")), *items(pod.spec.get("initContainers"))]


def _chart_containers(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Where the values of a container stand, and what they are."""
    for part, switch in CHART_CONTAINERS.items():
        if switch is None or at(values, switch):
            yield part, at(values, part)
    for part, given in chart_values.worker_sets(values):
        yield part, given
        yield f"{part}.logGroomerSidecar", given.get("logGroomerSidecar")


def _containers_request_resources(stack: Stack) -> Iterator[Finding]:
    for pod in pods(stack):
        for container in containers(pod):
            for path in NEEDED:
                if not at(container, f"resources.{path}"):
                    yield Finding(
                        resource=pod.resource.name,
                        urn=pod.resource.urn,
                        what=is_(f"{container.get('name')}: resources.{path}", None),
                        fix="Measure it and set it",
                    )
    for release, values in chart_values.of_airflow(stack):
        for part, given in _chart_containers(values):
            for path in NEEDED:
                if not at(given, f"resources.{path}"):
                    yield Finding(
                        resource=release.name,
                        urn=release.urn,
                        what=is_(f"{part}.resources.{path}", None),
                        fix="Set it in values/",
                    )


def _pods_are_restricted(stack: Stack) -> Iterator[Finding]:
    for pod in pods(stack):
        value = at(pod.spec, "securityContext.runAsNonRoot")
        if differs(value, True):
            yield Finding(
                resource=pod.resource.name,
                urn=pod.resource.urn,
                what=is_("securityContext.runAsNonRoot", value),
                fix="Set it to true",
            )
        for container in containers(pod):
            value = at(container, "securityContext.allowPrivilegeEscalation")
            if differs(value, False):
                name = f"{container.get('name')}: securityContext.allowPrivilegeEscalation"
                yield Finding(
                    resource=pod.resource.name,
                    urn=pod.resource.urn,
                    what=is_(name, value),
                    fix="Set it to false",
                )


def _namespaces_are_restricted(stack: Stack) -> Iterator[Finding]:
    for namespace in stack.all(NAMESPACE):
        labels = namespace.get("metadata.labels")
        value = UNKNOWN if labels is UNKNOWN else (labels or {}).get(LABEL)
        if differs(value, "restricted"):
            yield Finding(
                resource=namespace.name,
                urn=namespace.urn,
                what=is_(LABEL, value),
                fix="Set the label to restricted",
            )


def _closes(policy: Resource) -> bool:
    """Whether a NetworkPolicy is for every pod of its namespace, and admits nobody."""
    selector = policy.get("spec.podSelector")
    types = items(policy.get("spec.policyTypes"))
    return selector == {} and "Ingress" in types and not policy.get("spec.ingress")


def _namespaces_admit_nobody(stack: Stack) -> Iterator[Finding]:
    closed = [policy.get("metadata.namespace") for policy in stack.all(POLICY) if _closes(policy)]
    for pod in pods(stack):
        namespace = pod.resource.get("metadata.namespace")
        if namespace is not UNKNOWN and namespace not in closed:
            yield Finding(
                resource=pod.resource.name,
                urn=pod.resource.urn,
                what=f"namespace {namespace} has no NetworkPolicy that admits nobody",
                fix="Declare one with an empty podSelector; each server then names its clients",
            )


RULES = (
    Rule(
        name="containers-request-resources",
        reason="Without requests a node is overbooked, without a limit one leak takes its neighbours along",
        check=_containers_request_resources,
        excusable=True,
    ),
    Rule(
        name="pods-are-restricted",
        reason="A flaw in a process that is root reaches further",
        check=_pods_are_restricted,
    ),
    Rule(
        name="namespaces-are-restricted",
        reason="Kubernetes itself then refuses privileged pods, whoever starts them",
        check=_namespaces_are_restricted,
    ),
    Rule(
        name="namespaces-admit-nobody",
        reason="Redis and PostgreSQL would be open to every pod of the cluster",
        check=_namespaces_admit_nobody,
    ),
)
