"""Loads and figures of `make bench-workers`, for the stack local and for the chart's defaults."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.bench import load
from tests.bench.figures import show, show_one
from tests.bench.load import BODY, CHAIN, HOPS, LOAD, NO_OP, Outcome, Run, Task
from tests.bench.usage import connections_by_component, cpu_seconds, used_by_component
from tests.harness.checkout import Checkout
from tests.harness.cluster import Cluster

RANDOM = random.Random()  # noqa: S311 - not used for secrets
MAX_WORKERS, SLOTS = 4, 4  # SLOTS: concurrency of a worker
# Four workers and the rest of the stack fit on two cores.
WORKERS: dict[str, Any] = {
    "min": 1,
    "max": MAX_WORKERS,
    "concurrency": SLOTS,
    "cpu": 0.25,
    "memory_mb": 1536,
    "grace_seconds": 30,
    "scaling": "fixed",
}
ONE_SLOT: dict[str, Any] = {"concurrency": 1, "cpu": 0.05, "memory_mb": 1024}
BACKLOG = [20] * 100
NO_OPS = 200
WAVE = 100  # tasks of a wave of the soak
LONGEST_SECONDS = 120
# The grace period covers the longest task.
SOAK_WORKERS: dict[str, Any] = {
    "grace_seconds": LONGEST_SECONDS + 60,
    "concurrency": 3 * SLOTS,
    "memory_mb": 2 * WORKERS["memory_mb"],
}
# KEDA starts scale-in 90 seconds after the load falls, which is before a wave ends.
REST_SECONDS = (20, 100)
DRAIN_SECONDS = 3600
HOLD_SECONDS = 1800
NO_POD_SECONDS = 120  # time limit for a pod that is not expected
Seen = TypeVar("Seen")
SMALL = 0.02  # share of CPU below which a component is not shown


@dataclass(frozen=True, kw_only=True)
class Bench:
    """`by_hand` holds the figures of the part `floor`."""

    cluster: Cluster
    checkout: Checkout
    charts: Path
    rounds: int
    pods: int
    cold: int
    tasks: int
    by_hand: list[float] = field(default_factory=list[float])

    def arrange(self, **workers: Any) -> None:
        """`make up` with other worker settings, then wait for the number of idle workers."""
        wanted = {**WORKERS, **workers}
        self.checkout.change("local", workers=wanted)
        self.checkout.up()
        self.wait_workers(wanted["max"] if wanted["scaling"] == "fixed" else wanted["min"])

    def wait_workers(self, number: int) -> None:
        load.wait(f"{number} worker(s)", lambda: len(self.cluster.pods("worker")) == number, 900)

    def wait_slots(self, workers: int, each: int = SLOTS) -> None:
        load.wait(
            f"{workers} worker(s) that run tasks",
            lambda: load.all_work(self.cluster, workers, workers * each),
            600,
        )

    def run(self, dag: str, within: float, **conf: Any) -> list[Task]:
        """Start a run and wait at most `within` seconds for its end; its tasks."""
        run = load.start(self.cluster, dag, **conf)
        load.wait_ended(self.cluster, [run], within)
        return load.tasks(self.cluster, [run])


def show_waits(bench: Bench, what: str, limit: str = "") -> None:
    figures: list[float] = []
    for _ in range(bench.rounds):
        time.sleep(RANDOM.uniform(0.2, 5))
        (task,) = bench.run(NO_OP, 120)
        figures.append(load.waited(task))
    show(what, figures, limit)


def show_throughput(bench: Bench, rate: str, hop: str) -> None:
    before = cpu_seconds(bench.cluster)
    tasks = bench.run(LOAD, DRAIN_SECONDS, seconds=[0] * NO_OPS)
    used = used_by_component(bench.cluster, before, cpu_seconds(bench.cluster))
    spent = load.spent([task for task in tasks if task.name == BODY])
    show_one(rate, 3600 * NO_OPS / spent)
    total = sum(used.values())
    show_one(f"  cores in use, of {os.cpu_count()}", total / spent)
    for component, seconds in used.items():
        if seconds >= SMALL * total:
            show_one(f"  CPU seconds of a task, {component}", seconds / NO_OPS)
    show_one(hop, load.spent(bench.run(CHAIN, DRAIN_SECONDS)) / HOPS)


def drained(bench: Bench) -> float:
    ended = bench.run(LOAD, DRAIN_SECONDS, seconds=BACKLOG)
    tasks = [task for task in ended if task.name == BODY]
    lost = len(BACKLOG) - sum(task.state == "success" for task in tasks)
    if lost:
        print(f"  {lost} of {len(BACKLOG)} tasks did not succeed", flush=True)
    return load.spent(tasks)


def new_pods(bench: Bench, grow: Callable[[int], float | None]) -> list[float]:
    """Fill the only slot, then queue one more task for each pod.

    `grow` scales to a number of pods and returns the start of the measurement; None: the queuing.
    """
    figures: list[float] = []
    with ExitStack() as held:
        held.enter_context(full(bench))
        for number in range(2, bench.pods + 2):
            run = held.enter_context(holding(bench))
            load.wait("a task in the queue", lambda run=run: queued(bench, run), every=0.2)
            begun = grow(number)
            load.wait("its body", lambda run=run: load.running(bench.cluster, run) == 1)
            # The preparing task waits for the pod; the body then runs on it alone.
            tasks = load.tasks(bench.cluster, [run])
            (first,) = [task for task in tasks if task.name != load.BODY]
            figures.append(load.waited(first) if begun is None else (first.started or 0) - begun)
    return figures


def show_from_zero(bench: Bench, what: str, limit: str = "") -> None:
    figures: list[float] = []
    for _ in range(bench.cold):
        bench.wait_workers(0)
        (task,) = bench.run(NO_OP, 600)
        figures.append(load.waited(task))
    show(what, figures, limit)


@contextmanager
def started(bench: Bench, dag: str, **conf: Any) -> Generator[Run]:
    """A run that is stopped at the end."""
    run = load.start(bench.cluster, dag, **conf)
    try:
        yield run
    finally:
        load.stop(bench.cluster, [run])


def holding(bench: Bench) -> AbstractContextManager[Run]:
    """A run whose body occupies its slot."""
    return started(bench, LOAD, seconds=[HOLD_SECONDS])


@contextmanager
def full(bench: Bench) -> Generator[None]:
    """A running task in the only slot."""
    with holding(bench) as run:
        load.wait("its body", lambda: load.running(bench.cluster, run) == 1)
        yield


def show_no_pod(bench: Bench, what: str) -> None:
    """Wait for one task; without a worker it is stopped."""
    with started(bench, NO_OP) as run:
        load.wait("a task in the queue", lambda: queued(bench, run), every=0.2)
        time.sleep(NO_POD_SECONDS)
        (task,) = load.tasks(bench.cluster, [run])
    if task.started is None:
        print(f"{what:44}no worker within {NO_POD_SECONDS} s", flush=True)
    else:
        show(what, [load.waited(task)])


def show_scale_in(bench: Bench, what: str, limit: str = "") -> None:
    # Sleeping tasks use no CPU, so `scaling: cpu` adds no worker; starting no-op tasks does.
    run = load.start(bench.cluster, LOAD, seconds=[0] * 5 * NO_OPS)
    bench.wait_workers(MAX_WORKERS)
    load.wait_ended(bench.cluster, [run], DRAIN_SECONDS)
    ended = load.last_ended(load.tasks(bench.cluster, [run]))
    bench.wait_workers(1)
    show_one(what, time.time() - ended, limit)


def show_soak(bench: Bench, what: str, limit: str = "") -> Outcome:
    """The same tasks each time, in waves; the next wave starts during scale-in."""
    chosen = random.Random(bench.tasks)  # noqa: S311 - not used for secrets
    runs: list[Run] = []
    begun = time.monotonic()
    for first in range(0, bench.tasks, WAVE):
        size = min(WAVE, bench.tasks - first)
        seconds = [chosen.randint(1, LONGEST_SECONDS) for _ in range(size)]
        run = load.start(bench.cluster, LOAD, seconds=seconds)
        runs.append(run)
        seen = watched(
            bench, run, lambda: len(bench.cluster.pods("worker")), DRAIN_SECONDS, every=5
        )
        print(f"  a wave of {size} tasks, {min(seen)} to {max(seen)} workers", flush=True)
        time.sleep(chosen.uniform(*REST_SECONDS))
    outcome = load.outcome_of(bench.cluster, runs, bench.tasks)
    retries = sum(task.tries - 1 for task in load.bodies(bench.cluster, runs))
    minutes = (time.monotonic() - begun) / 60
    print(
        f"{what:44}{outcome}, retries {retries}, {minutes:.0f} minutes{f'   limit {limit}' if limit else ''}",
        flush=True,
    )
    return outcome


def show_connections(bench: Bench, what: str, each: int) -> int:
    """The largest number of connections while every slot of all workers runs a task."""
    bench.wait_slots(MAX_WORKERS, each)
    run = load.start(bench.cluster, LOAD, seconds=[60] * MAX_WORKERS * each)
    load.wait(
        "running tasks in all slots", lambda: load.running(bench.cluster, run) == MAX_WORKERS * each
    )
    seen = watched(bench, run, lambda: connections_by_component(bench.cluster), 600, every=2)
    largest = max(seen, key=Counter.total)
    show_one(what, largest.total())
    for component, number in sorted(largest.items()):
        show_one(f"  connections of {component}", number)
    return largest.total()


def queued(bench: Bench, run: Run) -> bool:
    return any(task.queued for task in load.tasks(bench.cluster, [run]))


def watched(
    bench: Bench, run: Run, poll: Callable[[], Seen], seconds: float, *, every: float
) -> list[Seen]:
    """The results of polling until a run ends."""
    seen: list[Seen] = []

    def has_ended() -> bool:
        seen.append(poll())
        return not load.unfinished(bench.cluster, [run])

    load.wait("the end of the run", has_ended, seconds, every=every)
    return seen
