"""Whether NetworkPolicies hold for each kind of pod: a namespace of its own, deleted at the end."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.kubernetes.namespace import PART_OF, RESTRICTED
from components.support.cluster_rules import cpu_limit
from ops.kubernetes import Kubernetes
from ops.shell import OperationError, attempt, output
from settings.kubernetes import KubernetesSettings

IN_POD = Path(__file__).parent / "in_pod"
ROLE = "airflow-platform/doctor"
# The kinds of pods that a policy denies, and one that it allows: a closed port proves nothing
# without an open one.
KINDS = ("Deployment", "StatefulSet", "Job", "Pod")
CONTROL = "allowed"
# A node, if there is no room, and the image.
START_SECONDS = 240
RESULT_SECONDS = 120
DELETE_SECONDS = 60
AIRFLOW_UID = 50000


def measure(
    cluster: Kubernetes,
    image: str,
    pull_secret: str | None = None,
    rules: KubernetesSettings | None = None,
) -> dict[str, dict[str, Any]]:
    """By kind: whether the port is open at the end, and when a connection succeeded last.

    `rules`: what the cluster demands of pods and namespaces.
    """
    rules = rules or KubernetesSettings()
    clean_up(cluster)
    try:
        _apply(
            cluster,
            _namespace(cluster, rules),
            *_login(cluster, pull_secret),
            *_policies(),
            ruled(_pod("client", "client", "client.py", image), rules),
        )
        address = _address(cluster)
        servers = [_server(kind, image, address) for kind in KINDS]
        allowed = _pod(CONTROL, CONTROL, "server.py", image, KIND=CONTROL, CLIENT=address)
        _apply(cluster, *(ruled(each, rules) for each in (*servers, allowed)))
        return _results(cluster)
    finally:
        clean_up(cluster)


def namespace(cluster: Kubernetes) -> str:
    """The namespace of the probe: each stack in a cluster has its own."""
    return f"{cluster.namespace}-doctor"


def clean_up(cluster: Kubernetes) -> None:
    """Delete the namespace, also that of a killed run."""
    words = ["delete", "namespace", namespace(cluster), "--ignore-not-found", "--wait"]
    timeout = f"--timeout={DELETE_SECONDS}s"
    output(cluster.command(*words, timeout), seconds=DELETE_SECONDS + 10)


def _apply(cluster: Kubernetes, *objects: dict[str, Any]) -> None:
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    output(cluster.command("apply", *_in(cluster), "--filename", "-"), seconds=60, stdin=manifest)


def _address(cluster: Kubernetes) -> str:
    """Address of the client, once it runs."""
    wait = ["wait", "--for=condition=Ready", "pod/client", f"--timeout={START_SECONDS}s"]
    where = _in(cluster)
    output(cluster.command(*wait, *where), seconds=START_SECONDS + 10)
    words = ["get", "pod", "client", *where, "--output", "jsonpath={.status.podIP}"]
    return output(cluster.command(*words), seconds=30)


def _results(cluster: Kubernetes) -> dict[str, dict[str, Any]]:
    deadline = time.monotonic() + RESULT_SECONDS
    found: dict[str, dict[str, Any]] = {}
    logs = cluster.command("logs", "client", *_in(cluster))
    while len(found) <= len(KINDS) and time.monotonic() < deadline:
        time.sleep(2)
        lines = attempt(logs, seconds=30).stdout.splitlines()
        rows = [json.loads(line.partition(" ")[2]) for line in lines if line.startswith("result:")]
        found = {row["kind"]: row for row in rows}
    if not found.get(CONTROL, {}).get("open"):
        raise OperationError(
            "the pod that a policy allows was not reachable, so a closed port proves nothing"
        )
    return found


def _in(cluster: Kubernetes) -> list[str]:
    return ["--namespace", namespace(cluster)]


def _metadata(name: str, role: str = "server") -> dict[str, Any]:
    return {"name": name, "labels": {**PART_OF, ROLE: role}}


def _namespace(cluster: Kubernetes, rules: KubernetesSettings) -> dict[str, Any]:
    metadata = {
        "name": namespace(cluster),
        "labels": {**RESTRICTED, **rules.namespace_labels},
        "annotations": rules.namespace_annotations,
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def ruled(workload: dict[str, Any], rules: KubernetesSettings) -> dict[str, Any]:
    """A workload whose pod follows the rules of the cluster."""
    pod = workload["spec"].get("template", workload)
    metadata = pod["metadata"]
    metadata["labels"] = {**metadata["labels"], **rules.pod_labels}
    metadata["annotations"] = rules.pod_annotations
    for container in pod["spec"]["containers"] if rules.cpu_limits else ():
        resources = container["resources"]
        resources["limits"]["cpu"] = cpu_limit(resources["requests"]["cpu"])
    return workload


def _login(cluster: Kubernetes, pull_secret: str | None) -> list[dict[str, Any]]:
    """The login to a private registry, for all pods of the namespace."""
    if pull_secret is None:
        return []
    words = ["get", "secret", pull_secret, "--namespace", cluster.namespace, "--output", "json"]
    found = json.loads(output(cluster.command(*words), seconds=30))
    secret = {key: found[key] for key in ("apiVersion", "kind", "type", "data")}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    return [
        {**secret, "metadata": {"name": pull_secret}},
        {**account, "imagePullSecrets": [{"name": pull_secret}]},
    ]


def _policies() -> list[dict[str, Any]]:
    """All pods are closed; the client and the control accept connections of this namespace."""
    of_namespace: list[dict[str, Any]] = [{"from": [{"podSelector": {}}]}]
    allowed = {"matchExpressions": [{"key": ROLE, "operator": "In", "values": ["client", CONTROL]}]}
    rules: dict[str, dict[str, Any]] = {
        "deny-ingress": {"podSelector": {}},
        "allow": {"podSelector": allowed, "ingress": of_namespace},
    }
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": _metadata(name),
            "spec": {**spec, "policyTypes": ["Ingress"]},
        }
        for name, spec in rules.items()
    ]


def _pod(name: str, role: str, script: str, image: str, **env: str) -> dict[str, Any]:
    spec = _pod_spec(script, image, env)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(name, role), "spec": spec}


def _server(kind: str, image: str, client: str) -> dict[str, Any]:
    name = kind.lower()
    spec = _pod_spec("server.py", image, {"KIND": kind, "CLIENT": client})
    labels = {ROLE: "server", "kind": name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    selected = {"selector": {"matchLabels": labels}, "template": template}
    specs: dict[str, dict[str, Any]] = {
        "Deployment": {"replicas": 1, **selected},
        "StatefulSet": {"replicas": 1, "serviceName": name, **selected},
        "Job": {"backoffLimit": 0, "template": template},
        "Pod": spec,
    }
    versions = {"Job": "batch/v1", "Pod": "v1"}
    if kind not in ("Pod", "Job"):
        del spec["restartPolicy"]
    return {
        "apiVersion": versions.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": _metadata(name),
        "spec": specs[kind],
    }


def _pod_spec(script: str, image: str, env: Mapping[str, str]) -> dict[str, Any]:
    variables: list[dict[str, Any]] = [{"name": key, "value": text} for key, text in env.items()]
    field = {"fieldRef": {"fieldPath": "status.podIP"}}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": AIRFLOW_UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "python",
                "image": image,
                "command": ["python", "-u", "-c", (IN_POD / script).read_text()],
                "env": [*variables, {"name": "POD_IP", "valueFrom": field}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {
                    "requests": {"cpu": "10m", "memory": "64Mi"},
                    "limits": {"memory": "64Mi"},
                },
            }
        ],
    }
