"""Expected plans: the diff of a change shows what it deploys."""

from datetime import date

from ops import stack_files
from ops.plan import formats, report

FOLDER = "tests/unit/plans"
# A plan warns before a version reaches end of support: a fixed date keeps it reproducible.
DAY = date(2026, 11, 24)


def expected_plans() -> dict[str, str]:
    """Output of `make plan` for each stack, by file."""
    return {f"{FOLDER}/{stack}.txt": plan(stack) for stack in stack_files.stack_names()}


def plan(stack: str) -> str:
    snapshot, settings = stack_files.run_stack(stack)
    lines = formats.text(report.make(stack, settings, snapshot, today=DAY))
    return "\n".join(lines) + "\n"
