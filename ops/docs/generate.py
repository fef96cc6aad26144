"""`make docs`: writes the documentation that comes from the code."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.docs import rules_table, settings_schema, settings_table
from ops.docs.expected_plans import expected_plans
from ops.stack_files import ROOT


def pages() -> dict[str, str]:
    """Content of every generated file, by path."""
    return {
        "settings.schema.json": settings_schema.text(),
        "docs/settings.md": settings_table.page(),
        "docs/policies.md": rules_table.page(),
        **expected_plans(),
    }


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write stale files. With `--check`, only report them, and return 1 if there are any."""
    parser = argparse.ArgumentParser(prog="make docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, report stale files")
    check = parser.parse_args(arguments).check
    content = pages()
    stale = [name for name, text in content.items() if _read(root / name) != text]
    for name in stale:
        if check:
            print(f"{name} is stale: run `make docs`", file=sys.stderr)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content[name])
            print(f"wrote {name}")
    return 1 if check and stale else 0


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
