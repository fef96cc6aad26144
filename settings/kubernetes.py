"""Section `kubernetes`: what the rules of a cluster demand of every pod and namespace."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from settings.types import Section

# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_PART = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_KEY = rf"({_DOMAIN}/)?{_PART}"
# Of this program, of the charts and of Kubernetes: selectors, disruption budgets and NetworkPolicies
# find pods by them.
POD_LABELS = (
    *("app", "chart", "component", "executor", "heritage", "release", "tier", "worker-set", "name"),
    *("controller-revision-hash", "controller-uid", "job-name", "pod-template-hash"),
)
POD_ANNOTATIONS = ("cluster-autoscaler.kubernetes.io/safe-to-evict", "karpenter.sh/do-not-disrupt")
LABEL_DOMAINS = ("kubernetes.io", "k8s.io", "helm.sh", "airflow-platform")
ANNOTATION_DOMAINS = ("checksum", "pulumi.com", "kubectl.kubernetes.io", "meta.helm.sh")


def _key(key: str) -> str:
    if not re.fullmatch(_KEY, key) or len(key.rpartition("/")[0]) > 253:
        raise ValueError(
            "should be a key of Kubernetes: up to 63 letters, digits, `-`, `_` and `.`, after an optional "
            "domain, such as example.com/team"
        )
    return key


def _in(key: str, domains: tuple[str, ...]) -> bool:
    domain = key.rpartition("/")[0]
    return any(domain == each or domain.endswith(f".{each}") for each in domains)


def _free(key: str, *, is_taken: bool) -> str:
    if is_taken:
        raise ValueError(
            "belongs to Kubernetes, this program or a chart, which find or restart pods by it; use "
            "another key, such as example.com/team"
        )
    return _key(key)


def _pod_label(key: str) -> str:
    return _free(key, is_taken=key in POD_LABELS or _in(key, LABEL_DOMAINS))


def _pod_annotation(key: str) -> str:
    return _free(key, is_taken=key in POD_ANNOTATIONS or _in(key, ANNOTATION_DOMAINS))


def _namespace_label(key: str) -> str:
    if _in(key, ("pod-security.kubernetes.io",)):
        raise ValueError(
            "is set by this program: its namespaces enforce the Pod Security Standard restricted, which "
            "all of its pods meet; remove this label"
        )
    return _free(key, is_taken=_in(key, LABEL_DOMAINS))


def _namespace_annotation(key: str) -> str:
    return _free(key, is_taken=_in(key, ANNOTATION_DOMAINS))


def _label_value(value: str) -> str:
    if value and not re.fullmatch(_PART, value):
        raise ValueError(
            "should be a label value of Kubernetes: up to 63 letters, digits, and inner `-`, `_` and `.`"
        )
    return value


LabelValue = Annotated[str, AfterValidator(_label_value)]


class KubernetesSettings(Section):
    """Demands of a cluster on every pod and namespace of the stack (docs/clusters.md)"""

    pod_labels: dict[Annotated[str, AfterValidator(_pod_label)], LabelValue] = Field(
        default={}, description="Labels of all pods: `key: value`; a change restarts all pods"
    )
    pod_annotations: dict[Annotated[str, AfterValidator(_pod_annotation)], str] = Field(
        default={}, description="Annotations of all pods: `key: value`; a change restarts all pods"
    )
    namespace_labels: dict[Annotated[str, AfterValidator(_namespace_label)], LabelValue] = Field(
        default={}, description="Labels of the namespaces of the stack: `key: value`"
    )
    namespace_annotations: dict[Annotated[str, AfterValidator(_namespace_annotation)], str] = Field(
        default={}, description="Annotations of the namespaces of the stack: `key: value`"
    )
    cpu_limits: bool = Field(
        default=False,
        description="A CPU limit for every container: twice its request, and at least one core",
    )
