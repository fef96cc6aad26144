"""Reads .env files and interpolates `${...}` as Docker Compose does, except shell variables."""

import re
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import parse_stream

from checks.mistake import Mistake

REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:?[-?+])(?P<word>[^}]*))?\})"
)


@dataclass(frozen=True)
class Value:
    """A text, and the place to correct it."""

    text: str
    path: str
    line: int
    origins: tuple["Value", ...] = ()
    """The .env variables in the text."""


def read(path: Path) -> tuple[dict[str, Value], list[Mistake]]:
    """Return the variables of a file, and its syntax errors; a missing file has neither."""
    variables: dict[str, Value] = {}
    mistakes = []
    if not path.is_file():
        return variables, mistakes
    # Docker Compose accepts any bytes; messages never show the content.
    with path.open(encoding="utf-8", errors="replace") as stream:
        for binding in parse_stream(stream):
            source = binding.original.string
            line = binding.original.line + source[: len(source) - len(source.lstrip())].count("\n")
            if binding.error:
                text = "is not NAME=value; correct this line, or comment it out with #"
                mistakes.append(Mistake(path.name, line, text))
            elif binding.key and binding.value is not None:
                value = resolve(binding.value, variables, path.name, line)
                variables[binding.key] = Value(value.text, path.name, line)
    return variables, mistakes


def resolve(text: str, variables: dict[str, Value], path: str, line: int) -> Value:
    """Return a text with its variables interpolated."""
    origins: list[Value] = []

    def replace(match: re.Match) -> str:
        if match["dollar"]:
            return "$"
        name = match["plain"] or match["name"]
        operator, word = match["operator"] or "", match["word"] or ""
        value = variables.get(name)
        is_set = value is not None and bool(value.text or not operator.startswith(":"))
        if operator.endswith("+"):
            return word if is_set else ""
        if is_set:
            origins.append(value)
            return value.text
        return word if operator.endswith("-") else ""

    resolved = REFERENCE.sub(replace, text)
    return Value(resolved, path, line, tuple(origins))
