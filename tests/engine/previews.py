"""python -m tests.engine.previews: write anew what a first `pulumi preview` of each AWS stack creates."""

import argparse
import collections
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.engine.account import Account, AwsStack

FOLDER = Path(__file__).with_name("previews")
STACKS = ("dev", "staging", "prod")


def preview(stack: AwsStack) -> dict[str, Any]:
    """What `pulumi preview --json` says."""
    return json.loads(stack.pulumi("preview", "--json"))


def summary(said: dict[str, Any]) -> str:
    """How many of each type, and how many of them protected: what a reviewer looks at first."""
    states = [step["newState"] for step in said["steps"] if step["op"] == "create"]
    counts = collections.Counter(state["type"] for state in states)
    protected = collections.Counter(state["type"] for state in states if state.get("protect"))
    lines = [f"{sum(counts.values())} resources"]
    for kind, count in sorted(counts.items()):
        kept = f", {protected[kind]} protected" if protected[kind] else ""
        lines.append(f"{count:3} {kind}{kept}")
    return "\n".join(lines) + "\n"


def warnings(said: dict[str, Any]) -> Iterator[str]:
    for diagnostic in said.get("diagnostics", []):
        if diagnostic.get("severity") in ("warning", "error"):
            yield diagnostic["message"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.engine.previews", description=__doc__)
    parser.add_argument(
        "--charts", type=Path, required=True, help="directory of the chart archives"
    )
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Account.open(Path(folder, "account")) as account,
    ):
        for name in STACKS:
            stack = AwsStack.copy(name, Path(folder, name), account, arguments.charts.resolve())
            (FOLDER / f"{name}.txt").write_text(summary(preview(stack)))
            print(f"tests/engine/previews/{name}.txt is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
