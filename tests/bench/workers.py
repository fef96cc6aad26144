"""Latency of tasks and of worker scaling on the stack local, beside the chart's defaults.

Figures are seconds since Airflow queued a task; its database and this program must have the same
clock. Some parts repeat the load with the worker defaults of the chart and of Airflow, on the same
stack.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench import load
from tests.bench.figures import percentile, show, show_one, status, step
from tests.bench.load import HOPS, NAMESPACE
from tests.bench.usage import planned_connections
from tests.bench.worker_bench import (
    BACKLOG,
    MAX_WORKERS,
    ONE_SLOT,
    SLOTS,
    SOAK_WORKERS,
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
        "--only",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="PART",
        help=f"parts to measure: {', '.join(PARTS)}; default: all",
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
        # Last: they change the release without Pulumi.
        if set(arguments.only) & BY_DEFAULT.keys():
            bench.arrange(scaling="queue")
            failed += _measure(bench, BY_DEFAULT, arguments.only)
    for name in failed:
        print(f"failed: {name}", flush=True)
    return 1 if failed else status()


def _measure(
    bench: Bench, parts: Mapping[str, Callable[[Bench], None]], only: Sequence[str]
) -> list[str]:
    """Measure the selected parts and return the failed ones: the other figures remain valid."""
    failed: list[str] = []
    for name, part in parts.items():
        if name not in only:
            continue
        title = f"{name}, the chart's defaults" if parts is BY_DEFAULT else name
        step(title)
        try:
            part(bench)
        except (*load.UNAVAILABLE, RuntimeError) as error:
            print(f"{error}\n{getattr(error, 'stderr', None) or ''}", flush=True)
            failed.append(title)
    return failed


def queued_running(bench: Bench) -> None:
    bench.arrange(max=1)
    bench.wait_slots(1)
    show_waits(bench, "queued until running, a slot is free", "p95 3")
    bench.arrange(scaling="cpu", max=1)
    bench.wait_slots(1)
    show_waits(bench, "  scaling: cpu")


def floor(bench: Bench) -> None:
    """The lower bound for any autoscaler: from `kubectl scale` until a waiting task runs."""

    def by_hand(number: int) -> float:
        now = time.time()
        _scale(bench.cluster, number)
        return now

    # Airflow runs at most as many tasks as `max` allows slots: set it for all pods, scale to one.
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
    # With a smaller CPU request, idle workers exceed the target and are kept.
    bench.arrange(scaling="cpu", max=bench.pods + 1, **ONE_SLOT | {"cpu": WORKERS["cpu"]})
    with full(bench):
        show_no_pod(bench, "  scaling: cpu")


def from_zero(bench: Bench) -> None:
    bench.arrange(scaling="queue", min=0, max=1)
    show_from_zero(bench, "queued until running, from no worker", "45")
    # By hand: the settings reject `min: 0` with `scaling: cpu`.
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
    bench.wait_slots(MAX_WORKERS)
    warm = drained(bench)
    show_one(f"{what}, {MAX_WORKERS} warm workers", warm)
    bench.arrange(scaling="cpu")
    by_cpu = drained(bench)
    show_one(f"{what}, scaling: cpu", by_cpu)
    bench.arrange(scaling="queue")
    by_queue = drained(bench)
    limit = pod + 1.15 * warm
    show_one(
        f"{what}, scaling: queue",
        by_queue,
        f"{limit:.0f}: a pod + 1.15 x {MAX_WORKERS} warm workers",
    )
    show_one("  cpu / queue", by_cpu / by_queue, "2 at least")


def scale_in(bench: Bench) -> None:
    bench.arrange(scaling="queue")
    show_scale_in(bench, f"idle, until {MAX_WORKERS} workers are one", "180")
    bench.arrange(scaling="cpu")
    show_scale_in(bench, "  scaling: cpu")


def soak(bench: Bench) -> None:
    bench.arrange(scaling="queue", **SOAK_WORKERS)
    outcome = show_soak(bench, f"soak of {bench.tasks} tasks", "0 of each")
    bench.arrange(scaling="cpu", **SOAK_WORKERS)
    show_soak(bench, "  scaling: cpu")
    if outcome != load.Outcome(lost=0, doubled=0, killed=0):
        raise RuntimeError(f"soak: {outcome}")


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
        _beside_the_plan(bench, f"connections, {MAX_WORKERS} workers x {each}", each)
    bench.arrange(scaling="cpu", min=MAX_WORKERS)
    _beside_the_plan(bench, "  scaling: cpu", SLOTS)


def _beside_the_plan(bench: Bench, what: str, each: int) -> None:
    planned = planned_connections(bench.checkout.done("plan", "ARGS=--json"))
    measured = show_connections(bench, what, each)
    show_one("  measured / planned", measured / planned, "0.9 to 1.1")


def day_two(bench: Bench) -> None:
    """From an operator's command until its effect, which is its end except for `scale`."""
    bench.arrange(scaling="queue")
    queue, maximum = "QUEUE=default", MAX_WORKERS + 1
    begun = time.monotonic()
    with bench.checkout.start("scale", "local", queue, f"MAX={maximum}") as process:
        load.wait("the new maximum", lambda: _maximum(bench.cluster) == maximum, every=0.5)
        show_one("make scale, until the maximum holds", time.monotonic() - begun, "30")
        output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(output)
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
    """KEDA's maximum number of workers."""
    (scaled,) = cluster.get("scaledobjects")
    return scaled["spec"]["maxReplicaCount"]


def _scale(cluster: Cluster, number: int) -> None:
    cluster.kubectl("-n", NAMESPACE, "scale", "deployment/airflow-worker", f"--replicas={number}")


def _p95(figures: Sequence[float]) -> float:
    return percentile(figures, 0.95)


# Ordered for few changes of the stack. Each part is independent.
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
