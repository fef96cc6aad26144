"""The variables of a .env file, and `${...}` in compose.yaml, as Docker Compose reads them.

Variables of the shell are left out: what they change is nobody's but the shell's.
"""

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
    """A text, and where it is to be corrected."""

    text: str
    path: str
    line: int
    origins: tuple["Value", ...] = ()
    """The variables of .env that it is made of."""


def read(path: Path) -> tuple[dict[str, Value], list[Mistake]]:
    """Return the variables of a file, none if it is not there."""
    variables: dict[str, Value] = {}
    mistakes = []
    if not path.is_file():
        return variables, mistakes
    # Docker Compose takes any bytes, and none of them is shown.
    with path.open(encoding="utf-8", errors="replace") as stream:
        for binding in parse_stream(stream):
            text = binding.original.string
            line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
            if binding.error:
                what = "is not NAME=value; correct this line, or begin it with #"
                mistakes.append(Mistake(path.name, line, what))
            elif binding.key and binding.value is not None:
                value = resolve(binding.value, variables, path.name, line)
                variables[binding.key] = Value(value.text, path.name, line)
    return variables, mistakes


def resolve(text: str, variables: dict[str, Value], path: str, line: int) -> Value:
    """Return a text of compose.yaml with its variables replaced."""
    origins: list[Value] = []

    def replace(match: re.Match) -> str:
        if match["dollar"]:
            return "$"
        name = match["plain"] or match["name"]
        operator, word = match["operator"] or "", match["word"] or ""
        value = variables.get(name)
        given = value is not None and bool(value.text or not operator.startswith(":"))
        if operator.endswith("+"):
            return word if given else ""
        if given:
            origins.append(value)
            return value.text
        return word if operator.endswith("-") else ""

    resolved = REFERENCE.sub(replace, text)
    return Value(resolved, path, line, tuple(origins))
