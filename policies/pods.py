"""Rules for the pods of the program and of the Helm charts."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from policies import chart_values
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, as_list, at, describe, differs

# Resource types with a pod spec, and its path.
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
ENFORCE = "pod-security.kubernetes.io/enforce"
# Parts of the Airflow chart with containers, and the value that enables each. Workers: see
# chart_values.worker_sets.
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
REQUIRED = ("requests.cpu", "requests.memory", "limits.memory")


class Pod(NamedTuple):
    """A resource that creates pods, and their spec."""

    resource: Resource
    spec: dict[str, Any]


def pods(stack: Stack) -> Iterator[Pod]:
    for resource in stack.all(*TEMPLATES):
        spec = resource.get(TEMPLATES[resource.type])
        if isinstance(spec, dict):
            yield Pod(resource, spec)


def containers(pod: Pod) -> list[dict[str, Any]]:
    return [*as_list(pod.spec.get("containers")), *as_list(pod.spec.get("initContainers"))]


def _chart_containers(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The path and the values of each container."""
    for part, switch in CHART_CONTAINERS.items():
        if switch is None or at(values, switch):
            yield part, at(values, part)
    for part, given in chart_values.worker_sets(values):
        yield part, given
        yield f"{part}.logGroomerSidecar", given.get("logGroomerSidecar")


def _containers_request_resources(stack: Stack) -> Iterator[Finding]:
    for pod in pods(stack):
        for container in containers(pod):
            for path in REQUIRED:
                if not at(container, f"resources.{path}"):
                    yield Finding(
                        resource=pod.resource.name,
                        urn=pod.resource.urn,
                        what=describe(f"{container.get('name')}: resources.{path}", None),
                        fix="Measure the usage and set it",
                    )
    for release, values in chart_values.of_airflow(stack):
        for part, given in _chart_containers(values):
            for path in REQUIRED:
                if not at(given, f"resources.{path}"):
                    yield Finding(
                        resource=release.name,
                        urn=release.urn,
                        what=describe(f"{part}.resources.{path}", None),
                        fix="Set it in values/",
                    )


def _pods_are_unprivileged(stack: Stack) -> Iterator[Finding]:
    for pod in pods(stack):
        value = at(pod.spec, "securityContext.runAsNonRoot")
        if differs(value, True):
            yield Finding(
                resource=pod.resource.name,
                urn=pod.resource.urn,
                what=describe("securityContext.runAsNonRoot", value),
                fix="Set it to true",
            )
        for container in containers(pod):
            value = at(container, "securityContext.allowPrivilegeEscalation")
            if differs(value, False):
                name = f"{container.get('name')}: securityContext.allowPrivilegeEscalation"
                yield Finding(
                    resource=pod.resource.name,
                    urn=pod.resource.urn,
                    what=describe(name, value),
                    fix="Set it to false",
                )


def _namespaces_enforce_restricted(stack: Stack) -> Iterator[Finding]:
    for namespace in stack.all(NAMESPACE):
        labels = namespace.get("metadata.labels")
        value = UNKNOWN if labels is UNKNOWN else (labels or {}).get(ENFORCE)
        if differs(value, "restricted"):
            yield Finding(
                resource=namespace.name,
                urn=namespace.urn,
                what=describe(ENFORCE, value),
                fix="Set the label to restricted",
            )


def _is_default_deny(policy: Resource) -> bool:
    """Whether a NetworkPolicy selects every pod of its namespace and allows no ingress."""
    selector = policy.get("spec.podSelector")
    types = as_list(policy.get("spec.policyTypes"))
    return selector == {} and "Ingress" in types and not policy.get("spec.ingress")


def _default_deny(stack: Stack) -> Iterator[Finding]:
    """Declared namespaces, also those whose pods are in a chart, and namespaces of declared pods."""
    policies = [policy for policy in stack.all(POLICY) if _is_default_deny(policy)]
    denied = [policy.get("metadata.namespace") for policy in policies]
    depends_on = {urn for policy in policies for urn in policy.depends_on}
    namespaces = stack.all(NAMESPACE)
    open_to_all = [
        (namespace, namespace.get("metadata.name"))
        for namespace in namespaces
        # In the preview of a new cluster, the namespace of a policy is unknown.
        if not (UNKNOWN in denied and namespace.urn in depends_on)
    ]
    declared = [namespace.get("metadata.name") for namespace in namespaces]
    open_to_all += [
        (pod.resource, name)
        for pod in pods(stack)
        if (name := pod.resource.get("metadata.namespace")) not in declared
    ]
    for resource, name in open_to_all:
        if name is not UNKNOWN and name not in denied:
            yield Finding(
                resource=resource.name,
                urn=resource.urn,
                what=f"namespace {name} has no NetworkPolicy that denies all ingress",
                fix="Add a NetworkPolicy with podSelector {} and no ingress rules; then allow the clients",
            )


RULES = (
    Rule(
        name="containers-request-resources",
        reason="Without requests a node is overcommitted; without a limit a memory leak affects other pods",
        check=_containers_request_resources,
        excusable=True,
    ),
    Rule(
        name="pod-security-context-restricted",
        former_name="pods-are-restricted",
        reason="Processes that run as root or gain privileges make container escapes easier",
        check=_pods_are_unprivileged,
    ),
    Rule(
        name="namespace-pod-security-restricted",
        former_name="namespaces-are-restricted",
        reason="Kubernetes rejects privileged pods only in namespaces with this label",
        check=_namespaces_enforce_restricted,
    ),
    Rule(
        name="default-deny-network-policy",
        former_name="namespaces-admit-nobody",
        reason="Without the policy, every pod of the cluster can connect to Redis and PostgreSQL",
        check=_default_deny,
    ),
)
