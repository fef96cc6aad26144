"""Reads the settings of a stack, and reports every mistake at once."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pulumi
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from settings import chart_keys, cross_checks, rds_ca, versions
from settings.network import with_kind
from settings.stack import Settings


def load(*, copies: bool = True) -> Settings:
    """Read the settings of the stack, or end the run with one line per mistake.

    `copies`: with the names that images have in `images.registry` or in the cache.
    """
    config = pulumi.Config()
    key = config.full_key("settings")
    region = pulumi.Config("aws").get("region")
    settings = parse(config.get_object("settings"), key, region)
    for where, what in _warnings(settings, region):
        pulumi.log.warn(f"Pulumi.{pulumi.get_stack()}.yaml: {key}.{where}: {what}")
    return settings.with_copied_images(pulumi.get_stack()) if copies else settings


def _warnings(settings: Settings, region: str | None) -> Iterator[cross_checks.Mistake]:
    yield from cross_checks.warnings(settings)
    if without_root := rds_ca.warning(settings.database, region):
        yield "database.ca_file", without_root


def parse(given: Any, key: str, region: str | None = None) -> Settings:
    """Check the value of `key` in the stack file, its Region, and the chart values in values/.

    Raises `pulumi.RunError`, which ends a run without a traceback, with every mistake at once.
    """
    stack_file = f"Pulumi.{pulumi.get_stack()}.yaml"
    if not isinstance(given, dict | None):
        raise pulumi.RunError(f"{stack_file}:\n  {key}: should be a map of sections")
    given = with_kind(given or {})
    errors: list[ErrorDetails] = []
    try:
        sections = dict(Settings.model_validate(given))
    except ValidationError as invalid:
        errors = invalid.errors()
        sections = dict(_valid_sections(given, {error["loc"][0] for error in errors}))
    lines = [_explain(given, error) for error in errors]
    checked = {**sections, "region": region}
    lines += [f"{where}: {what}" for where, what in cross_checks.mistakes(checked)]
    found = [f"{key}.{line}" for line in lines]
    if without_root := rds_ca.mistake(sections.get("database"), region):
        found.append(f"aws:region: {without_root}")
    airflow = sections.get("airflow")
    version = airflow.version if airflow else versions.AIRFLOW
    report = {stack_file: found, **chart_keys.mistakes(version)}
    if any(report.values()):
        raise pulumi.RunError("\n".join(_by_file(report)))
    # Every section is valid by now: construct without a third validation.
    return Settings.model_construct(**sections)


def _by_file(report: Mapping[str, list[str]]) -> Iterator[str]:
    for file, lines in report.items():
        if lines:
            yield f"{file}:"
            yield from (f"  {line}" for line in lines)


def _valid_sections(given: dict[str, Any], invalid: set[int | str]) -> Iterator[tuple[str, Any]]:
    """Sections without mistakes.

    pydantic returns nothing at all for a model with a mistake. The cross-checks still run on the
    valid sections, so each valid section is validated a second time, on its own.
    """
    for name, field in Settings.model_fields.items():
        if name in invalid:
            continue
        if name in given:
            annotated: Any = Annotated
            adapter: TypeAdapter[Any] = TypeAdapter(annotated[field.annotation, field])
            yield name, adapter.validate_python(given[name])
        else:
            yield name, field.default


_REASONS = {
    "missing": "is required",
    "extra_forbidden": "is not a known setting",
    "union_tag_not_found": "kind is required",
    "union_tag_invalid": "kind should be one of {expected_tags}, got {tag!r}",
}


def _explain(given: Any, error: ErrorDetails) -> str:
    """The key as spelled in the file, what is wrong, and the value that was found."""
    path: list[str] = []
    union_seen = False
    for part in error["loc"]:
        # In a union, pydantic starts the location with the `kind`; the file has no such key.
        if not union_seen and isinstance(given, dict) and part == given.get("kind"):
            union_seen = True
            continue
        if part == "[key]":  # pydantic's marker for an invalid key instead of an invalid value
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
