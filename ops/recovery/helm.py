"""Helm revisions that an interrupted command left in the cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

from ops.kubernetes import Kubernetes
from ops.shell import output

RELEASE = "kubernetes:helm.sh/v3:Release"
PENDING = "status in (pending-install,pending-upgrade,pending-rollback)"


def clear_interrupted_releases(
    cluster: Kubernetes, releases: Mapping[str, str], creating: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Delete interrupted Helm revisions, so that the next revision adopts their objects.

    `releases` maps the releases of the stack to their namespaces; `creating` lists the resources
    that Pulumi was creating. The Kubernetes provider outlives a killed command by seconds: a
    release in `creating` may be deployed although the Pulumi state does not contain it.

    Returns the names of the deleted revisions.
    """
    unrecorded = {r["inputs"]["name"] for r in creating if r["type"] == RELEASE}
    deleted: list[str] = []
    for release, namespace in releases.items():
        status = [] if release in unrecorded else [PENDING]
        selector = ",".join(["owner=helm", f"name={release}", *status])
        for secret in cluster.items("secret", selector, namespace):
            name = secret["metadata"]["name"]
            output(cluster.command("delete", "secret", name, "--namespace", namespace), seconds=30)
            deleted.append(name)
    return deleted
