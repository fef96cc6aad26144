"""`make plan`: shows the resources of a stack offline, without the Pulumi CLI."""

import json
import sys
from pathlib import Path

import pulumi

from ops import stack_files
from ops.plan import formats, report


def plan(stack: str, as_json: bool = False, dags: Path | None = None) -> int:
    """Print the plan of a stack. Returns 1 if the stack file is invalid or a rule is broken."""
    try:
        snapshot, settings = stack_files.run_stack(stack)
    except pulumi.RunError as error:
        if as_json:
            print(json.dumps({"stack": stack, "mistakes": str(error).splitlines()}))
        print(error, file=sys.stderr)
        return 1
    plan_report = report.make(stack, settings, snapshot, dags)
    if as_json:
        print(json.dumps(formats.as_json(plan_report), indent=2, sort_keys=True, default=repr))
    else:
        print("\n".join(formats.text(plan_report)))
    return 1 if plan_report.policy_report.broken else 0
