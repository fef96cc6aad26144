"""What the parts of `make bench-workers` share: the stack, its workers, and loads that are shown alike."""

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
from tests.bench.connections import connections_by_component
from tests.bench.cpu import cpu_seconds, used_by_component
from tests.bench.figures import bound, show, show_one
from tests.bench.load import BODY, CHAIN, HOPS, LOAD, NO_OP, Outcome, Run, Task
from tests.harness.checkout import Checkout
from tests.harness.cluster import Cluster

RANDOM = random.Random()  # noqa: S311 - no secret comes of it
MOST, SLOTS = 4, 4  # workers at the most, and tasks that each runs at a time
# Four of them and the rest of the stack fit on two cores.
WORKERS: dict[str, Any] = {
    "min": 1,
    "max": MOST,
    "concurrency": SLOTS,
    "cpu": 0.25,
    "memory_mb": 1536,
    "grace_seconds": 30,
    "scaling": "fixed",
}
ONE_SLOT: dict[str, Any] = {"concurrency": 1, "cpu": 0.05, "memory_mb": 1024}
BACKLOG = [20] * 100
NO_OPS = 200
WAVE = 100  # tasks of the soak at once
LONGEST_SECONDS = 120
# Each of its tasks may end on a worker that goes.
SOAKED: dict[str, Any] = {
    "grace_seconds": LONGEST_SECONDS + 60,
    "concurrency": 3 * SLOTS,
    "memory_mb": 2 * WORKERS["memory_mb"],
}
# KEDA takes the first worker away 90 seconds after work got less, which is before a wave has ended.
REST_SECONDS = (20, 100)
DRAIN_SECONDS = 3600
HOLD_SECONDS = 1800
GIVEN_SECONDS = 120  # to a pod that is not expected
Seen = TypeVar("Seen")
SMALL = 0.02  # of all CPU: components that use less are not shown


@dataclass(frozen=True, kw_only=True)
class Bench:
    """`by_hand` keeps what `floor` measured."""

    cluster: Cluster
    checkout: Checkout
    charts: Path
    rounds: int
    pods: int
    cold: int
    tasks: int
    by_hand: list[float] = field(default_factory=list[float])

    def arrange(self, **workers: Any) -> None:
        """`make up` with other worker settings, then wait for the workers there are when nothing waits."""
        wanted = {**WORKERS, **workers}
        self.checkout.change("local", workers=wanted)
        self.checkout.up()
        self.wait_workers(wanted["max"] if wanted["scaling"] == "fixed" else wanted["min"])

    def wait_workers(self, number: int) -> None:
        load.patient(f"{number} worker(s)", lambda: len(self.cluster.pods("worker")) == number, 900)

    def wait_slots(self, workers: int, each: int = SLOTS) -> None:
        load.patient(
            f"{workers} worker(s) with tasks",
            lambda: load.all_work(self.cluster, workers, workers * each),
            600,
        )

    def run(self, dag: str, within: float, **conf: Any) -> list[Task]:
        """Start a run and wait for its end, so many seconds at the most; its tasks."""
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
    show_one("  cores in use", total / spent, f"{os.cpu_count()} that there are")
    for component, seconds in used.items():
        if seconds >= SMALL * total:
            show_one(f"  CPU seconds of a task, {component}", seconds / NO_OPS)
    show_one(hop, load.spent(bench.run(CHAIN, DRAIN_SECONDS)) / HOPS)


def drained(bench: Bench) -> float:
    ended = bench.run(LOAD, DRAIN_SECONDS, seconds=BACKLOG)
    tasks = [task for task in ended if task.name == BODY]
    lost = len(BACKLOG) - sum(task.state == "success" for task in tasks)
    if lost:
        print(f"  {lost} of {len(BACKLOG)} tasks did not end in success", flush=True)
    return load.spent(tasks)


