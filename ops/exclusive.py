"""One command at a time upgrades, restores or copies the database of a stack.

The command holds a Lease in the namespace of Airflow, and renews it. A Lease without a renewal is
orphaned: its command was killed, and the next one takes it over.
"""

import json
import os
import socket
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ops.kubernetes import Kubernetes
from ops.periodic import every
from ops.shell import OperationError, attempt, output

NAME = "airflow-database"
RENEW_SECONDS = 10
ORPHANED_SECONDS = 3 * RENEW_SECONDS
POLL_SECONDS = 1
# Of a MicroTime of Kubernetes.
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
LOST = "(Conflict)", "(NotFound)"


@contextmanager
def exclusive(cluster: Kubernetes, command: str) -> Generator[None]:
    """Hold the Lease for `command`, such as `make drill`, until the context ends.

    Raises `OperationError` while another command holds it.
    """
    lease = _acquire(cluster, f"`{command}` on {socket.gethostname()}, process {os.getpid()}")
    lost = False

    def renew() -> None:
        nonlocal lease, lost
        if lost:
            return
        lease, reason = _renew(cluster, lease)
        lost = any(text in reason for text in LOST)
        if lost:
            print(f"warning: another command has taken over the Lease {NAME} of {command}")

    try:
        with every(RENEW_SECONDS, renew):
            yield
    finally:
        if not lost:
            where = ["--namespace", cluster.namespace, "--ignore-not-found"]
            attempt(cluster.command("delete", "lease", NAME, *where), seconds=30)


def _acquire(cluster: Kubernetes, holder: str) -> Mapping[str, Any]:
    metadata = {"name": NAME, "namespace": cluster.namespace}
    present = _read(cluster)
    if present is not None and _orphaned(cluster, present):
        # The version makes sure that only one command takes it over.
        metadata["resourceVersion"] = present["metadata"]["resourceVersion"]
    now = f"{datetime.now(UTC):{TIME}}"
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": ORPHANED_SECONDS,
            "acquireTime": now,
            "renewTime": now,
        },
    }
    verb = "replace" if "resourceVersion" in metadata else "create"
    words = [verb, "--namespace", cluster.namespace, "--filename=-", "--output=json"]
    done = attempt(cluster.command(*words), seconds=30, stdin=json.dumps(lease))
    if done.returncode:
        present = _read(cluster)
        raise _refusal(present) if present else OperationError(done.stderr.strip())
    return json.loads(done.stdout)


def _read(cluster: Kubernetes) -> Mapping[str, Any] | None:
    where = ["--namespace", cluster.namespace, "--ignore-not-found", "--output=json"]
    text = output(cluster.command("get", "lease", NAME, *where), seconds=30)
    return json.loads(text) if text.strip() else None


def _orphaned(cluster: Kubernetes, lease: Mapping[str, Any]) -> bool:
    """Wait for a renewal of the Lease, whose clock is that of its holder. False: it was deleted.

    Raises `OperationError` if its holder renews it.
    """
    print(
        f"{_holder(lease)}: waiting up to {ORPHANED_SECONDS} s for its renewal of the Lease {NAME}"
    )
    deadline = time.monotonic() + ORPHANED_SECONDS
    while time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        present = _read(cluster)
        if present is None:
            return False
        if present["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
            raise _refusal(present)
    print("no renewal: the command was killed")
    return True


def _renew(cluster: Kubernetes, lease: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The renewed Lease, or the present one with the reason."""
    change = {
        "metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]},
        "spec": {"renewTime": f"{datetime.now(UTC):{TIME}}"},
    }
    where = ["--namespace", cluster.namespace, "--type=merge", "--output=json"]
    command = cluster.command("patch", "lease", NAME, *where, f"--patch={json.dumps(change)}")
    try:
        done = attempt(command, seconds=RENEW_SECONDS)
    except OperationError as error:
        return lease, str(error)
    return (lease, done.stderr) if done.returncode else (json.loads(done.stdout), "")


def _holder(lease: Mapping[str, Any]) -> str:
    spec = lease["spec"]
    since = datetime.strptime(spec["acquireTime"], TIME)
    return f"{spec['holderIdentity']}, has used the database since {since:%Y-%m-%d %H:%M} UTC"


def _refusal(lease: Mapping[str, Any]) -> OperationError:
    return OperationError(
        f"{_holder(lease)}. Nothing was changed: run the command again when that one has ended"
    )
