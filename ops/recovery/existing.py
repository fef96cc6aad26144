"""Imports resources that exist in AWS before Pulumi creates them.

EKS and RDS create a missing log group when they write to it, also after `make down`. EKS added an
access entry for the creator of a cluster of an earlier release. A second create fails.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.recovery.aws import Aws
from ops.shell import OperationError
from ops.stack import Stack

IMPORTED = ("aws:cloudwatch/logGroup:LogGroup", "aws:eks/accessEntry:AccessEntry")

State = Mapping[str, Any]


def import_existing(stack: Stack, account: Aws, plan: State) -> None:
    """Import what `plan`, the output of `pulumi preview --json`, would create a second time."""
    steps = plan.get("steps", [])
    planned = {step["urn"]: step["newState"] for step in steps if "newState" in step}
    created = [step["urn"] for step in steps if step["op"] == "create"]
    found = {
        urn: id_
        for urn in created
        if planned[urn]["type"] in IMPORTED and (id_ := account.identify(planned[urn]))
    }
    if not found:
        return
    for urn, id_ in found.items():
        print(f"{planned[urn]['type'].rpartition(':')[2]} {id_} exists: importing it")
    known = {resource["urn"] for resource in stack.state().get("resources", [])}
    if _import(stack, _import_file(found, planned, known)):
        raise OperationError("could not import the resources, see above; re-run the command")


def _import_file(found: Mapping[str, str], planned: Mapping[str, State], known: set[str]) -> State:
    """Content of a file for `pulumi import --file`, with the components that the state lacks."""
    parents = {str(planned[urn]["parent"]): None for urn in found}
    components = {urn: None for parent in parents for urn in _missing(parent, planned, known)}
    resources = [
        {**_entry(urn, planned), "component": True} for urn in reversed(list(components))
    ] + [
        {**_entry(urn, planned), "id": id_, "version": _version(planned[urn])}
        for urn, id_ in found.items()
    ]
    return {
        "resources": resources,
        "nameTable": {_name(parent): parent for parent in parents if parent in known},
    }


def _missing(urn: str, planned: Mapping[str, State], known: set[str]) -> Iterator[str]:
    """A component and its parents, up to the first that is in the state or the root."""
    while urn not in known and "parent" in planned[urn]:
        yield urn
        urn = planned[urn]["parent"]


def _entry(urn: str, planned: Mapping[str, State]) -> dict[str, Any]:
    state = planned[urn]
    parent = state["parent"]
    # Pulumi adds the root by itself.
    own = {} if "::pulumi:pulumi:Stack::" in parent else {"parent": _name(parent)}
    return {"type": state["type"], "name": _name(urn), **own}


def _version(state: State) -> str:
    """The version of the default provider, from its name `default_7_51_1`."""
    name = str(state["provider"]).split("::")[3]
    return name.removeprefix("default_").replace("_", ".")


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _import(stack: Stack, content: State) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "import.json")
        file.write_text(json.dumps(content))
        options = ("--yes", "--skip-preview", "--generate-code=false", "--protect=false")
        return stack.run("import", "--file", str(file), *options)
