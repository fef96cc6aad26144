"""Rights in an existing cluster: what `make up` creates there, read before anything is changed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops.kubernetes import Kubernetes
from ops.session import Session
from ops.shell import OperationError, attempt
from settings import Settings
from settings.keda import KEDA_NAMESPACE

SECONDS = 60
VERBS = ("get", "create", "patch", "delete")
# Objects of each stack in its namespace.
IN_NAMESPACE = (
    *("configmaps", "persistentvolumeclaims", "secrets", "serviceaccounts", "services"),
    *("deployments.apps", "statefulsets.apps", "cronjobs.batch", "jobs.batch"),
    *("networkpolicies.networking.k8s.io", "poddisruptionbudgets.policy"),
    *("rolebindings.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io"),
)
BY_SCALING = {
    "queue": "scaledobjects.keda.sh",
    "cpu": "horizontalpodautoscalers.autoscaling",
}
# Objects in the namespace of task pods.
FOR_TASK_PODS = (
    *("limitranges", "resourcequotas", "networkpolicies.networking.k8s.io"),
    *("rolebindings.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io"),
)
# And with a login to a private registry:
TO_PULL = ("secrets", "serviceaccounts")
# Objects of KEDA in its namespace. Helm keeps its releases in Secrets.
FOR_KEDA = (
    *("configmaps", "secrets", "serviceaccounts", "services", "deployments.apps"),
    *("networkpolicies.networking.k8s.io",),
    *("rolebindings.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io"),
)
# Objects of KEDA without a namespace, and in the namespace kube-system.
OF_KEDA = (
    "customresourcedefinitions.apiextensions.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "apiservices.apiregistration.k8s.io",
)
OF_KEDA_IN_KUBE_SYSTEM = "rolebindings.rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Right:
    verb: str
    # With its API group: `jobs.batch`.
    resource: str
    namespace: str = ""

    @property
    def review(self) -> dict[str, Any]:
        """https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access"""
        resource, _, group = self.resource.partition(".")
        attributes = {"verb": self.verb, "resource": resource, "group": group}
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {**attributes, "namespace": self.namespace}},
        }


def check(session: Session) -> None:
    """Raise `OperationError` with every right that the user of an existing cluster lacks."""
    cluster = session.cluster()
    if not session.on_existing_cluster or cluster is None:
        return
    deployed = {resource["urn"].rpartition("::")[2] for resource in session.stack.resources()}
    missing = _missing(cluster, [*needed(session.settings, deployed)])
    if missing:
        raise OperationError(
            "\n".join(
                [
                    f"the user of context {cluster.name!r} lacks rights in the cluster. Nothing was "
                    "changed. Ask its administrator for (docs/clusters.md, Rights):",
                    *(f"  {line}" for line in _lines(missing)),
                ]
            )
        )


def needed(settings: Settings, deployed: set[str]) -> Iterator[Right]:
    """What an update may create. `deployed`: resources of the program that exist."""
    namespace = settings.cluster.namespace
    scaled = {BY_SCALING.get(queue.scaling) for queue in settings.all_queues.values()} - {None}
    kinds: dict[str, tuple[str, ...]] = {namespace: (*IN_NAMESPACE, *sorted(filter(None, scaled)))}
    namespaces = ["namespace-namespace"] if settings.creates_namespace else []
    if settings.pod_queues:
        to_pull = TO_PULL if settings.images.pull_secret else ()
        kinds[settings.task_namespace] = (*FOR_TASK_PODS, *to_pull)
        namespaces.append("task-pods-namespace")
    if settings.installs_keda:
        kinds[KEDA_NAMESPACE] = FOR_KEDA
        namespaces.append("keda-namespace")
        if "keda-release" not in deployed:
            yield from (Right("create", kind) for kind in OF_KEDA)
            yield Right("create", OF_KEDA_IN_KUBE_SYSTEM, "kube-system")
    if not deployed.issuperset(namespaces):
        yield Right("create", "namespaces")
    for where, resources in kinds.items():
        yield from (Right(verb, each, where) for each in resources for verb in VERBS)


def _missing(cluster: Kubernetes, rights: list[Right]) -> list[Right]:
    reviews = {"apiVersion": "v1", "kind": "List", "items": [each.review for each in rights]}
    words = ["create", "--filename", "-", "--output", 'jsonpath={.status.allowed}{"\\n"}']
    done = attempt(cluster.command(*words), seconds=SECONDS, stdin=json.dumps(reviews))
    answers = done.stdout.split()
    if len(answers) != len(rights):
        print(f"note: rights in the cluster: not checked. {done.stderr.strip()}".rstrip(". "))
        return []
    return [right for right, answer in zip(rights, answers, strict=True) if answer != "true"]


def _lines(missing: list[Right]) -> Iterator[str]:
    """Missing rights by place and verbs."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in missing:
        verbs.setdefault((right.namespace, right.resource), []).append(right.verb)
    resources: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (namespace, resource), each in verbs.items():
        resources.setdefault((namespace, tuple(each)), []).append(resource)
    for (namespace, each), of in resources.items():
        where = f"in namespace {namespace}" if namespace else "in the cluster"
        yield f"{where}: {', '.join(each)} of {', '.join(of)}"
