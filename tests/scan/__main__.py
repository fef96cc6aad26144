"""Scan the Kubernetes objects and AWS resources of prod and local: `make scan`.

Prints the findings that tests/scan/excuses.yaml does not accept, and excuses without a finding.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from ops import stack_files
from tests.scan import cloudformation, excuses, manifests, scanners
from tests.scan.excuses import Excuse, Finding

STACKS = ("prod", "local")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--charts", type=Path, default=Path("charts"), help="folder of the archives"
    )
    charts = parser.parse_args().charts
    try:
        findings = [finding for stack in STACKS for finding in _scan(stack, charts)]
        accepted = excuses.read()
    except (scanners.Broken, cloudformation.Untranslated, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 2
    except FileNotFoundError as missing:
        print(f"{missing.filename} is missing; `mise install` installs it", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as failed:
        print(f"helm: {failed.stderr.strip()}\nRun `make charts CHARTS={charts}`", file=sys.stderr)
        return 2
    to_do = problems(findings, accepted)
    print("\n".join([*summary(findings, accepted), *to_do]))
    return 1 if to_do else 0


def _scan(stack: str, charts: Path) -> list[Finding]:
    snapshot, _ = stack_files.run_stack(stack)
    objects = manifests.objects(snapshot, charts)
    template = cloudformation.template(snapshot)
    with tempfile.TemporaryDirectory() as folder:
        return scanners.scan(stack, objects, template, Path(folder))


def summary(findings: list[Finding], accepted: list[Excuse]) -> list[str]:
    open_ = excuses.not_excused(findings, accepted)
    return [
        f"{stack}: {sum(f.stack == stack for f in findings)} findings, "
        f"{sum(f.stack == stack for f in open_)} not excused"
        for stack in STACKS
    ]


def problems(findings: list[Finding], accepted: list[Excuse]) -> list[str]:
    """What the reader of the report has to do; empty if there is nothing."""
    lines: list[str] = []
    if open_ := excuses.not_excused(findings, accepted):
        lines += ["", "Fix these, or add an excuse with a reason to tests/scan/excuses.yaml:"]
        lines += [f"  {f.stack:6} {f.tool:9} {f.check:12} {f.resource}: {f.what}" for f in open_]
    if stale := list(excuses.unused(findings, accepted)):
        lines += ["", "Remove these from tests/scan/excuses.yaml, since no finding matches them:"]
        lines += [f"  {each}" for each in stale]
    return lines


if __name__ == "__main__":
    sys.exit(main())
