"""Inputs and outputs of a resource type in the SDK `pulumi_aws`, and a check of inputs."""

import enum
import functools
import importlib
import inspect
import typing
from collections import abc
from dataclasses import dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Any

import pulumi
from pulumi import _types

from tests.engine.simulator.values import UNKNOWN


@dataclass(frozen=True)
class Refusal:
    """`property` is the path of the input, in Pulumi's spelling."""

    property: str
    reason: str


@dataclass(frozen=True)
class Field:
    type: Any
    required: bool


def refused(token: str, inputs: dict[str, Any]) -> list[Refusal]:
    """Inputs that do not match the types. Raises LookupError for a type that the SDK lacks."""
    return list(_object(inputs, _arguments(token), ""))


def takes(token: str, name: str) -> bool:
    return name in _fields(_arguments(token))


@functools.cache
def outputs(token: str) -> frozenset[str]:
    """Names of all outputs; they include the inputs."""
    return frozenset(_types.resource_types(_resource(token)))


@functools.cache
def _resource(token: str) -> type:
    package, module, name = token.split(":")
    try:
        found = importlib.import_module(f"pulumi_{package}.{module.partition('/')[0]}")
        return getattr(found, name)
    except (ImportError, AttributeError):
        raise LookupError(f"pulumi_aws has no type {token}") from None


@functools.cache
def _arguments(token: str) -> type:
    resource = _resource(token)
    module = importlib.import_module(resource.__module__)
    # The SDK names the arguments InitArgs where a nested type has the name Args.
    nested = getattr(module, f"{resource.__name__}InitArgs", None)
    return nested or getattr(module, f"{resource.__name__}Args")


@functools.cache
def _fields(kind: type) -> dict[str, Field]:
    """The inputs of an arguments class by their Pulumi names."""
    types = _types.input_type_types(kind)
    names = _types.input_type_py_to_pulumi_names(kind)
    parameters = inspect.signature(kind.__init__).parameters
    return {
        names[name]: Field(
            type=types.get(names[name], types.get(name, Any)),
            required=parameter.default is inspect.Parameter.empty,
        )
        for name, parameter in parameters.items()
        if name in names
    }


def _object(value: dict[str, Any], kind: type, path: str) -> abc.Iterator[Refusal]:
    fields = _fields(kind)
    for name, inner in value.items():
        here = f"{path}.{name}" if path else name
        if name.startswith("__"):
            continue
        if name not in fields:
            close = get_close_matches(name, fields, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield Refusal(here, f"no such property{hint}")
        else:
            refused = _value(inner, fields[name].type, here)
            yield from map(_redacted, refused) if "password" in name.lower() else refused
    for name, field in fields.items():
        if field.required and value.get(name) is None:
            here = f"{path}.{name}" if path else name
            yield Refusal(here, "is required")


def _redacted(refusal: Refusal) -> Refusal:
    """Without the value, because Pulumi prints the reason."""
    return Refusal(refusal.property, refusal.reason.partition(", got ")[0])


def _value(value: Any, kind: Any, path: str) -> abc.Iterator[Refusal]:
    if value is None or value is UNKNOWN:
        return
    found: list[list[Refusal]] = []
    for one in _alternatives(kind):
        refused = list(_one(value, one, path))
        if not refused:
            return
        found.append(refused)
    if found:
        yield from min(found, key=len)


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union such as `Input[str] | None`, without outputs and awaitables."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, UnionType):
        return [a for part in typing.get_args(kind) for a in _alternatives(part)]
    resolved = isinstance(origin, type) and issubclass(origin, pulumi.Output | abc.Awaitable)
    if resolved or kind is type(None) or typing.is_typeddict(kind):
        return []
    return [kind]


def _one(value: Any, kind: Any, path: str) -> abc.Iterator[Refusal]:
    origin = typing.get_origin(kind)
    if origin in (list, abc.Sequence):
        if not isinstance(value, list):
            yield Refusal(path, f"should be a list, got {value!r}")
            return
        for index, inner in enumerate(value):
            yield from _value(inner, typing.get_args(kind)[0], f"{path}[{index}]")
    elif origin in (dict, abc.Mapping):
        if not isinstance(value, dict):
            yield Refusal(path, f"should be a map, got {value!r}")
            return
        for key, inner in value.items():
            yield from _value(inner, typing.get_args(kind)[1], f"{path}.{key}")
    elif isinstance(kind, type) and _types.is_input_type(kind):
        if not isinstance(value, dict):
            yield Refusal(path, f"should be an object, got {value!r}")
            return
        yield from _object(value, kind, path)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        if value not in [member.value for member in kind]:
            known = ", ".join(str(member.value) for member in kind)
            yield Refusal(path, f"should be one of {known}, got {value!r}")
    elif isinstance(kind, type) and kind in _PLAIN and not _PLAIN[kind](value):
        yield Refusal(path, f"should be {_NAMES[kind]}, got {value!r}")


_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
_PLAIN: dict[type, abc.Callable[[Any], bool]] = {
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    str: lambda value: isinstance(value, str),
}
