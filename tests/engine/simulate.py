"""python -m tests.engine.simulate --stack dev --charts charts: an AWS stack on your own Kubernetes."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ops import stack_files
from settings.policies import PolicySettings
from tests.engine.account import GIT_INSIDE, Account, AwsStack, NotStarted

# A Git host inside the cluster is for development, and here it stands in for the real one.
EXCUSED = {
    "stateful-resources-protected": "a simulated account: its Git server has the files of the checkout"
}


def main() -> int:
    names = [name for name in stack_files.stack_names() if _on_aws(name)]
    parser = argparse.ArgumentParser(
        prog="make simulate",
        description="Deploy an AWS stack into a simulated account. EKS is the Kubernetes of a kubeconfig "
        "context, RDS a PostgreSQL in it; no AWS account is needed or touched. Ctrl-C removes all of it.",
    )
    parser.add_argument("--stack", required=True, choices=names, help="whose Pulumi.<stack>.yaml")
    parser.add_argument(
        "--charts", type=Path, required=True, help="directory of the chart archives"
    )
    parser.add_argument("--context", default="kind-airflow", help="kubeconfig context behind EKS")
    arguments = parser.parse_args()
    if not list(arguments.charts.glob("airflow-*.tgz")):
        print(f"{arguments.charts} has no airflow-*.tgz: run `make charts`", file=sys.stderr)
        return 1
    # SIGTERM ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        print(f"a simulated account on {arguments.context} ...", flush=True)
        with Account.open(Path(folder, "account"), arguments.context) as account:
            charts = arguments.charts.resolve()
            stack = AwsStack.copy(arguments.stack, Path(folder, arguments.stack), account, charts)
            stack.change(**changes(stack.settings()))
            return _session(stack)


def changes(settings: dict[str, Any]) -> dict[str, Any]:
    """What a stack with these settings does otherwise in a simulated account."""
    policies = settings.get("policies", {})
    # An excuse from a rule that does not hold would break a rule of its own.
    if PolicySettings(**policies).level != "production":
        return GIT_INSIDE
    return {**GIT_INSIDE, "policies": {"exceptions": {**policies.get("exceptions", {}), **EXCUSED}}}


def _session(stack: AwsStack) -> int:
    status = _make(stack, "up")
    if status:
        return status
    lines = [
        "",
        "To use the account from another terminal:",
        f"  cd {stack.checkout.folder}",
        *(f"  export {key}='{value}'" for key, value in stack.environment.items()),
        f"then `make preview STACK={stack.name}`, `pulumi stack`, `aws ec2 describe-vpcs`, ...",
        "",
        "Ctrl-C removes all of it.",
    ]
    print("\n".join(lines), flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("removing the simulated account ...", flush=True)
    return 0


def _make(stack: AwsStack, target: str) -> int:
    """Run a command of the checkout with its own output, as a person would see it."""
    command = ["make", "--no-print-directory", target, f"STACK={stack.name}"]
    environment = {**os.environ, **stack.environment}
    return subprocess.run(
        command, cwd=stack.checkout.folder, env=environment, check=False
    ).returncode


def _on_aws(name: str) -> bool:
    return any(key == "aws:region" for key, _, _ in stack_files.read_stack(name))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotStarted as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
