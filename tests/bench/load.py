"""Load for the stack local and its outcome: DAGs, Airflow's tables, and a tally of the tasks.

The tally is a separate Redis: a component under fault injection cannot count the losses.
"""

import http.client
import json
import shlex
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.aws import database
from components.kubernetes import redis
from components.kubernetes.namespace import PART_OF, PODS_OF_AIRFLOW
from settings.cluster import NAMESPACE
from settings.versions import REDIS_IMAGE
from tests.bench.figures import step
from tests.harness.airflow_api import Api
from tests.harness.checkout import Checkout
from tests.harness.clone import clone_of_git_server
from tests.harness.cluster import Cluster
from tests.harness.waiting import wait_for

DAG_IDS = LOAD, NO_OP, CHAIN, POISON, HUNGRY = (
    "bench_load",
    "bench_no_op",
    "bench_chain",
    "bench_poison",
    "bench_hungry",
)
HOPS = 20
# The counted task of a run; the tasks before it only prepare it.
BODY = "body"
TALLY, KEY = "bench-tally", "bench"
ENDED = ("success", "failed")
# Errors of requests while parts of the stack are unavailable.
UNAVAILABLE = (AssertionError, OSError, subprocess.SubprocessError, http.client.HTTPException)

# Retries, timeouts and queues are the platform's: they are under test.
DAGS = f"""
import json
import os
import signal
import time

from airflow.sdk import chain, dag, get_current_context, task

SETTINGS = dict(
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,
    max_active_tasks=1000,
    max_active_runs=1000,
)


def note(what):
    import redis

    ti = get_current_context()["ti"]
    entry = dict(
        what=what, run=ti.run_id, index=ti.map_index, try_number=ti.try_number, at=time.time()
    )
    with redis.Redis("{TALLY}") as tally:
        tally.rpush("{KEY}", json.dumps(entry))


def conf(key):
    return get_current_context()["dag_run"].conf[key]


@dag(**SETTINGS)
def {LOAD}():
    @task
    def durations():
        return conf("seconds")

    @task
    def {BODY}(seconds):
        note("begin")
        time.sleep(seconds)
        note("end")

    {BODY}.expand(seconds=durations())


@dag(**SETTINGS)
def {NO_OP}():
    @task
    def {BODY}():
        note("begin")
        note("end")

    {BODY}()


@dag(**SETTINGS)
def {CHAIN}():
    @task
    def hop():
        pass

    chain(*[hop.override(task_id="hop_%02d" % index)() for index in range({HOPS})])


@dag(**SETTINGS)
def {POISON}():
    @task
    def {BODY}():
        note("begin")
        # A task is a child of a process of Celery's pool, which is a child of the worker.
        with open("/proc/%d/status" % os.getppid()) as status:
            worker = int(status.read().split("PPid:")[1].split()[0])
        os.kill(worker, signal.SIGKILL)
        time.sleep(60)

    {BODY}()


@dag(**SETTINGS)
def {HUNGRY}():
    @task
    def {BODY}():
        note("begin")
        eaten = []
        for _ in range(conf("mb") // 64):
            eaten.append(b"x" * 2**26)
        time.sleep(60)

    {BODY}()


for make in ({", ".join(DAG_IDS)}):
    make()
"""

_LABELS = {"app.kubernetes.io/name": TALLY, **PART_OF}
_METADATA = {"name": TALLY, "namespace": NAMESPACE, "labels": _LABELS}
_PORT = {"port": redis.PORT, "protocol": "TCP"}
_SELECTOR = {"app.kubernetes.io/name": TALLY}
TALLY_OBJECTS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _METADATA,
            "spec": {"selector": _SELECTOR, "ports": [_PORT]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": _METADATA,
            "spec": {
                "podSelector": {"matchLabels": _SELECTOR},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {"from": [{"podSelector": {"matchLabels": PODS_OF_AIRFLOW}}], "ports": [_PORT]}
                ],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": _METADATA,
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": redis.USER_ID,
                    "runAsGroup": redis.USER_ID,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": TALLY,
                        "image": REDIS_IMAGE,
                        "imagePullPolicy": "IfNotPresent",
                        "args": shlex.split(
                            'redis-server --save "" --appendonly no --protected-mode no'
                        ),
                        "resources": {
                            "requests": {"cpu": "10m", "memory": "64Mi"},
                            "limits": {"memory": "128Mi"},
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        },
    ],
}


