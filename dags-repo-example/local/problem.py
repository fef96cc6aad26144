"""What a person can put right."""

from pathlib import Path

LAST_LINES = 15


class Problem(Exception):
    """Its text says what is wrong and what to do; no traceback adds to that."""


def last_lines(log: Path) -> str:
    """The end of a log, indented, with its path above it."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    shown = lines[-LAST_LINES:] or ["(it is empty)"]
    return "\n".join([f"The end of {log}:", *(f"    {line}" for line in shown)])
