"""A stack as the rules see it, whether it comes from the offline plan or from the Pulumi engine."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any


class Secret:
    """In place of a value that is marked as secret."""

    def __repr__(self) -> str:
        return "[secret]"


class _Unknown:
    def __repr__(self) -> str:
        return "unknown before the update"


# In place of a value that only the update will tell. No rule holds it against a resource.
UNKNOWN = _Unknown()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """`provider` is the URN of the provider, empty for the ambient one."""

    urn: str
    type: str
    name: str
    parent: str = ""
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    protect: bool = False
    provider: str = ""
    depends_on: frozenset[str] = frozenset()

    def get(self, path: str) -> Any:
        return at(self.inputs, path)

    def refers(self, key: str, target: "Resource") -> bool:
        """Whether the input `key` is the name or the id of `target`."""
        value = self.inputs.get(key)
        if value is UNKNOWN:
            return target.urn in self.depends_on
        # `<name>-id` is the id that the mock engine gives.
        names = {target.name, f"{target.name}-id", target.urn}
        names |= {
            str(target.inputs[key]) for key in ("id", "bucket", "name") if key in target.inputs
        }
        return value in names


@dataclass(frozen=True, kw_only=True)
class Stack:
    """All that a rule may know. `default_tags` are those that the AWS provider puts on everything."""

    name: str
    resources: tuple[Resource, ...]
    default_tags: Mapping[str, str]
    today: date

    def all(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type in types]

    def inside(self, ancestor: Resource, type: str) -> Iterator[Resource]:
        """Resources of a type that `ancestor` made."""
        parents = {resource.urn: resource.parent for resource in self.resources}
        for resource in self.all(type):
            urn = resource.parent
            while urn and urn != ancestor.urn:
                urn = parents.get(urn, "")
            if urn:
                yield resource


def at(values: Any, path: str) -> Any:
    """The value at a dotted path; None if it is not there."""
    for key in path.split("."):
        if values is UNKNOWN:
            return UNKNOWN
        values = values.get(key) if isinstance(values, dict) else None
    return values


def items(value: Any) -> list[Any]:
    """A list, whatever stands for it: one value, nothing, or something unknown."""
    if value is None or value is UNKNOWN:
        return []
    return value if isinstance(value, list) else [value]


def differs(value: Any, wanted: Any) -> bool:
    return value is not UNKNOWN and value != wanted


def is_(name: str, value: Any) -> str:
    """What a message says of a property: its name, and what was found."""
    if value is None:
        return f"{name} is missing"
    return f"{name} is {json.dumps(value, default=repr)}"
