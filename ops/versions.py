"""The version of Airflow of a deployed stack, and the journal of `make upgrade`, which changes it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops import stack_files
from ops.kubernetes import Kubernetes
from ops.recovery.helm import RELEASE as TYPE
from ops.session import Session, open_session
from ops.shell import OperationError
from ops.stack import STATE, Stack

RELEASE = "airflow-release"


def deployed_version(stack: Stack) -> str | None:
    """Version of Airflow in the state; None before the first `make up`."""
    for resource in stack.resources():
        if resource["type"] == TYPE and resource["urn"].endswith(f"::{RELEASE}"):
            return resource.get("inputs", {}).get("values", {}).get("defaultAirflowTag")
    return None


def open_deployed(name: str) -> tuple[Session, Kubernetes, str]:
    """Open a deployed stack: also its cluster, and its version of Airflow."""
    session = open_session(name, stack_files.read_settings(name))
    version = deployed_version(session.stack) if session.stack.exists() else None
    cluster = session.cluster()
    if version is None or cluster is None:
        raise OperationError(f"stack {name!r} is not deployed: run `make up STACK={name}` first")
    return session, cluster, version


def check(session: Session) -> None:
    """Raise `OperationError` for an update that would migrate the database without a backup."""
    present, wanted = deployed_version(session.stack), session.settings.airflow.version
    if present in (None, wanted):
        return
    name = session.stack.name
    raise OperationError(
        f"Pulumi.{name}.yaml: airflow.version is {wanted}, and Airflow {present} is deployed. Nothing was "
        f"changed: without a backup there is no way back. Run `make upgrade STACK={name}`, or keep "
        f"the version with airflow.version: {present}"
    )


@dataclass(frozen=True, kw_only=True)
class Journal:
    """An upgrade that has begun, or the last one. `after` is the version that it installs."""

    before: str
    after: str
    was_paused: bool = False
    # Files with errors before the pause; None: the upgrade has not begun.
    import_errors: tuple[str, ...] | None = None
    rehearsed: bool = False
    # When the schedulers stopped, in UTC.
    paused_at: str | None = None
    backup: str | None = None
    finished: bool = False

    @staticmethod
    def of(stack: str) -> "Journal | None":
        file = journal_file(stack)
        return Journal(**json.loads(file.read_text())) if file.exists() else None

    def write(self, stack: str) -> "Journal":
        record(journal_file(stack), asdict(self))
        return self


def check_finished(stack: str) -> None:
    """Raise `OperationError` if an upgrade of the stack has not finished."""
    journal = Journal.of(stack)
    if journal is not None and not journal.finished:
        raise OperationError(
            f"the upgrade from {journal.before} to {journal.after} has not finished: run `make upgrade "
            f"STACK={stack}` or `make rollback STACK={stack}` first. Nothing was changed"
        )


def record(file: Path, values: Mapping[str, Any]) -> None:
    """Write a file of `.state/`, which a kill leaves as it was or complete."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(values))
    part.rename(file)


def journal_file(stack: str) -> Path:
    return STATE / f"upgrade-{stack}.json"
