"""Objects of a Helm release that somebody changed in the cluster: Pulumi sees the release only."""

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

import yaml

from ops.kubernetes import NAMESPACE, Kubernetes
from ops.shell import OperationError, attempt, output

SECONDS = 120
# They clean themselves up, and must not run again.
DONE_ONCE = {"Job"}


def manifest(cluster: Kubernetes) -> list[dict[str, Any]]:
    """The objects of the release `airflow` as Helm last applied them."""
    (secret,) = cluster.items("secret", "owner=helm,name=airflow,status=deployed")
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    text = json.loads(gzip.decompress(packed))["manifest"]
    return [o for o in yaml.safe_load_all(text) if o and o["kind"] not in DONE_ONCE]


def differences(cluster: Kubernetes, objects: Sequence[dict[str, Any]]) -> str:
    """A diff from what is in the cluster to what Helm applied; empty where nothing differs."""
    command = cluster.command("diff", "--namespace", NAMESPACE, "--server-side", *_ours())
    done = attempt(command, seconds=SECONDS, stdin=_text(objects))
    if done.returncode > 1:
        raise OperationError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def restore(cluster: Kubernetes, objects: Sequence[dict[str, Any]]) -> None:
    command = cluster.command("apply", "--namespace", NAMESPACE, "--server-side", *_ours())
    output(command, seconds=SECONDS, stdin=_text(objects))


def _ours() -> list[str]:
    # Helm's own name: fields that somebody else took over come back to it.
    return ["--force-conflicts", "--field-manager=helm", "--filename=-"]


def _text(objects: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
