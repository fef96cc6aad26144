"""Queues that DAG authors are told of, and queues that a stack serves. Imports no DAG."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

FILE = (
    "platform.yaml"  # `make check` in the repository of the DAGs refuses a queue that is not in it
)


def differences(dags: Path, stack: str, served: Collection[str]) -> Iterator[str]:
    """What is wrong with the queues of a repository of DAGs, as seen from a stack."""
    told = _told(dags / FILE)
    if told is None:
        return
    for queue in sorted(told - set(served)):
        yield (
            f"{dags / FILE}: queues: has {queue!r}, and no worker of {stack} takes tasks from it: they would "
            f"wait for ever. Add queues.{queue} to Pulumi.{stack}.yaml, or take it out there"
        )
    for queue in sorted(set(served) - told):
        yield (
            f"{dags / FILE}: queues: lacks {queue!r}, which {stack} serves: `make check` of the DAGs refuses "
            "tasks for it. Add it there"
        )


def _told(file: Path) -> set[str] | None:
    """None: there is no such file, or it is broken, which is for `make check` over there to tell."""
    try:
        given: Any = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    queues = given.get("queues") if isinstance(given, dict) else None
    return set(map(str, queues)) if isinstance(queues, list) else None
