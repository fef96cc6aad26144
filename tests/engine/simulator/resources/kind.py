"""What the simulator knows of one resource type: how AWS's API makes, reads, changes and deletes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tests.engine.simulator.cloud import Cloud

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Inputs and outputs have Pulumi's names.

    `create` gives the ID, as the official provider forms it, and the computed outputs. `read` gives what AWS
    says now, None if it is gone. Without `update` no property changes in place. `replaces` are inputs whose
    change makes it anew; `autoname` is the input that Pulumi fills when a program does not.
    """

    create: Callable[[Cloud, Values], tuple[str, Values]]
    read: Callable[[Cloud, str, Values], Values | None]
    update: Callable[[Cloud, str, Values, Values], Values] | None = None
    delete: Callable[[Cloud, str, Values], None]
    replaces: frozenset[str] = frozenset()
    autoname: str | None = None
    secrets: frozenset[str] = frozenset()


def gone(error: ClientError) -> bool:
    """Whether AWS says that there is no such thing."""
    code = error.response["Error"]["Code"]
    return "NotFound" in code or code.startswith("NoSuch") or code in ("404", "DBInstanceNotFound")


def forgiving(delete: Callable[[Cloud, str, Values], Any]) -> Callable[[Cloud, str, Values], None]:
    """A deletion for which already gone is fine."""

    def deletes(cloud: Cloud, id_: str, state: Values) -> None:
        try:
            delete(cloud, id_, state)
        except ClientError as error:
            if not gone(error):
                raise

    return deletes


def present(read: Callable[[Cloud, str, Values], Values | None]) -> Callable[..., Values | None]:
    """A look for which AWS's refusal "not found" means None."""

    def reads(cloud: Cloud, id_: str, state: Values) -> Values | None:
        try:
            return read(cloud, id_, state)
        except ClientError as error:
            if gone(error):
                return None
            raise

    return reads


def pairs(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Tags as most of AWS's APIs take them."""
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]


def tags_seen(found: list[dict[str, str]] | Mapping[str, str], state: Values) -> Values:
    """Tags of a resource as outputs: its own ones are those of the state, and what somebody added."""
    all_ = (
        dict(found)
        if isinstance(found, Mapping)
        else {t.get("Key", ""): t.get("Value", "") for t in found}
    )
    all_ = {key: value for key, value in all_.items() if not key.startswith("aws:")}
    own = state.get("tags") or {}
    defaults = {k: v for k, v in (state.get("tagsAll") or {}).items() if k not in own}
    mine = {k: v for k, v in all_.items() if defaults.get(k) != v}
    seen: Values = {"tagsAll": all_}
    if mine or own:
        seen["tags"] = mine
    return seen


def chosen(inputs: Values, names: Mapping[str, str]) -> Values:
    """The inputs that are there, under AWS's names."""
    return {theirs: inputs[ours] for ours, theirs in names.items() if inputs.get(ours) is not None}


def asked(state: Values, seen: Values) -> Values:
    """Of what AWS says only what the state has too: a default of AWS is no drift."""
    return {key: value for key, value in seen.items() if key in state}
