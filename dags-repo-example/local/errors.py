"""Errors that the user can correct."""

from pathlib import Path

LAST_LINES = 15


class OperationError(Exception):
    """Printed without a traceback: the message names the cause and the correction."""


def last_lines(log: Path) -> str:
    """The last lines of a log, indented below its path."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    shown = lines[-LAST_LINES:] or ["(empty)"]
    return "\n".join([f"Last lines of {log}:", *(f"    {line}" for line in shown)])