def new_pods(bench: Bench, grow: Callable[[int], float | None]) -> list[float]:
    """Fill the only slot, then queue one task more for each pod.

    `grow` lets there be so many pods, and gives the moment that counts; None: when the task was queued.
    """
    figures: list[float] = []
    with ExitStack() as held:
        held.enter_context(full(bench))
        for number in range(2, bench.pods + 2):
            run = held.enter_context(holding(bench))
            load.patient("a task in the queue", lambda run=run: queued(bench, run), every=0.2)
            begun = grow(number)
            load.patient("its body", lambda run=run: load.running(bench.cluster, run) == 1)
            # The task that prepares the body waits for the pod; the body then has it for itself.
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
    """A run that is stopped in the end."""
    run = load.start(bench.cluster, dag, **conf)
    try:
        yield run
    finally:
        load.stop(bench.cluster, [run])


def holding(bench: Bench) -> AbstractContextManager[Run]:
    """A run whose body keeps its slot."""
    return started(bench, LOAD, seconds=[HOLD_SECONDS])


@contextmanager
def full(bench: Bench) -> Generator[None]:
    """The only slot has a task."""
    with holding(bench) as run:
        load.patient("its body", lambda: load.running(bench.cluster, run) == 1)
        yield


def show_no_pod(bench: Bench, what: str) -> None:
    """Of one task, which is given up where no worker comes for it."""
    with started(bench, NO_OP) as run:
        load.patient("a task in the queue", lambda: queued(bench, run), every=0.2)
        time.sleep(GIVEN_SECONDS)
        (task,) = load.tasks(bench.cluster, [run])
    if task.started is None:
        print(f"{what:44}no worker within {GIVEN_SECONDS} s", flush=True)
    else:
        show(what, [load.waited(task)])


def show_scale_in(bench: Bench, what: str, limit: str = "") -> None:
    # Tasks that sleep bring `cpu` no second worker; the start of each of these is work.
    run = load.start(bench.cluster, LOAD, seconds=[0] * 5 * NO_OPS)
    bench.wait_workers(MOST)
    load.wait_ended(bench.cluster, [run], DRAIN_SECONDS)
    ended = load.last_ended(load.tasks(bench.cluster, [run]))
    bench.wait_workers(1)
    show_one(what, time.time() - ended, limit)


def show_soak(bench: Bench, what: str, limit: str = "") -> Outcome:
    """The same tasks each time, in waves; the next one comes while workers go."""
    chosen = random.Random(bench.tasks)  # noqa: S311 - no secret comes of it
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
    became = load.outcome_of(bench.cluster, runs, bench.tasks)
    retries = sum(task.tries - 1 for task in load.bodies(bench.cluster, runs))
    minutes = (time.monotonic() - begun) / 60
    print(
        f"{what:44}{became}, tries again {retries}, {minutes:.0f} minutes{bound(limit)}", flush=True
    )
    return became


def show_connections(bench: Bench, what: str, each: int, limit: str = "") -> int:
    """Connections of Airflow when every slot of the most workers has a task."""
    bench.wait_slots(MOST, each)
    run = load.start(bench.cluster, LOAD, seconds=[60] * MOST * each)
    load.patient("every slot with a task", lambda: load.running(bench.cluster, run) == MOST * each)
    seen = watched(bench, run, lambda: connections_by_component(bench.cluster), 600, every=2)
    most = max(seen, key=Counter.total)
    show_one(what, most.total(), limit)
    for component, number in sorted(most.items()):
        show_one(f"  connections of {component}", number)
    return most.total()


def queued(bench: Bench, run: Run) -> bool:
    return any(task.queued for task in load.tasks(bench.cluster, [run]))


def watched(
    bench: Bench, run: Run, look: Callable[[], Seen], seconds: float, *, every: float
) -> list[Seen]:
    """What was seen at each look until a run has ended."""
    seen: list[Seen] = []

    def over() -> bool:
        seen.append(look())
        return not load.unfinished(bench.cluster, [run])

    load.patient("the end of the run", over, seconds, every=every)
    return seen
