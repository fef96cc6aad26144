"""The resources of a stack as rules see them, from the offline plan or from the Pulumi engine."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Secret:
    """A value that is marked as secret. Rules never read `value`; it is for tests."""

    value: Any = None

    def __repr__(self) -> str:
        return "[secret]"


class _Unknown:
    def __repr__(self) -> str:
        return "unknown until the update"


# In place of a value that only the update computes. Rules accept it.
UNKNOWN = _Unknown()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A registered resource. Secret inputs are `Secret`s.

    `provider` is the URN of the provider, empty for the default provider.
    """

    urn: str
    type: str
    name: str
    parent: str = ""
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    protect: bool = False
    provider: str = ""
    depends_on: frozenset[str] = frozenset()
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    # Former names; only the plan knows them.
    aliases: frozenset[str] = frozenset()

    def get(self, path: str) -> Any:
        return at(self.inputs, path)

    def refers(self, key: str, target: "Resource") -> bool:
        """Whether the input `key` is the name or the id of `target`."""
        value = self.inputs.get(key)
        if value is UNKNOWN:
            return target.urn in self.depends_on
        # The mock engine assigns the id `<name>-id`.
        names = {target.name, f"{target.name}-id", target.urn}
        names |= {
            str(target.inputs[key]) for key in ("id", "bucket", "name") if key in target.inputs
        }
        return value in names


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The input of a rule. `default_tags` are those of the AWS provider."""

    name: str
    resources: tuple[Resource, ...]
    default_tags: Mapping[str, str]
    today: date

    def all(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type in types]

    def descendants(self, ancestor: Resource, type: str) -> Iterator[Resource]:
        """Resources of a type below `ancestor` in the resource tree."""
        parents = {resource.urn: resource.parent for resource in self.resources}
        for resource in self.all(type):
            urn = resource.parent
            while urn and urn != ancestor.urn:
                urn = parents.get(urn, "")
            if urn:
                yield resource


def at(values: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for key in path.split("."):
        if values is UNKNOWN:
            return UNKNOWN
        values = values.get(key) if isinstance(values, dict) else None
    return values


def as_list(value: Any) -> list[Any]:
    """A list of the given values: a single value is wrapped; None and UNKNOWN are empty."""
    if value is None or value is UNKNOWN:
        return []
    return value if isinstance(value, list) else [value]


def differs(value: Any, wanted: Any) -> bool:
    return value is not UNKNOWN and value != wanted


def describe(name: str, value: Any) -> str:
    """A property and its value, for a finding."""
    if value is None:
        return f"{name} is not set"
    return f"{name} is {json.dumps(value, default=repr)}"
