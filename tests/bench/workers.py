"""How soon a task runs, and how well the number of workers follows the work: the stack local, part by part.

Figures are seconds, from the moment in which Airflow queues a task; its database and this program should
have one clock. Parts that compare do it with the worker settings of the chart and of Airflow, on the same
stack.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench import load
from tests.bench.connections import loaded_connections
from tests.bench.figures import percentile, show, show_one, step
from tests.bench.load import HOPS, NAMESPACE
from tests.bench.worker_bench import (
    BACKLOG,
    MOST,
    ONE_SLOT,
    SLOTS,
    SOAKED,
    WORKERS,
    Bench,
    drained,
    full,
    new_pods,
    show_connections,
    show_from_zero,
    show_no_pod,
    show_scale_in,
    show_soak,
    show_throughput,
    show_waits,
)
from tests.bench.worker_defaults import BY_DEFAULT
from tests.harness.cluster import Cluster


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-workers", description=__doc__)
    parser.add_argument("--charts", type=Path, required=True, help="directory with airflow-*.tgz")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=_names()
    )
    parser.add_argument("--rounds", type=int, default=20, help="tasks of queued-running")
    parser.add_argument("--pods", type=int, default=5, help="pods of floor and of new-pod")
    parser.add_argument("--cold", type=int, default=3, help="rounds of from-zero")
    parser.add_argument("--tasks", type=int, default=1000, help="tasks of soak")
    arguments = parser.parse_args()
    charts = arguments.charts.resolve()
    failed: list[str] = []

    with load.stack(charts, workers=WORKERS) as (checkout, cluster):
        bench = Bench(
            cluster=cluster,
            checkout=checkout,
            charts=charts,
            rounds=arguments.rounds,
            pods=arguments.pods,
            cold=arguments.cold,
            tasks=arguments.tasks,
        )
        failed += _measure(bench, PARTS, arguments.only)
        # Last: Pulumi knows nothing of what is changed there.
        if set(arguments.only) & BY_DEFAULT.keys():
            bench.arrange(scaling="queue")
            failed += _measure(bench, BY_DEFAULT, arguments.only)
    for name in failed:
        print(f"failed: {name}", flush=True)
    return 1 if failed else 0


def _names() -> str:
    return f"parts to measure, of {', '.join(PARTS)}; all of them if not given"


def _measure(
    bench: Bench, parts: Mapping[str, Callable[[Bench], None]], only: Sequence[str]
) -> list[str]:
    """Measure parts. Gives those that failed: the others are still worth their time."""
    failed: list[str] = []
    for name, part in parts.items():
        if name not in only:
            continue
        what = f"{name}, the chart's defaults" if parts is BY_DEFAULT else name
        step(what)
        try:
            part(bench)
        except (*load.AWAY, RuntimeError) as error:
            print(f"{error}\n{getattr(error, 'stderr', None) or ''}", flush=True)
            failed.append(what)
    return failed


def queued_running(bench: Bench) -> None:
    bench.arrange(max=1)
    bench.wait_slots(1)
    show_waits(bench, "queued until running, a slot is free", "p95 3")
    bench.arrange(scaling="cpu", max=1)
    bench.wait_slots(1)
    show_waits(bench, "  scaling: cpu")


def floor(bench: Bench) -> None:
    """The time that a pod needs by itself: from `kubectl scale` until a task that waits for it runs."""

    def by_hand(number: int) -> float:
        now = time.time()
        _scale(bench.cluster, number)
        return now

    # Airflow lets no more tasks run than there may be slots: as many workers as will come, then one of them.
    bench.arrange(max=bench.pods + 1, **ONE_SLOT)
    _scale(bench.cluster, 1)
    bench.wait_workers(1)
    bench.by_hand[:] = new_pods(bench, by_hand)
    _scale(bench.cluster, 1)
    show("a pod by hand, until its first task runs", bench.by_hand)


def new_pod(bench: Bench) -> None:
    if not bench.by_hand:
        floor(bench)
    bench.arrange(scaling="queue", max=bench.pods + 1, **ONE_SLOT)
    figures = new_pods(bench, lambda _: None)
    show("queued until running, on a new pod", figures, "p95 30")
    show_one("  by hand / by queue, p95 of each", _p95(bench.by_hand) / _p95(figures))
    # Of a smaller request an idle worker uses so much that several stay.
    bench.arrange(scaling="cpu", max=bench.pods + 1, **ONE_SLOT | {"cpu": WORKERS["cpu"]})
    with full(bench):
        show_no_pod(bench, "  scaling: cpu")


def from_zero(bench: Bench) -> None:
    bench.arrange(scaling="queue", min=0, max=1)
    show_from_zero(bench, "queued until running, from no worker", "45")
    # Settings refuse `min: 0` with it, so by hand.
    bench.arrange(scaling="cpu", max=1)
    _scale(bench.cluster, 0)
    bench.wait_workers(0)
    show_no_pod(bench, "  scaling: cpu")


def backlog(bench: Bench) -> None:
    if not bench.by_hand:
        floor(bench)
    pod = sorted(bench.by_hand)[len(bench.by_hand) // 2]
    what = f"{len(BACKLOG)} tasks of {BACKLOG[0]} s"
    bench.arrange()
    bench.wait_slots(MOST)
    warm = drained(bench)
    show_one(f"{what}, {MOST} warm workers", warm)
    bench.arrange(scaling="cpu")
    by_cpu = drained(bench)
    show_one(f"{what}, scaling: cpu", by_cpu)
    bench.arrange(scaling="queue")
    by_queue = drained(bench)
    limit = pod + 1.15 * warm
    show_one(
        f"{what}, scaling: queue", by_queue, f"{limit:.0f}: a pod + 1.15 x {MOST} warm workers"
    )
    show_one("  cpu / queue", by_cpu / by_queue, "2 at least")


def scale_in(bench: Bench) -> None:
    bench.arrange(scaling="queue")
    show_scale_in(bench, f"idle, until {MOST} workers are one", "180")
    bench.arrange(scaling="cpu")
    show_scale_in(bench, "  scaling: cpu")


def soak(bench: Bench) -> None:
    bench.arrange(scaling="queue", **SOAKED)
    became = show_soak(bench, f"soak of {bench.tasks} tasks", "0 of each")
    bench.arrange(scaling="cpu", **SOAKED)
    show_soak(bench, "  scaling: cpu")
    if became != load.Outcome(lost=0, doubled=0, killed=0):
        raise RuntimeError(f"soak: {became}")


def throughput(bench: Bench) -> None:
    bench.arrange(max=2)
    bench.wait_slots(2)
    show_throughput(
        bench, f"no-op tasks an hour, 2 workers x {SLOTS}", f"a hop in a chain of {HOPS}"
    )
    bench.arrange(scaling="cpu", min=2, max=2)
    bench.wait_slots(2)
    show_throughput(bench, "  scaling: cpu, tasks an hour", "  scaling: cpu, a hop")


def connections(bench: Bench) -> None:
    for each in (2 * SLOTS, SLOTS):
        bench.arrange(concurrency=each, memory_mb=WORKERS["memory_mb"] * each // SLOTS)
        _beside_the_plan(bench, f"connections, {MOST} workers x {each}", each)
    bench.arrange(scaling="cpu", min=MOST)
    _beside_the_plan(bench, "  scaling: cpu", SLOTS)


def _beside_the_plan(bench: Bench, what: str, each: int) -> None:
    planned = loaded_connections(bench.checkout.done("plan", "ARGS=--json"))
    most = show_connections(bench, what, each, f"{planned} of the plan, +- 10 %")
    show_one("  measured / planned", most / planned, "0.9 to 1.1")


def day_two(bench: Bench) -> None:
    """From a command of an operator until it has its effect, which but for `scale` is its end."""
    bench.arrange(scaling="queue")
    queue, most = "QUEUE=default", MOST + 1
    begun = time.monotonic()
    with bench.checkout.start("scale", "local", queue, f"MAX={most}") as process:
        load.patient("the new maximum", lambda: _maximum(bench.cluster) == most, every=0.5)
        show_one("make scale, until the maximum holds", time.monotonic() - begun, "30")
        said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(said)
    show_one("  until all is healthy", time.monotonic() - begun)
    commands = {
        "make queues": ["queues"],
        "make drain, until nothing new starts": ["drain", queue],
        "make undrain": ["undrain", queue],
        "make pause": ["pause"],
        "make resume": ["resume"],
    }
    for what, (target, *variables) in commands.items():
        begun = time.monotonic()
        bench.checkout.done(target, *variables)
        show_one(what, time.monotonic() - begun, "30")


def _maximum(cluster: Cluster) -> int:
    """Of workers, as KEDA has it."""
    (scaled,) = cluster.get("scaledobjects")
    return scaled["spec"]["maxReplicaCount"]


def _scale(cluster: Cluster, number: int) -> None:
    cluster.kubectl("-n", NAMESPACE, "scale", "deployment/airflow-worker", f"--replicas={number}")


def _p95(figures: Sequence[float]) -> float:
    return percentile(figures, 0.95)


# In an order that changes the stack seldom. Each is complete by itself.
PARTS: dict[str, Callable[[Bench], None]] = {
    "queued-running": queued_running,
    "throughput": throughput,
    "connections": connections,
    "floor": floor,
    "backlog": backlog,
    "scale-in": scale_in,
    "day-two": day_two,
    "new-pod": new_pod,
    "from-zero": from_zero,
    "soak": soak,
}


if __name__ == "__main__":
    sys.exit(main())
