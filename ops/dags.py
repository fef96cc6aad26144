"""Delivery of the DAG repositories, as the relay sees it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.airflow import dag_relay
from ops.columns import aligned
from ops.session import open_running
from ops.shell import OperationError, attempt

# Runs in the relay. Arguments: for each repository the published one, and two files with reasons.
READ = f"""
import json, pathlib, subprocess, sys
def text(path):
    path = pathlib.Path(path)
    return path.read_text() if path.exists() else ""
def head(path):
    words = ["git", "--git-dir", path, "log", "-1", "--format=%h%x09%cI%x09%s", "{dag_relay.BRANCH}"]
    return subprocess.run(words, capture_output=True, text=True).stdout
paths = sys.argv[1:]
print(json.dumps([
    {{"head": head(a), "rejected": text(b), "error": text(c)}}
    for a, b, c in zip(paths[::3], paths[1::3], paths[2::3])
]))
"""
SECONDS = 30
HEAD = ("repository", "published", "committed", "subject")


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """`rejected` and `error` are empty if the newest commit is published."""

    repository: str
    head: str
    rejected: str
    error: str

    @property
    def row(self) -> tuple[str, ...]:
        commit, committed, subject = self.head.rstrip("\n").split("\t", 2)
        return (self.repository, commit, committed, subject)

    @property
    def problem(self) -> str | None:
        if self.rejected:
            return self.rejected.strip()
        if self.error:
            return f"the last fetch failed: {_reason(self.error)}"
        return None


def dags(name: str) -> int:
    """Show the published commit of each DAG repository, and why a newer one is not published."""
    stack = open_running(name)
    names = list(stack.settings.dags.all_repositories)
    paths = [
        function(repository)
        for repository in names
        for function in (
            dag_relay.published_path,
            dag_relay.rejected_path,
            dag_relay.fetch_error_path,
        )
    ]
    where = ["--namespace", stack.cluster.namespace, f"{dag_relay.NAME}-0"]
    words = ["exec", *where, "--container", dag_relay.NAME, "--", "python", "-c", READ, *paths]
    done = attempt(stack.cluster.command(*words), seconds=SECONDS)
    if done.returncode:
        reason = " ".join(done.stderr.strip().splitlines()[-1:])
        raise OperationError(
            f"the DAG relay gives no answer: {reason}. See docs/runbooks/dag-delivery.md"
        )
    rows: Sequence[Mapping[str, str]] = json.loads(done.stdout)
    found = [
        Delivery(repository=repository or "dags.repo", **row)
        for repository, row in zip(names, rows, strict=True)
    ]
    print("\n".join(table(found)))
    return 0


def table(found: Sequence[Delivery]) -> list[str]:
    """A line for each repository, then one for each that does not deliver its newest commit."""
    empty = ("-", "-", "no commit is published yet")
    rows = [HEAD, *(each.row if each.head else (each.repository, *empty) for each in found)]
    return [
        *aligned(rows),
        *(f"! {each.repository}: {each.problem}" for each in found if each.problem),
    ]


def _reason(error: str) -> str:
    """The message of git-sync's error file, on one line."""
    try:
        content = json.loads(error)
        error = f"{content['Msg']}: {content['Err']}"
    except (ValueError, KeyError, TypeError):  # another version of git-sync
        pass
    return " ".join(error.split())
