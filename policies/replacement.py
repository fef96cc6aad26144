"""A rule for previews: nothing that keeps data is deleted or made anew by surprise."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from policies.rule import Finding, Rule
from policies.view import Stack

STATEFUL = {
    "aws:rds/instance:Instance": "the database, its backups and its address",
    "aws:eks/cluster:Cluster": "the cluster and everything that runs on it",
    "eks:index:Cluster": "the cluster and everything that runs on it",
    "aws:s3/bucket:Bucket": "every task log",
    "aws:kms/key:Key": "everything that is encrypted with it",
    "kubernetes:apps/v1:StatefulSet": "a running server",
    "kubernetes:core/v1:PersistentVolumeClaim": "the volume and its data",
    "kubernetes:core/v1:Namespace": "everything in it, volumes too",
}
REPLACES = ("replace", "create-replacement", "delete-replaced")
DELETES = ("delete",)


def _nothing(stack: Stack) -> Iterator[Finding]:
    """A declaration says nothing about what is there already."""
    del stack
    yield from ()


RULE = Rule(
    name="stateful-resources-stay",
    reason="Making it anew loses what the old one kept",
    check=_nothing,
    excusable=True,
    seen_by="preview",
)


def lost(preview: Mapping[str, Any], exceptions: Collection[str] = ()) -> list[str]:
    """One line for each resource that an update would lose.

    `preview` is what `pulumi preview --json` prints; `exceptions` are rules that the stack excuses.
    """
    if RULE.name in exceptions:
        return []
    found: dict[str, dict[str, Any]] = {}
    for step in preview.get("steps", []):
        # A replacement has up to three steps; one of them names the properties.
        if step.get("op") in (*REPLACES, *DELETES) and _type(step) in STATEFUL:
            known = found.setdefault(step["urn"], {"op": "delete", "properties": set()})
            known["type"] = _type(step)
            known["properties"] |= _forcing(step)
            if step["op"] in REPLACES:
                known["op"] = "replace"
    return [RULE.explain(_finding(urn, known)) for urn, known in found.items()]


def _type(step: Mapping[str, Any]) -> str:
    state = step.get("newState") or step.get("oldState") or {}
    return str(state.get("type") or step["urn"].split("::")[2].rpartition("$")[2])


def _forcing(step: Mapping[str, Any]) -> set[str]:
    """The properties that cannot change in place."""
    detailed = step.get("detailedDiff") or {}
    forced = {
        path for path, change in detailed.items() if str(change.get("kind")).endswith("replace")
    }
    return forced | set(step.get("replaceReasons") or ())


def _finding(urn: str, known: Mapping[str, Any]) -> Finding:
    name, keeps = urn.rpartition("::")[2], STATEFUL[known["type"]]
    if known["op"] == "delete":
        what, fix = "would be deleted", "Put it back into the program"
    else:
        properties = ", ".join(sorted(known["properties"])) or "its provider"
        what = f"would be replaced because of {properties}"
        fix = "Take that change back"
    return Finding(
        resource=name,
        urn=urn,
        what=f"{what}, and with it {keeps}",
        fix=f"{fix}; if it is meant, save the data first and say so in policies.exceptions.{RULE.name}",
    )
