"""Restores a state in which Pulumi and Helm can continue after an interrupted command."""

import json
from collections.abc import Mapping
from typing import Any

from components.kubernetes import keda
from ops.recovery import helm, locks
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack


def unlock(stack: Stack) -> None:
    """Remove a stale lock."""
    if locks.release_stale_lock(stack):
        print("removed the stale lock of an interrupted command")


def recover(session: Session, *, with_cluster: bool = True) -> None:
    """Let Helm continue from an unfinished revision, and remove pending operations."""
    stack = session.stack
    cluster = session.cluster() if with_cluster else None
    creating = interrupted_creates(stack)
    releases = {"airflow": session.settings.cluster.namespace}
    if session.settings.installs_keda:  # otherwise KEDA belongs to another installation
        releases["keda"] = keda.NAMESPACE
    for line in helm.continue_releases(cluster, releases, creating) if cluster else ():
        print(line)
    if not creating:
        return
    print(f"an interrupted command was creating {len(creating)} resources: looking them up")
    providers = [each for each in (cluster, session.account) if each is not None]
    ids: dict[str, str] = {}
    for resource in creating:
        found = next((id_ for each in providers if (id_ := each.identify(resource))), None)
        if found:
            ids[resource["urn"]] = found
    if adopt(stack, ids):
        raise OperationError("could not recover the state, see above; re-run the command")


def interrupted_creates(stack: Stack) -> list[dict[str, Any]]:
    """Resources that an interrupted command was creating and may have created."""
    pending = stack.state().get("pending_operations", [])
    return [operation["resource"] for operation in pending if operation["type"] == "creating"]


def adopt(stack: Stack, ids: Mapping[str, str]) -> int:
    """Record created resources (IDs by URN) in the state, and drop every pending operation.

    `pulumi refresh --import-pending-creates` exists for this, but imports nothing in 3.259.
    """
    exported = stack.export()
    deployment = exported["deployment"]
    for resource in (pending["resource"] for pending in deployment.pop("pending_operations")):
        if resource["urn"] in ids:
            # A restored database has its former password until the end of its creation: the next
            # update sets the one that the state lacks.
            inputs = {k: v for k, v in resource["inputs"].items() if k != "password"}
            created = {"id": ids[resource["urn"]], "inputs": inputs, "outputs": inputs}
            deployment["resources"].append({**resource, **created})
    stack.output("stack", "import", "--stack", stack.name, stdin=json.dumps(exported))
    return stack.run("refresh", "--yes", "--skip-preview")
