"""Compares the queues that DAG authors may use with the queues of a stack."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

# `make check` in the DAG repository rejects queues that this file does not list.
FILE = "platform.yaml"


def differences(dags: Path, stack: str, served: Collection[str]) -> Iterator[str]:
    """Queues that only the DAG repository or only the stack has."""
    listed = _listed(dags / FILE)
    if listed is None:
        return
    for queue in sorted(listed - set(served)):
        yield (
            f"{dags / FILE}: queues: {queue!r} has no workers in {stack}, so its tasks would never "
            f"start. Add queues.{queue} to Pulumi.{stack}.yaml, or remove it from this list"
        )
    for queue in sorted(set(served) - listed):
        yield (
            f"{dags / FILE}: queues: lacks {queue!r} of {stack}, so `make check` of the DAGs rejects "
            "tasks for it. Add it to this list"
        )


def _listed(file: Path) -> set[str] | None:
    """Queues in the file; None if it is missing or invalid, which `make check` reports."""
    try:
        content: Any = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    queues = content.get("queues") if isinstance(content, dict) else None
    return set(map(str, queues)) if isinstance(queues, list) else None
