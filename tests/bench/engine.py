"""The AWS stacks in a simulated account: preview, `pulumi up` from nothing and again, and what policies cost.

Figures are seconds of wall time. `pulumi up` is what the account and the cluster need; `make up` checks the
settings, the policies and the cluster before it, and asks Airflow for its health after it.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from google.protobuf import empty_pb2

from ops import stack_files
from ops.plan import policy_report
from tests.bench.platform import clock, show
from tests.engine import pack
from tests.engine.account import GIT_IN_CLUSTER, Account, AwsStack


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-engine", description=__doc__)
    parser.add_argument(
        "--charts", type=Path, required=True, help="directory of the chart archives"
    )
    parser.add_argument("--rounds", type=int, default=2, help="installations of the stack dev")
    arguments = parser.parse_args()
    charts = arguments.charts.resolve()

    with tempfile.TemporaryDirectory() as name, Account.open(Path(name, "account")) as account:
        folder = Path(name)
        prod = AwsStack.copy("prod", folder / "prod", account, charts)
        previews = [clock(lambda: prod.pulumi("preview")) for _ in range(3)]
        show("pulumi preview of prod", previews, limit=20)

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
            status, said = dev.make("down")
            if status:
                raise RuntimeError(said)
    show("pulumi up of dev from nothing", ups, limit=240)
    show("pulumi up with nothing to do", again, limit=20)
    show("make up with nothing to do", made)
    ratio = statistics.median(ups) / statistics.median(again)
    print(f"{'  from nothing / nothing to do':32}{ratio:8.2f}")

    declaration, settings = stack_files.run_stack("prod")
    policies = [
        clock(lambda: policy_report.evaluate("prod", declaration, settings.policies))
        for _ in range(20)
    ]
    show("policies of the plan on prod", policies, limit=1)
    # What `--policy-pack policies` adds: the start of the pack, then its answer to all resources.
    starts: list[float] = []
    answers: list[float] = []
    question = pack.request(declaration.resources.values())
    for _ in range(10):
        began = time.monotonic()
        with pack.started("prod") as stub:
            stub.GetAnalyzerInfo(empty_pb2.Empty(), timeout=30)
            starts.append(time.monotonic() - began)
            answers.append(clock(lambda stub=stub: stub.AnalyzeStack(question, timeout=30)))
    show("start of the policy pack", starts)
    show("policy pack on prod", answers, limit=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
