"""All Kubernetes objects of a stack: those of the program, and those of the rendered charts."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ops.plan.mock_engine import Secret, StackSnapshot
from ops.plan.report import airflow_values
from policies.chart_values import RELEASE
from settings.versions import AIRFLOW_CHART, KEDA_CHART, KUBERNETES

Objects = list[dict[str, Any]]
SETTING = "automountServiceAccountToken"
WORKLOADS = ("CronJob", "DaemonSet", "Deployment", "Job", "StatefulSet")
# Without a namespace. `helm template` prints none for other objects either.
CLUSTER_WIDE = (
    "ClusterRole",
    "ClusterRoleBinding",
    "IngressClass",
    "IngressClassParams",
    "Namespace",
    "NodeClass",
    "NodePool",
    "StorageClass",
)


def objects(snapshot: StackSnapshot, charts: Path) -> Objects:
    found = [*_of_the_program(snapshot), *_of_the_charts(snapshot, charts)]
    return with_token_settings(found)


def with_token_settings(objects: Objects) -> Objects:
    """Set in each pod what its ServiceAccount says of the token: checkov reads only the pod.

    https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/
    """
    accounts = {
        (each["metadata"].get("namespace"), each["metadata"]["name"]): each.get(SETTING)
        for each in objects
        if each["kind"] == "ServiceAccount"
    }
    for each in objects:
        pod = _pod(each)
        if pod is not None and SETTING not in pod:
            account = (each["metadata"].get("namespace"), pod.get("serviceAccountName", "default"))
            if accounts.get(account) is not None:
                pod[SETTING] = accounts[account]
    return objects


def _pod(workload: dict[str, Any]) -> dict[str, Any] | None:
    spec = workload.get("spec", {})
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec["template"]["spec"] if workload["kind"] in WORKLOADS else None


def _of_the_program(snapshot: StackSnapshot) -> Objects:
    return [
        _plain(resource.inputs)
        for resource in snapshot.resources.values()
        if resource.type.startswith("kubernetes:") and resource.type != RELEASE
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return "secret"
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _of_the_charts(snapshot: StackSnapshot, charts: Path) -> Objects:
    rendered = _template("airflow", charts / AIRFLOW_CHART.archive, airflow_values(snapshot))
    for release in snapshot.all(RELEASE):
        if release.name == "keda-release":
            archive = charts / KEDA_CHART.archive
            rendered += _template("keda", archive, _plain(release.inputs["values"]))
    return rendered


def _template(release: str, chart: Path, values: dict[str, Any]) -> Objects:
    command = ["helm", "template", release, str(chart), "--namespace", release, "--values", "-"]
    done = subprocess.run(
        [*command, "--kube-version", f"{KUBERNETES}.0"],
        input=json.dumps(_plain(values)),
        env={**os.environ, "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    found = [each for each in yaml.safe_load_all(done.stdout) if each]
    for each in found:
        if each["kind"] not in CLUSTER_WIDE:
            each["metadata"].setdefault("namespace", release)
    return [each for each in found if each["kind"] != "CustomResourceDefinition"]
