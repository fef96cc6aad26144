"""Stale locks of a backend in a directory; other backends do not expose theirs."""

import json
import os
from pathlib import Path
from typing import Any

from ops.shell import OperationError
from ops.stack import Stack


def release_stale_lock(stack: Stack) -> bool:
    """Remove the lock of a dead process. Raises `OperationError` if the process may be running."""
    locks = _locks(stack)
    for lock in locks:
        if lock["hostname"] != os.uname().nodename or _is_running(lock["pid"]):
            raise OperationError(
                f"stack {stack.name!r} is locked by process {lock['pid']} of "
                f"{lock['username']}@{lock['hostname']} since {lock['timestamp'][:19]}. Wait for it; "
                f"if the process is dead, run: pulumi cancel --stack {stack.name}"
            )
    if locks:
        stack.output("cancel", "--yes", "--stack", stack.name)
    return bool(locks)


def _locks(stack: Stack) -> list[dict[str, Any]]:
    url = stack.env.get("PULUMI_BACKEND_URL", "")
    if not url.startswith("file://"):
        return []
    folder = Path(url.removeprefix("file://"), ".pulumi", "locks")
    return [json.loads(path.read_text()) for path in folder.glob(f"**/{stack.name}/*.json")]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A zombie keeps its process ID until its parent waits for it. Without /proc, assume running.
    stat = Path("/proc", str(pid), "stat")
    return not stat.exists() or stat.read_text().rpartition(") ")[2][:1] != "Z"