@dataclass(frozen=True, kw_only=True)
class Run:
    dag: str
    id: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """The last try of a task instance in Airflow's database. Times are seconds since 1970."""

    run: str
    name: str
    index: int
    tries: int
    state: str | None
    host: str | None
    queued: float | None
    started: float | None
    ended: float | None


@dataclass(frozen=True, kw_only=True)
class Note:
    """An entry of the tally: a try of a body begins or ends."""

    what: str
    run: str
    index: int
    try_number: int
    at: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`lost`: bodies without success; `doubled`: bodies that ran to completion more than once;
    `killed`: tries that began and did not complete.
    """

    lost: int
    doubled: int
    killed: int

    def __str__(self) -> str:
        return f"lost {self.lost}, doubled {self.doubled}, killed {self.killed}"


@contextmanager
def stack(charts: Path, **settings: Any) -> Generator[tuple[Checkout, Cluster]]:
    """The stack local with the DAGs and the tally. `settings` are sections of its stack file."""
    with local_stack(charts, **settings) as (checkout, cluster):
        _install(cluster)
        yield checkout, cluster


@contextmanager
def local_stack(charts: Path, **settings: Any) -> Generator[tuple[Checkout, Cluster]]:
    """The stack local between `make up` and `make down`."""
    cluster = Cluster.of_local_stack()
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout.copy(Path(folder), charts)
        checkout.change("local", **settings)
        step("make up")
        try:
            checkout.up()
            yield checkout, cluster
        finally:
            step("make down")
            status, output = checkout.make("down")
            if status:
                print(output, flush=True)
    if status:
        raise RuntimeError("make down failed; see its output above")


def _install(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(TALLY_OBJECTS))
    ready = ["wait", "--for=condition=Ready", f"pod/{TALLY}", "--timeout=120s"]
    cluster.kubectl("-n", NAMESPACE, *ready)
    with clone_of_git_server(cluster) as clone, Api.open(cluster) as api:
        clone.push({"dags/bench.py": DAGS})
        for dag in DAG_IDS:
            wait_for(f"the DAG {dag}", lambda dag=dag: api.live(dag), 120)


def wait(what: str, condition: Callable[[], Any], seconds: float = 600, *, every: float = 2) -> Any:
    """Like `wait_for`, but parts of the stack may be unavailable. Polls seldom, to save CPU."""
    errors: list[str] = []

    def poll() -> Any:
        time.sleep(every)
        errors.clear()
        try:
            return condition()
        except UNAVAILABLE as error:
            errors.append(f"{type(error).__name__}: {error}")
            return None

    try:
        return wait_for(what, poll, seconds)
    except TimeoutError as error:
        raise TimeoutError("; ".join([str(error), *errors])) from None


def start(cluster: Cluster, dag: str, **conf: Any) -> Run:
    with Api.open(cluster) as api:
        return Run(dag=dag, id=api.start(dag, **conf))


def stop(cluster: Cluster, runs: Sequence[Run]) -> None:
    with Api.open(cluster) as api:
        for run in runs:
            api.stop(run.dag, run.id)


def unfinished(cluster: Cluster, runs: Sequence[Run]) -> list[Run]:
    output = query(cluster, f"SELECT run_id, state FROM dag_run WHERE run_id IN ({_listed(runs)})")  # noqa: S608
    states = dict(line.split("|") for line in output.splitlines())
    return [run for run in runs if states.get(run.id) not in ENDED]


def wait_ended(cluster: Cluster, runs: Sequence[Run], seconds: float) -> None:
    wait(f"the end of {len(runs)} run(s)", lambda: not unfinished(cluster, runs), seconds)


def tasks(cluster: Cluster, runs: Sequence[Run]) -> list[Task]:
    query_tasks = f"""
        SELECT row_to_json(task) FROM (
            SELECT run_id AS run, task_id AS name, map_index AS index, try_number AS tries,
                state, hostname AS host, extract(epoch FROM queued_dttm) AS queued,
                extract(epoch FROM start_date) AS started, extract(epoch FROM end_date) AS ended
            FROM task_instance WHERE run_id IN ({_listed(runs)})
            ORDER BY run_id, task_id, map_index
        ) AS task
    """  # noqa: S608
    return [Task(**json.loads(line)) for line in query(cluster, query_tasks).splitlines()]


def bodies(cluster: Cluster, runs: Sequence[Run]) -> list[Task]:
    return [task for task in tasks(cluster, runs) if task.name == BODY]


def running(cluster: Cluster, run: Run) -> int:
    """Number of a run's bodies on workers."""
    return sum(task.state == "running" for task in bodies(cluster, [run]))


