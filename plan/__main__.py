"""python -m plan --stack prod [--json] [--dags ../airflow-dags]"""

import argparse
import json
import signal
import sys
from pathlib import Path

import pulumi

from plan import engine, report


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make plan",
        description="Show what a stack would create. Needs no network, account, Pulumi CLI or cluster.",
    )
    parser.add_argument("--stack", required=True, help=f"one of {', '.join(engine.stack_names())}")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument(
        "--dags",
        type=Path,
        help="the repository of the DAGs: compare its queues with those of the stack",
    )
    arguments = parser.parse_args()
    try:
        made = _plan(arguments.stack, arguments.dags)
    except pulumi.RunError as mistake:
        if arguments.json:
            print(json.dumps({"stack": arguments.stack, "mistakes": str(mistake).splitlines()}))
        print(mistake, file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(report.as_json(made), indent=2, sort_keys=True, default=repr))
    else:
        print("\n".join(report.text(made)))
    return 1 if made.verdict.broken else 0


def _plan(stack: str, dags: Path | None) -> report.Report:
    declaration, settings = engine.run_stack(stack)
    return report.make(stack, settings, declaration, dags)


if __name__ == "__main__":
    # `make plan | head` ends quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
