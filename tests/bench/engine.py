"""The AWS stacks in a simulated account: preview, `pulumi up` from nothing and again, and policies.

Figures are seconds of wall time. `pulumi up` is the deployment alone; `make up` also checks
settings, policies and the cluster before it, and Airflow's health after it.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from google.protobuf import empty_pb2

from ops import stack_files
from ops.plan import policy_report
from tests.bench.figures import clock, show_range, show_ratio
from tests.engine import pack
from tests.engine.account import GIT_IN_CLUSTER, Account, AwsStack


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-engine", description=__doc__)
    parser.add_argument("--charts", type=Path, required=True, help="directory with airflow-*.tgz")
    parser.add_argument("--rounds", type=int, default=2, help="installations of the stack dev")
    arguments = parser.parse_args()
    charts = arguments.charts.resolve()

    with tempfile.TemporaryDirectory() as name, Account.open(Path(name, "account")) as account:
        folder = Path(name)
        prod = AwsStack.copy("prod", folder / "prod", account, charts)
        previews = [clock(lambda: prod.pulumi("preview")) for _ in range(3)]
        show_range("pulumi preview of prod", previews, "20")

        ups: list[float] = []
        again: list[float] = []
        made: list[float] = []
        for number in range(arguments.rounds):
            dev = AwsStack.copy("dev", folder / f"dev-{number}", account, charts, **GIT_IN_CLUSTER)
            ups.append(clock(lambda dev=dev: dev.pulumi("up", "--yes", "--skip-preview")))
            again += [
                clock(lambda dev=dev: dev.pulumi("up", "--yes", "--skip-preview")) for _ in range(3)
            ]
            made += [clock(dev.up) for _ in range(2)]
            status, output = dev.make("down")
            if status:
                raise RuntimeError(output)
    show_range("pulumi up of dev from nothing", ups, "240")
    show_range("pulumi up with nothing to do", again, "20")
    show_range("make up with nothing to do", made)
    show_ratio("from nothing / nothing to do", ups, again)

    snapshot, settings = stack_files.run_stack("prod")
    policies = [
        clock(lambda: policy_report.evaluate("prod", snapshot, settings.policies))
        for _ in range(20)
    ]
    show_range("policies of the plan on prod", policies, "1")
    # The cost of `--policy-pack policies`: start of the pack, analysis of all resources.
    starts: list[float] = []
    answers: list[float] = []
    request = pack.request(snapshot.resources.values())
    for _ in range(10):
        began = time.monotonic()
        with pack.started("prod") as stub:
            stub.GetAnalyzerInfo(empty_pb2.Empty(), timeout=30)
            starts.append(time.monotonic() - began)
            answers.append(clock(lambda stub=stub: stub.AnalyzeStack(request, timeout=30)))
    show_range("start of the policy pack", starts)
    show_range("policy pack on prod", answers, "1")
    return status()


if __name__ == "__main__":
    sys.exit(main())
