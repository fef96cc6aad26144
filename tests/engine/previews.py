"""python -m tests.engine.previews: regenerate the summary of each AWS stack's first preview."""

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
    """The output of `pulumi preview --json`."""
    return json.loads(stack.pulumi("preview", "--json"))


def summary(output: dict[str, Any]) -> str:
    """The number of resources of each type, and how many of them are protected."""
    states = [step["newState"] for step in output["steps"] if step["op"] == "create"]
    counts = collections.Counter(state["type"] for state in states)
    protected = collections.Counter(state["type"] for state in states if state.get("protect"))
    lines = [f"{sum(counts.values())} resources"]
    for kind, count in sorted(counts.items()):
        protect = f", {protected[kind]} protected" if protected[kind] else ""
        lines.append(f"{count:3} {kind}{protect}")
    return "\n".join(lines) + "\n"


def warnings(output: dict[str, Any]) -> Iterator[str]:
    for diagnostic in output.get("diagnostics", []):
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
            print(f"wrote tests/engine/previews/{name}.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
