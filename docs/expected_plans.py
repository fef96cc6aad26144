"""The plan of each stack, committed: the diff of a change shows what it deploys."""

from datetime import date

from plan import engine, report

FOLDER = "tests/unit/plans"
# A plan warns of versions whose support ends: the date keeps the committed plans reproducible.
DAY = date(2026, 11, 24)


def expected_plans() -> dict[str, str]:
    """The text of `make plan` for each stack, by file."""
    return {f"{FOLDER}/{stack}.txt": plan(stack) for stack in engine.stack_names()}


def plan(stack: str) -> str:
    declaration, settings = engine.run_stack(stack)
    lines = report.text(report.make(stack, settings, declaration, today=DAY))
    return "\n".join(lines) + "\n"
