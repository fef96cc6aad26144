"""python -m docs.generate [--check]: what the documentation takes from the code."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from docs import rules_table, settings_table
from docs.expected_plans import expected_plans

ROOT = Path(__file__).parents[1]
README = "README.md"
RULES = "docs/policies.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
SECRETS = (
    "Secrets stand encrypted beside the settings; add `--stack` and the stack to these commands."
)


def with_tables(readme: Path) -> str:
    """The README with today's tables between its markers."""
    if not readme.exists():
        raise SystemExit(f"{readme.name}: is missing; write it, with {BEGIN} and {END} in it")
    text = readme.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        raise SystemExit(f"{readme.name}: needs {BEGIN} once, and {END} once below it")
    parts = (BEGIN, settings_table.settings_table(), SECRETS, settings_table.secrets_table(), END)
    return before + "\n\n".join(parts) + after


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write the stale files anew; with `--check` only name them, and give 1 if there are any."""
    parser = argparse.ArgumentParser(
        prog="python -m docs.generate",
        description="Write the tables of settings and rules, and the expected plans of the stacks.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing, name stale files")
    check = parser.parse_args(arguments).check
    made = {README: with_tables(root / README), RULES: rules_table.page(), **expected_plans()}
    stale = [name for name, text in made.items() if _read(root / name) != text]
    for name in stale:
        if check:
            print(f"{name} is stale: run `make docs`", file=sys.stderr)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(made[name])
            print(f"{name} is written")
    return 1 if check and stale else 0


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
