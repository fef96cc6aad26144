"""Excuses in pyproject.toml: files and rules whose mistakes are accepted, with the reason."""

import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from checks.mistake import Mistake

FILE = "pyproject.toml"
SECTION = "[tool.checks.excuses]"


def read(root: Path) -> dict[str, object]:
    path = root / FILE
    values = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return values.get("tool", {}).get("checks", {}).get("excuses", {})


def matches(excuse: str, mistake: Mistake) -> bool:
    """An excuse is a file, as `dags/old/*`; a rule, as `tags`; or both, as `dags/old.py:tags`."""
    file, _, rule = excuse.partition(":")
    if "/" not in file:
        file, rule = "*", file
    return fnmatchcase(mistake.path, file) and rule in ("", mistake.rule)


def apply(found: set[Mistake], excuses: dict[str, object]) -> tuple[set[Mistake], int]:
    """Return the mistakes without an excuse and those of the excuses, and the number excused."""
    excused = {m for m in found if any(matches(excuse, m) for excuse in excuses)}
    return (found - excused) | set(check(found, excuses)), len(excused)


def check(found: set[Mistake], excuses: dict[str, object]) -> Iterable[Mistake]:
    for excuse, reason in excuses.items():
        if not isinstance(reason, str) or not reason.strip():
            yield Mistake(FILE, 1, f'{SECTION} "{excuse}" has no reason; add one as its value')
        elif not any(matches(excuse, mistake) for mistake in found):
            text = (
                f'{SECTION} "{excuse}" excuses no mistake; remove it, or correct the file or rule'
            )
            yield Mistake(FILE, 1, text)
