"""python -m tests.engine.simulate --stack dev --charts charts: an AWS stack on your Kubernetes."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# UNUSED plan.engine
from ops import stack_files
from settings.policies import PolicySettings
from tests.engine.account import GIT_IN_CLUSTER, Account, AwsStack, NotStarted
from tests.engine.simulator.backends.endpoint import Machine

# In production the policies refuse a Git server inside the cluster; here it replaces the real one.
EXCEPTIONS = {
    "stateful-resources-protected": "a simulated account: its Git server only holds the files of the checkout"
}


def main() -> int:
    names = [name for name in stack_files.stack_names() if _on_aws(name)]
    parser = argparse.ArgumentParser(
        prog="make simulate",
        description="Deploy an AWS stack into a simulated AWS account. EKS is the Kubernetes of a kubeconfig "
        "context, RDS a PostgreSQL pod in it; no AWS account is used. Ctrl-C deletes all resources.",
    )
    parser.add_argument(
        "--stack", required=True, choices=names, help="name of a Pulumi.<stack>.yaml"
    )
    parser.add_argument(
        "--charts", type=Path, required=True, help="directory of the chart archives"
    )
    parser.add_argument(
        "--context", default="kind-airflow", help="kubeconfig context that serves as EKS"
    )
    arguments = parser.parse_args()
    if not list(arguments.charts.glob("airflow-*.tgz")):
        print(f"{arguments.charts} has no airflow-*.tgz: run `make charts`", file=sys.stderr)
        return 1
    # SIGTERM has the effect of Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        print(f"starting a simulated account on {arguments.context} ...", flush=True)
        with Account.open(Path(folder, "account"), arguments.context) as account:
            charts = arguments.charts.resolve()
            stack = AwsStack.copy(arguments.stack, Path(folder, arguments.stack), account, charts)
            stack.change(**changes(stack.settings()))
            private = stack.settings()["cluster"].get("private_endpoint", False)
            return _session(stack, f"FROM={Machine.public}" if private else "")


def changes(settings: dict[str, Any]) -> dict[str, Any]:
    """Changes to the settings of a stack for a simulated account."""
    policies = settings.get("policies", {})
    # An exception from a rule that is not active breaks a rule itself.
    if PolicySettings(**policies).level != "production":
        return GIT_IN_CLUSTER
    return {
        **GIT_IN_CLUSTER,
        "policies": {"exceptions": {**policies.get("exceptions", {}), **EXCEPTIONS}},
    }


def _session(stack: AwsStack, caller: str) -> int:
    status = _make(stack, "up", caller)
    if status:
        return status
    lines = [
        "",
        "To use the account from another terminal:",
        f"  cd {stack.checkout.folder}",
        *(f"  export {key}='{value}'" for key, value in stack.environment.items()),
        f"then `make preview STACK={stack.name}`, `pulumi stack`, `aws ec2 describe-vpcs`, ...",
        "",
        "Ctrl-C deletes all resources.",
    ]
    print("\n".join(lines), flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("deleting the simulated account ...", flush=True)
    return 0


def _make(stack: AwsStack, target: str, caller: str) -> int:
    """Run a make target of the checkout on this terminal. `caller` is `FROM=...`, or empty."""
    command = ["make", "--no-print-directory", target, f"STACK={stack.name}", *caller.split()]
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
