"""A resource type: the calls of AWS's API that create, read, update and delete it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tests.engine.simulator.cloud import Cloud

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Inputs and outputs have Pulumi's names.

    `create` returns the ID, in the format of the official provider, and the computed outputs.
    `read` returns the outputs in AWS; `read` and `delete` may raise AWS's "not found". Without
    `update` no property changes in place. `replaces` are inputs whose change replaces the resource;
    `autoname` is the input that Pulumi auto-names. `lagging` are inputs that AWS may apply later: the
    provider compares them with what AWS has. `imported` returns the inputs of an ID, for
    `pulumi import`.
    """

    create: Callable[[Cloud, Values], tuple[str, Values]]
    read: Callable[[Cloud, str, Values], Values | None]
    update: Callable[[Cloud, str, Values, Values], Values] | None = None
    delete: Callable[[Cloud, str, Values], Any]
    replaces: frozenset[str] = frozenset()
    # Paths inside of inputs: once set, another value replaces the resource.
    unchangeable: frozenset[str] = frozenset()
    autoname: str | None = None
    lagging: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    imported: Callable[[str], Values] | None = None

    def current(self, cloud: Cloud, id_: str, state: Values) -> Values | None:
        """The outputs in AWS, None if the resource does not exist."""
        try:
            return self.read(cloud, id_, state)
        except ClientError as error:
            if _not_found(error):
                return None
            raise

    def remove(self, cloud: Cloud, id_: str, state: Values) -> None:
        """Delete the resource if it exists."""
        try:
            self.delete(cloud, id_, state)
        except ClientError as error:
            if not _not_found(error):
                raise


def _not_found(error: ClientError) -> bool:
    code = error.response["Error"]["Code"]
    return "NotFound" in code or code.startswith("NoSuch") or code in ("404", "DBInstanceNotFound")


def pairs(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Tags in the format of most AWS APIs."""
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]


def tags_seen(found: list[dict[str, str]] | Mapping[str, str], state: Values) -> Values:
    """Tags of a resource as outputs; `tags` includes those added outside of Pulumi."""
    all_ = found if isinstance(found, Mapping) else {t["Key"]: t.get("Value", "") for t in found}
    all_ = {key: value for key, value in all_.items() if not key.startswith("aws:")}
    own = state.get("tags") or {}
    defaults = {k: v for k, v in (state.get("tagsAll") or {}).items() if k not in own}
    mine = {k: v for k, v in all_.items() if defaults.get(k) != v}
    seen: Values = {"tagsAll": all_}
    if mine or own:
        seen["tags"] = mine
    return seen


def retag(
    old: Values,
    new: Values,
    untag: Callable[[list[str]], Any],
    tag: Callable[[dict[str, str]], Any],
) -> Values:
    """Update the tags of a resource; `untag` gets keys, `tag` all tags."""
    before, after = old.get("tagsAll") or {}, new.get("tagsAll") or {}
    if removed := sorted(before.keys() - after.keys()):
        untag(removed)
    if after and after != before:
        tag(after)
    return {"tagsAll": after}


def ordered(known: list[str] | None, found: list[str]) -> list[str]:
    """Members of a set in AWS: in the order of the state if they are equal."""
    return known if known is not None and set(known) == set(found) else found


def chosen(inputs: Values, names: Mapping[str, str]) -> Values:
    """The inputs with a value, by their AWS names."""
    return {theirs: inputs[ours] for ours, theirs in names.items() if inputs.get(ours) is not None}


def same_names(*names: str) -> dict[str, str]:
    """For `chosen`: inputs whose AWS name is Pulumi's."""
    return dict(zip(names, names, strict=True))


def managed(state: Values, seen: Values) -> Values:
    """The outputs that the state has too: a default of AWS is no drift."""
    return {key: value for key, value in seen.items() if key in state}
