"""Helm revisions that an interrupted or failed command left in the cluster."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ops.kubernetes import Kubernetes
from ops.shell import output

RELEASE = "kubernetes:helm.sh/v3:Release"
PENDING = ("pending-install", "pending-upgrade", "pending-rollback")


def continue_releases(
    cluster: Kubernetes, releases: Mapping[str, str], creating: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Let the next revision continue from what an interrupted or failed one has changed.

    `releases` maps the releases of the stack to their namespaces; `creating` lists the resources
    that Pulumi was creating. The Kubernetes provider outlives a killed command by seconds: a
    release in `creating` may be deployed although the Pulumi state does not contain it.

    Returns a line for each change.
    """
    unrecorded = {r["inputs"]["name"] for r in creating if r["type"] == RELEASE}
    changes: list[str] = []
    for release, namespace in releases.items():
        found = cluster.items("secret", f"owner=helm,name={release}", namespace)
        *former, newest = sorted(found, key=lambda secret: int(_label(secret, "version"))) or [{}]
        deployed = [secret for secret in former if _label(secret, "status") == "deployed"]
        if release in unrecorded:
            changes += [_delete(cluster, secret) for secret in found]
        elif newest and _label(newest, "status") in (*PENDING, "failed") and deployed:
            # Helm compares the next revision with the last one that is `deployed`: fields that only
            # the unfinished one has set, such as variables of a container, would stay.
            for secret in deployed:
                _set_status(cluster, secret, "superseded")
            _set_status(cluster, newest, "deployed")
            changes.append(f"continuing from the unfinished Helm revision {_name(newest)}")
        elif newest and _label(newest, "status") in PENDING:
            changes.append(_delete(cluster, newest))
    return changes


def _name(secret: Mapping[str, Any]) -> str:
    return secret["metadata"]["name"]


def _label(secret: Mapping[str, Any], label: str) -> str:
    return secret["metadata"]["labels"][label]


def _delete(cluster: Kubernetes, secret: Mapping[str, Any]) -> str:
    where = ["--namespace", secret["metadata"]["namespace"]]
    output(cluster.command("delete", "secret", _name(secret), *where), seconds=30)
    return f"deleted the Helm revision {_name(secret)} of an interrupted command"


def _set_status(cluster: Kubernetes, secret: Mapping[str, Any], status: str) -> None:
    """In the label, and in the release: https://helm.sh/docs/topics/advanced/#storage-backends"""
    packed = secret["data"]["release"]
    content = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(packed))))
    content["info"]["status"] = status
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    change = {
        "metadata": {"labels": {"status": status}},
        "data": {"release": base64.b64encode(packed).decode()},
    }
    # Larger than a command line may be.
    words = ["--namespace", secret["metadata"]["namespace"], "--type=merge"]
    command = cluster.command("patch", "secret", _name(secret), *words, "--patch-file=/dev/stdin")
    output(command, seconds=30, stdin=json.dumps(change))
