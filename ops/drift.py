"""Detects and reverts drift inside the Helm release, which `pulumi refresh` cannot detect."""

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

import yaml

from ops.kubernetes import Kubernetes
from ops.shell import OperationError, attempt, output

SECONDS = 120
# Completed Jobs are deleted by their TTL, and must not run again.
RUN_ONCE = {"Job"}


def release(cluster: Kubernetes) -> list[dict[str, Any]]:
    """Objects of the release `airflow` as last applied by Helm."""
    (secret,) = cluster.items("secret", "owner=helm,name=airflow,status=deployed")
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    text = json.loads(gzip.decompress(packed))["manifest"]
    return [found for found in yaml.safe_load_all(text) if found]


def manifest(cluster: Kubernetes) -> list[dict[str, Any]]:
    """Objects of the release that stay."""
    return [found for found in release(cluster) if found["kind"] not in RUN_ONCE]


def differences(cluster: Kubernetes, objects: Sequence[dict[str, Any]]) -> str:
    """Diff from the cluster to the objects that Helm applied; empty without drift."""
    command = cluster.command(
        "diff", "--namespace", cluster.namespace, "--server-side", *_as_helm()
    )
    done = attempt(command, seconds=SECONDS, stdin=_list(objects))
    if done.returncode > 1:
        raise OperationError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def restore(cluster: Kubernetes, objects: Sequence[dict[str, Any]]) -> None:
    command = cluster.command(
        "apply", "--namespace", cluster.namespace, "--server-side", *_as_helm()
    )
    output(command, seconds=SECONDS, stdin=_list(objects))


def _as_helm() -> list[str]:
    # As field manager `helm`, kubectl returns the ownership of changed fields to Helm.
    return ["--force-conflicts", "--field-manager=helm", "--filename=-"]


def _list(objects: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
