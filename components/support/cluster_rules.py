"""Applies the section `kubernetes` to every pod and namespace.

docs/adr/0031-one-place-for-the-rules-of-a-cluster.md
"""

from collections.abc import Mapping
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.support.hardened_pod import input_digest
from policies.chart_values import merge
from settings.kubernetes import KubernetesSettings

# A container with one busy thread never needs more than one core, whatever it requests: a lower limit
# would stop it for most of each 100 ms, and its probes would time out. Several processes (a worker,
# an API server) may use twice what they request.
# https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-limits-are-run
CPU_LIMIT_MILLIS, CPU_LIMIT_FACTOR = 1000, 2

Values = dict[str, Any]


def cpu_limit(request: Any) -> str:
    """The CPU limit of a container with this request, such as `50m` or `2`."""
    text = str(request)
    millis = float(text[:-1]) if text.endswith("m") else 1000 * float(text)
    return f"{max(round(CPU_LIMIT_FACTOR * millis), CPU_LIMIT_MILLIS)}m"


def apply_to_objects(settings: KubernetesSettings) -> None:
    """Change each namespace and pod template that the program declares from now on."""
    of_pods = settings.model_dump(include={"pod_labels", "pod_annotations", "cpu_limits"})

    def changed(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        props = cast(Mapping[str, Any], args.props)
        if isinstance(args.resource, k8s.core.v1.Namespace):
            _add(props["metadata"], settings.namespace_labels, settings.namespace_annotations)
        spec = props.get("spec")
        job = getattr(spec, "job_template", None)  # of a CronJob
        template = getattr(job.spec if job else spec, "template", None)
        if isinstance(template, core.PodTemplateSpecArgs):
            _add(template.metadata, settings.pod_labels, settings.pod_annotations)
            if settings.cpu_limits:
                _limit(template.spec)
            if isinstance(args.resource, k8s.batch.v1.Job) and any(of_pods.values()):
                # A Job is immutable: with the same name, a changed one could not be created.
                metadata = cast(meta.ObjectMetaArgs, props["metadata"])
                name = cast(pulumi.Input[str], metadata.name)
                metadata.name = pulumi.Output.concat(name, "-", input_digest(of_pods))
        return None

    pulumi.runtime.register_stack_transformation(changed)


def _add(metadata: Any, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    found = cast(meta.ObjectMetaArgs, metadata)
    if labels:
        found.labels = {**cast(Values, found.labels or {}), **labels}
    if annotations:
        found.annotations = {**cast(Values, found.annotations or {}), **annotations}


def _limit(spec: Any) -> None:
    for container in (*(spec.init_containers or ()), *spec.containers):
        resources = container.resources
        limit = {"cpu": cpu_limit(resources.requests["cpu"])}
        resources.limits = {**limit, **(resources.limits or {})}


def pod_values(settings: KubernetesSettings) -> Values:
    """Values of the Airflow chart: labels and annotations of its pods."""
    values: Values = {}
    if settings.pod_labels:
        values["labels"] = dict(settings.pod_labels)
    if settings.pod_annotations:
        # The chart evaluates braces.
        literal = {
            key: text.replace("{{", '{{ "{{" }}') for key, text in settings.pod_annotations.items()
        }
        values |= {"airflowPodAnnotations": literal, "statsd": {"podAnnotations": literal}}
    return values


def keda_values(settings: KubernetesSettings) -> Values:
    """Values of the KEDA chart, whose containers have CPU limits by default."""
    parts = ("keda", "metricsAdapter")
    given = {"podLabels": settings.pod_labels, "podAnnotations": settings.pod_annotations}
    return {key: {part: dict(each) for part in parts} for key, each in given.items() if each}


def with_cpu_limits(below: Values, wired: Values) -> Values:
    """`wired`, with a CPU limit for every container of the Airflow chart.

    `below` are the values of the files, in which most containers have their requests.
    """
    values = merge(wired, _limits(merge(below, wired)))
    celery = values["workers"]["celery"]
    sets = [merge(each, _limits(each)) for each in celery["sets"]]
    return merge(values, {"workers": {"celery": {"sets": sets}}})


def _limits(values: Values) -> Values:
    """The CPU limits alone, where the values have requests."""
    found: Values = {}
    for key, value in values.items():
        if not isinstance(value, dict):
            continue
        inner = cast(Values, value)
        if key == "resources" and "requests" in inner:
            limit = cpu_limit(inner["requests"]["cpu"])
            found[key] = {"limits": {"cpu": limit, **inner.get("limits", {})}}
        elif limits := _limits(inner):
            found[key] = limits
    return found