def notes(cluster: Cluster) -> list[Note]:
    """All entries of the tally. redis-cli prints an empty line for an empty list."""
    output = cluster.exec(TALLY, TALLY, "redis-cli", "LRANGE", KEY, "0", "-1")
    return [Note(**json.loads(line)) for line in output.splitlines() if line]


def outcome(expected: int, tasks: Sequence[Task], notes: Sequence[Note]) -> Outcome:
    """Outcome of the bodies in `tasks`, out of the `expected` number."""
    runs = {task.run for task in tasks}
    noted = [note for note in notes if note.run in runs]
    ends = Counter((note.run, note.index) for note in noted if note.what == "end")
    begun = sum(note.what == "begin" for note in noted)
    return Outcome(
        lost=expected - sum(task.state == "success" for task in tasks),
        doubled=sum(number > 1 for number in ends.values()),
        killed=begun - ends.total(),
    )


def outcome_of(cluster: Cluster, runs: Sequence[Run], expected: int) -> Outcome:
    return outcome(expected, bodies(cluster, runs), notes(cluster))


def waited(task: Task) -> float:
    """Seconds from queuing until a worker starts the task."""
    if task.queued is None or task.started is None:
        raise ValueError(f"{task} has not started")
    return task.started - task.queued


def first_queued(tasks: Sequence[Task]) -> float:
    return min(task.queued for task in tasks if task.queued is not None)


def last_ended(tasks: Sequence[Task]) -> float:
    return max(task.ended for task in tasks if task.ended is not None)


def spent(tasks: Sequence[Task]) -> float:
    """Seconds from the first queued task to the last end."""
    return last_ended(tasks) - first_queued(tasks)


def all_work(cluster: Cluster, workers: int, slots: int) -> bool:
    """Whether that many workers run tasks: a ready pod may not consume its queue yet."""
    run = start(cluster, LOAD, seconds=[8] * slots)
    wait_ended(cluster, [run], 300)
    done = bodies(cluster, [run])
    return (
        len({task.host for task in done}) == workers
        and outcome(slots, done, notes(cluster)).lost == 0
    )


def query(cluster: Cluster, sql: str) -> str:
    """Lines of columns, separated by `|`. Within the pod, PostgreSQL requires no password."""
    psql = ["psql", "-U", database.USER, "-d", database.NAME, "-v", "ON_ERROR_STOP=1", "-At"]
    return cluster.exec("database-0", "database", *psql, "-c", sql)


def _listed(runs: Sequence[Run]) -> str:
    return ", ".join(f"'{run.id}'" for run in runs)
