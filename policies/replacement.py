"""The rule for previews: no unintended deletion or replacement of a stateful resource."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from policies.rule import Finding, Rule
from policies.view import Stack

STATEFUL = {
    "aws:rds/instance:Instance": "the data, the automated backups and the endpoint",
    "aws:eks/cluster:Cluster": "all workloads of the cluster",
    "eks:index:Cluster": "all workloads of the cluster",
    "aws:s3/bucket:Bucket": "all task logs",
    "aws:kms/key:Key": "all data encrypted with it",
    "kubernetes:apps/v1:StatefulSet": "its running pods",
    "kubernetes:core/v1:PersistentVolumeClaim": "the data of the volume",
    "kubernetes:core/v1:Namespace": "all resources in it, including volumes",
}
# Properties that an earlier release set differently, and what keeps their value.
KEEPS = {"computeConfig": "Set cluster.built_in_node_pools to true"}
# Properties whose change only restarts the pods: the volumes have claims of their own.
RESTARTS = {"kubernetes:apps/v1:StatefulSet": {"spec.podManagementPolicy"}}
REPLACES = ("replace", "create-replacement", "delete-replaced")
DELETES = ("delete",)


def _nothing_offline(stack: Stack) -> Iterator[Finding]:
    """Only a preview compares with the deployed resources: see `lost`."""
    del stack
    yield from ()


RULE = Rule(
    name="no-stateful-deletion",
    former_name="stateful-resources-stay",
    reason="Deleting a stateful resource deletes its data, and a replacement starts empty",
    check=_nothing_offline,
    excusable=True,
    seen_by="preview",
)


def lost(
    preview: Mapping[str, Any], exceptions: Collection[str] = (), deletes: Collection[str] = ()
) -> list[str]:
    """One line for each stateful resource that the update would delete or replace.

    `preview` is the output of `pulumi preview --json`; `exceptions` are `policies.exceptions`;
    `deletes` are the URNs that the user has confirmed.
    """
    if RULE.exception_key(exceptions) is not None:
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
    return [
        RULE.explain(_finding(urn, known))
        for urn, known in found.items()
        if not _restarts(known) and not (known["op"] == "delete" and urn in deletes)
    ]


def _restarts(known: Mapping[str, Any]) -> bool:
    properties = known["properties"]
    harmless = RESTARTS.get(known["type"], set[str]())
    return known["op"] == "replace" and bool(properties) and properties <= harmless


def _type(step: Mapping[str, Any]) -> str:
    state = step.get("newState") or step.get("oldState") or {}
    return str(state.get("type") or step["urn"].split("::")[2].rpartition("$")[2])


def _forcing(step: Mapping[str, Any]) -> set[str]:
    """The properties that force a replacement."""
    detailed = step.get("detailedDiff") or {}
    forced = {
        path for path, change in detailed.items() if str(change.get("kind")).endswith("replace")
    }
    return forced | set(step.get("replaceReasons") or ())


def _below(key: str) -> Callable[[str], bool]:
    return lambda path: path.partition(".")[0] == key


def _finding(urn: str, known: Mapping[str, Any]) -> Finding:
    name, loss = urn.rpartition("::")[2], STATEFUL[known["type"]]
    if known["op"] == "delete":
        what, fix = "would be deleted", "Restore it in the program"
    else:
        properties = ", ".join(sorted(known["properties"])) or "its provider"
        what = f"would be replaced because of {properties}"
        kept = [fix for key, fix in KEEPS.items() if any(map(_below(key), known["properties"]))]
        fix = ", ".join(kept) or "Revert the change"
    return Finding(
        resource=name,
        urn=urn,
        what=f"{what}, together with {loss}",
        fix=f"{fix}; if intended, back up the data and add policies.exceptions.{RULE.name}",
    )
