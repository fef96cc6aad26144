"""Reads the settings of a stack, and reports every mistake at once."""

import re
from typing import Annotated, Any

import pulumi
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from settings import cross_checks
from settings.stack import Settings


def _adapter(name: str) -> TypeAdapter[Any]:
    field = Settings.model_fields[name]
    annotated: Any = Annotated
    return TypeAdapter(annotated[field.annotation, field])


def load() -> Settings:
    """Read the settings of the stack, or stop the run with one line per mistake."""
    config = pulumi.Config()
    key = config.full_key("settings")
    settings = parse(config.get_object("settings"), key)
    for where, what in cross_checks.warnings(settings.all_queues):
        pulumi.log.warn(f"Pulumi.{pulumi.get_stack()}.yaml: {key}.{where}: {what}")
    return settings


def parse(given: Any, key: str) -> Settings:
    """Check what stands under `key` in the stack file.

    Raises `pulumi.RunError`, which ends a run without a traceback, with every mistake at once.
    """
    if not isinstance(given, dict | None):
        raise pulumi.RunError(
            f"Pulumi.{pulumi.get_stack()}.yaml:\n  {key}: should be a map of sections"
        )
    given = given or {}
    errors: list[ErrorDetails] = []
    try:
        sections = dict(Settings.model_validate(given))
    except ValidationError as bad:
        errors = bad.errors()
        broken = {error["loc"][0] for error in errors}
        sections = {
            name: _adapter(name).validate_python(given[name]) if name in given else field.default
            for name, field in Settings.model_fields.items()
            if name not in broken
        }
    lines = [_explain(given, error) for error in errors]
    lines += [f"{where}: {what}" for where, what in cross_checks.mistakes(sections)]
    if lines:
        text = "\n".join(f"  {key}.{line}" for line in lines)
        raise pulumi.RunError(f"Pulumi.{pulumi.get_stack()}.yaml:\n{text}")
    return Settings.model_construct(**sections)


_REASONS = {
    "missing": "is required",
    "extra_forbidden": "is not a known setting",
    "union_tag_not_found": "kind is required",
    "union_tag_invalid": "kind should be one of {expected_tags}, got {tag!r}",
}


def _explain(given: Any, error: ErrorDetails) -> str:
    """Name the key as it stands in the file, what is wrong with it, and what was found there."""
    path: list[str] = []
    union_seen = False
    for part in error["loc"]:
        # In a union pydantic puts the `kind` into the location first; the file has no such key.
        if not union_seen and isinstance(given, dict) and part == given.get("kind"):
            union_seen = True
            continue
        if part == "[key]":  # pydantic's word for: the name itself is wrong, not what stands there
            continue
        path.append(str(part))
        inner = isinstance(given, dict) or isinstance(part, int)
        given = given[part] if inner and part in _keys(given) else None
        union_seen = False
    if error["type"] in _REASONS:
        reason = _REASONS[error["type"]].format(**error.get("ctx", {}))
    else:
        reason = error["msg"].removeprefix("Value error, ")
        if isinstance(error["input"], str | int | float):
            reason += f", got {_without_credentials(error['input'])!r}"
    return f"{'.'.join(path)}: {reason}"


def _keys(given: Any) -> Any:
    return given.keys() if isinstance(given, dict) else range(len(given or ()))


def _without_credentials(value: Any) -> Any:
    return (
        re.sub(r"^(\w+://)?.*@", r"\1***@", value, flags=re.DOTALL)
        if isinstance(value, str)
        else value
    )
