"""The settings and the secrets of a stack as Markdown tables, from the models in settings.py."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from sections import fields as kinds
from sections.airflow import RotationSettings
from sections.fields import Section
from settings import Secrets, Settings

# What the JSON schema of a type does not say, or says in a way that is hard to read.
NAMES = {
    kinds.Cidr: "IPv4 network",
    kinds.GitUrl: "URL of `https://`, `ssh://`, `git@host:` or `git://`",
    kinds.RoleArn: "ARN of an IAM role",
    kinds.InstanceClass: "RDS instance class",
    kinds.CaFile: "path",
}
UNITS = {"_gb": "GiB", "_mb": "MiB", "_seconds": "seconds", "_days": "days", "cpu": "cores"}
KIND = "Which of these it is; other settings belong to one kind only"
# Secrets that nobody can generate, by the `dags.auth.kind` that needs them.
GIT_SECRETS = {
    "git_token": ("token", "Access token that may read the repository of the DAGs"),
    "git_ssh_key": ("ssh", "Private key that may read the repository of the DAGs"),
    "github_app_key": ("github_app", "Private key of the GitHub App, in PEM form"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A setting by its full key. `kind`: only that kind of its section has it."""

    key: str
    kind: str | None
    values: str
    default: str
    meaning: str


def settings_table() -> str:
    """Every setting, in the order of settings.py."""
    names = ("Setting", "Values", "Default", "Meaning")
    return table(
        names,
        (
            (
                f"`{row.key}`" + (f" ({row.kind})" if row.kind else ""),
                row.values,
                row.default,
                row.meaning,
            )
            for row in rows(Settings)
        ),
    )


def secrets_table() -> str:
    """Every secret, and what happens when it is not set."""
    lines: list[tuple[str, str, str]] = []
    for field in fields(Secrets):
        if field.name in GIT_SECRETS:
            kind, meaning = GIT_SECRETS[field.name]
            unset = f"an error if `dags.auth.kind` is `{kind}`"
        else:
            # The secret `fernet_key` is replaced by the setting `rotation.fernet`.
            rotation = field.name.removeprefix("git_").split("_")[0]
            meaning = RotationSettings.model_fields[rotation].description or ""
            unset = f"generated; raise `rotation.{rotation}` to replace it"
        lines.append((f"`pulumi config set --secret {field.name}`", meaning, unset))
    return table(("Secret", "Meaning", "If it is not set"), lines)


def rows(
    model: type[Section], above: str = "", kind: str | None = None, optional: str | None = None
) -> Iterator[Row]:
    """Settings of a model, below the key `above`. `optional` is the section that may lack them."""
    hints = get_type_hints(model, include_extras=True)
    schemas = model.model_json_schema()["properties"]
    required = f"required in `{optional}`" if optional else "required"
    for name, field in model.model_fields.items():
        key = f"{above}{name}"
        sections = _sections(hints[name])
        if field.discriminator is not None:
            kinds = {_kind(section): section for section in sections}
            default = required if field.is_required() else _yaml(field.default.kind)
            values = ", ".join(f"`{each}`" for each in kinds)
            yield Row(key=f"{key}.kind", kind=kind, values=values, default=default, meaning=KIND)
            for its_kind, section in kinds.items():
                yield from rows(section, f"{key}.", its_kind, optional)
        elif sections:
            (section,) = sections
            may_lack = not field.is_required() and field.default is None
            about = field.description or section.__doc__
            if about:
                default = "not set" if may_lack else "see below"
                yield Row(key=key, kind=kind, values="section", default=default, meaning=about)
            yield from rows(section, f"{key}.", kind, key if may_lack else optional)
        elif name != "kind":
            values = _values(name, hints[name], schemas[name])
            default = required if field.is_required() else _yaml(field.default)
            meaning = field.description or ""
            yield Row(key=key, kind=kind, values=values, default=default, meaning=meaning)


def _sections(hint: Any) -> list[type[Section]]:
    """The models that a type admits. Below the names of a map they are described elsewhere."""
    if get_origin(hint) is dict:
        return []
    if isinstance(hint, type) and issubclass(hint, Section):
        return [hint]
    return [section for part in get_args(hint) for section in _sections(part)]


def _kind(section: type[Section]) -> str:
    (kind,) = get_args(section.model_fields["kind"].annotation)
    return kind


def _values(name: str, hint: Any, schema: dict[str, Any]) -> str:
    """What a setting may be, in words. `schema` is its JSON schema."""
    if "anyOf" in schema:
        schema = next(part for part in schema["anyOf"] if part["type"] != "null")
        hint = next(part for part in get_args(hint) if part is not NoneType)
    if hint in NAMES:
        return NAMES[hint]
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    match schema["type"]:
        case "boolean":
            return "`true`, `false`"
        case "array":
            least = ", one at least" if schema.get("minItems") else ""
            return f"list: {_values(name, get_args(hint)[0], schema['items'])}{least}"
        case "integer" | "number" as kind:
            return kind + _bounds(name, schema)
        case "string":
            return "text" + (f" `{schema['pattern']}`" if "pattern" in schema else "")
        case _:
            return "map"


def _bounds(name: str, schema: dict[str, Any]) -> str:
    unit = next((f" {unit}" for end, unit in UNITS.items() if name.endswith(end)), "")
    low, high = schema.get("minimum"), schema.get("maximum")
    return f", {low} to {high}{unit}" if high is not None else f", from {low}{unit}"


def _yaml(value: Any) -> str:
    """A default as it would stand in the stack file."""
    if value is None:
        return "not set"
    plain = list(value) if isinstance(value, tuple) else value
    return f"`{yaml.safe_dump(plain, default_flow_style=True).splitlines()[0]}`"


def table(names: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    names = list(names)
    rule = ["---"] * len(names)
    cells = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in (names, rule, *cells))
