"""Fault injection on the stack local: lost and doubled tasks, and seconds to recover, per fault.

Each fault is injected while the first wave of a load runs. The seconds to recover are from the end
of the fault to the end of the load, minus the time of an undisturbed load.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from components.airflow import task_keeper
from components.in_pod.task_keeper.reconcile import CLEAR_BEFORE
from components.kubernetes.namespace import PODS_OF_AIRFLOW
from components.kubernetes.redis import PORT
from components.support import chart_names
from tests.bench import load
from tests.bench.figures import show_one, step
from tests.bench.load import HUNGRY, LOAD, NAMESPACE, NO_OP, POISON, TALLY, Run
from tests.harness.airflow_api import Api
from tests.harness.checkout import Checkout
from tests.harness.clone import clone_of_git_server
from tests.harness.cluster import Cluster, cordoned, is_ready

WORKER_COUNT, CONCURRENCY = 2, 4
SLOTS = WORKER_COUNT * CONCURRENCY
TASKS, TASK_SECONDS = 12, 15
WAVES = math.ceil(TASKS / SLOTS)
WORKER_MB = 1536
SETTINGS: dict[str, Any] = {
    "workers": {
        "min": 1,
        "max": WORKER_COUNT,
        "concurrency": CONCURRENCY,
        "cpu": 0.25,
        "memory_mb": WORKER_MB,
        # Two tasks, and the time before the end in which the task keeper clears unfinished tasks.
        "grace_seconds": 2 * TASK_SECONDS + round(CLEAR_BEFORE.total_seconds()),
        "scaling": "fixed",
    },
    "airflow": {"replicas": {"scheduler": 2}},
}
# A pod that needs a new node, and its image: three minutes, at times more.
OUTAGE_SECONDS, SHORT_OUTAGE_SECONDS = 300, 100
BURST = 500
TARGET_SECONDS = 60
# Airflow's heartbeat timeout of a task is 300 s, and its retry delay 300 s.
STUCK_SECONDS = 1500
HEALTHY = ("metadatabase", "scheduler", "triggerer", "dag_processor")
APISERVER = ("CHAOS_APISERVER_DOWN", "CHAOS_APISERVER_UP")
REACH_REDIS = f"import socket; socket.create_connection(('redis', {PORT}), 3); print('open')"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`inject` returns when the fault is over, with further runs that must end (`DOOMED`: fail).

    Its second argument is the number of seconds for which a part is away. `before` prepares the
    fault, before the load starts.
    """

    inject: Callable[[Cluster, float], Sequence[Run] | None]
    before: Callable[[Cluster], None] = lambda _: None


@dataclass(frozen=True, kw_only=True)
class Cost:
    lost: int
    doubled: int
    late: float
    stuck: int

    @property
    def bad(self) -> bool:
        return bool(self.lost or self.stuck)


DOOMED = (POISON, HUNGRY)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--charts", type=Path, required=True, help="directory with airflow-*.tgz")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=ALL,
        metavar="FAULT",
        help=f"faults to inject: {', '.join(ALL)}; default: all",
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help=f"only {', '.join(SHORT)}, and {SHORT_OUTAGE_SECONDS} s instead of {OUTAGE_SECONDS} s",
    )
    parser.add_argument("--redis-image", help="another redis.image, such as valkey/valkey:8.1")
    arguments = parser.parse_args()
    names: Sequence[str] = arguments.only or (SHORT if arguments.short else ALL)
    outage = SHORT_OUTAGE_SECONDS if arguments.short else OUTAGE_SECONDS
    bad: list[str] = []
    image = {"redis": {"image": arguments.redis_image}} if arguments.redis_image else {}

    with load.stack(arguments.charts.resolve(), **SETTINGS, **image) as (checkout, cluster):
        updates = {
            name: Fault(inject=partial(_fail, checkout, each)) for name, each in UPDATES.items()
        }
        faults = FAULTS | updates
        _wait_recovered(cluster)
        run = load.start(cluster, LOAD, seconds=[TASK_SECONDS] * TASKS)
        load.wait_ended(cluster, [run], STUCK_SECONDS)
        calm = load.spent(load.bodies(cluster, [run]))
        show_one(f"{TASKS} tasks of {TASK_SECONDS} s over {SLOTS} slots, undisturbed", calm)
        print(
            f"| {'fault':34} | tasks lost | tasks doubled | seconds to recover (limit {TARGET_SECONDS}) |"
        )
        print(f"|{'-' * 36}|---|---|---|", flush=True)
        for name in names:
            reason = _skip_reason(name)
            if reason:
                _row(name, reason)
                continue
            try:
                cost = _cost(cluster, faults[name], calm, outage)
            except load.UNAVAILABLE as error:
                _row(name, f"failed: {error}")
                bad.append(name)
                continue
            late = f"stuck: {cost.stuck} run(s)" if cost.stuck else f"{cost.late:.0f}"
            _row(name, str(cost.lost), str(cost.doubled), late)
            if cost.bad:
                bad.append(name)
    for name in bad:
        print(f"tasks lost or stuck, or fault not injected: {name}", flush=True)
    return 1 if bad else 0


def _row(*cells: str) -> None:
    print("| " + " | ".join([f"{cells[0]:34}", *cells[1:]]) + " |", flush=True)


def _skip_reason(name: str) -> str | None:
    missing = [variable for variable in APISERVER if variable not in os.environ]
    if name == "kubernetes-down" and missing:
        return (
            f"skipped: set {' and '.join(missing)} to commands that stop and start the API server"
        )
    return None


def _cost(cluster: Cluster, fault: Fault, calm: float, outage: float) -> Cost:
    _wait_recovered(cluster)
    fault.before(cluster)
    run = load.start(cluster, LOAD, seconds=[TASK_SECONDS] * TASKS)
    load.wait(
        "running tasks in all slots", lambda: load.running(cluster, run) == SLOTS, 120, every=1
    )
    begun = time.time()
    runs = [run, *(fault.inject(cluster, outage) or ())]
    over = time.time()
    try:
        load.wait_ended(cluster, runs, STUCK_SECONDS)
    except TimeoutError:
        step(f"runs have not ended after {STUCK_SECONDS} s")
    stuck = load.wait("the database", lambda: (load.unfinished(cluster, runs),))[0]
    if stuck:
        load.stop(cluster, stuck)
    counted = [run for run in runs if run.dag not in DOOMED]
    outcome = load.outcome_of(cluster, counted, TASKS + len(counted) - 1)
    tasks = load.bodies(cluster, [run])
    left = sum(not (task.state == "success" and (task.ended or 0) <= over) for task in tasks)
    return Cost(
        lost=outcome.lost,
        doubled=outcome.doubled,
        stuck=len(stuck),
        late=math.inf
        if stuck
        else seconds_to_recover(
            started=load.first_queued(tasks),
            begun=begun,
            over=over,
            ended=load.last_ended(tasks),
            left=left,
            calm=calm,
        ),
    )


def seconds_to_recover(
    *, started: float, begun: float, over: float, ended: float, left: int, calm: float
) -> float:
    """Seconds from the end of a fault to the end of a load, minus the time of an undisturbed load.

    `started` and `ended`: of the load; `begun` and `over`: of the fault; `left`: tasks that had not
    succeeded when the fault was over; `calm`: duration of an undisturbed load.
    """
    needed = min(calm - (begun - started), math.ceil(left / SLOTS) * calm / WAVES)
    return max(0.0, ended - over - needed)


def _wait_recovered(cluster: Cluster) -> None:
    """Wait until all pods are ready, Airflow is healthy and all workers run tasks."""

    def recovered() -> bool:
        with Api.open(cluster) as api:
            health = api.get("monitor/health")
        return (
            len(cluster.pods("worker")) == WORKER_COUNT
            and all(map(is_ready, cluster.pods().values()))
            and all(
                is_ready(pod) for pod in (_pod(cluster, "redis-0"), _pod(cluster, "database-0"))
            )
            and all(health[part]["status"] == "healthy" for part in HEALTHY)
            and load.all_work(cluster, WORKER_COUNT, SLOTS)
        )

    load.wait("a healthy stack", recovered, STUCK_SECONDS, every=3)


def _pod(cluster: Cluster, name: str) -> dict[str, Any]:
    return json.loads(cluster.kubectl("-n", NAMESPACE, "get", "pod", name, "-o", "json"))


def _kill(cluster: Cluster, component: str, number: int = 1) -> None:
    _delete(cluster, *list(cluster.pods(component))[:number], words=["--grace-period=0", "--force"])


def _delete(cluster: Cluster, *pods: str, words: Sequence[str] = ()) -> None:
    cluster.kubectl("-n", NAMESPACE, "delete", "pod", *pods, "--wait=false", *words)


def _kill_all(cluster: Cluster) -> None:
    """Every pod of the stack at once, as with the only node of a small cluster."""
    words = ["--wait=false", "--grace-period=0", "--force"]
    cluster.kubectl(
        "-n", NAMESPACE, "delete", "pod", "--field-selector", f"metadata.name!={TALLY}", *words
    )


def _kill_process(cluster: Cluster) -> None:
    worker = next(iter(cluster.pods("worker")))
    before = _restarts(cluster, worker)
    cluster.kill_worker_container(worker)
    load.wait("a restarted container", lambda: _restarts(cluster, worker) > before, 120)


def _restarts(cluster: Cluster, pod: str) -> int:
    statuses = _pod(cluster, pod)["status"]["containerStatuses"]
    return sum(status["restartCount"] for status in statuses if status["name"] == "worker")


def _evict(cluster: Cluster, pod: str | None = None) -> None:
    name = pod or next(iter(cluster.pods("worker")))
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    create = partial(
        cluster.kubectl, "create", "--raw", path, "-f", "-", stdin=json.dumps(eviction)
    )
    # Refused while the PodDisruptionBudget of the workers allows no disruption.
    load.wait(f"the eviction of {name}", lambda: (create(),), 300, every=1)


def _drain(cluster: Cluster) -> None:
    """Evict all workers. The only node is cordoned for the first one only: no other node exists."""
    workers = list(cluster.pods("worker"))
    node = _pod(cluster, workers[0])["spec"]["nodeName"]
    with cordoned(cluster, node):
        _evict(cluster, workers[0])
    for worker in workers[1:]:
        _evict(cluster, worker)


def _roll(cluster: Cluster) -> None:
    """A rolling update of the workers, as for a new image."""
    rollout = partial(cluster.kubectl, "-n", NAMESPACE, "rollout")
    rollout("restart", "deployment/airflow-worker")
    rollout("status", "deployment/airflow-worker", "--timeout=280s")


def _fill_redis(cluster: Cluster, seconds: float) -> None:
    limit = _redis(cluster, "CONFIG", "GET", "maxmemory").split()[-1]
    try:
        _redis(cluster, "CONFIG", "SET", "maxmemory", "1")
        time.sleep(seconds)
    finally:
        _redis(cluster, "CONFIG", "SET", "maxmemory", limit)


def _redis(cluster: Cluster, *words: str) -> str:
    return cluster.exec("redis-0", "redis", "redis-cli", "--user", "admin", *words)


def _away(cluster: Cluster, seconds: float, controller: str, replicas: int = 1) -> None:
    """No pod of the Deployment or StatefulSet, as if its node is gone and a new one starts."""
    scale = partial(cluster.kubectl, "-n", NAMESPACE, "scale", controller)
    try:
        scale("--replicas=0")
        time.sleep(seconds)
    finally:
        scale(f"--replicas={replicas}")


def _without_keeper(cluster: Cluster, seconds: float) -> None:
    """A worker dies while the task keeper is away."""
    keeper = f"deployment/{task_keeper.NAME}"
    cluster.kubectl("-n", NAMESPACE, "scale", keeper, "--replicas=0")
    _kill(cluster, "worker")
    _away(cluster, seconds, keeper)


def _cut_redis(cluster: Cluster, seconds: float) -> None:
    """Block Redis for workers. A NetworkPolicy keeps open connections, so Redis closes them."""
    worker = next(iter(cluster.pods("worker")))
    found = cluster.kubectl("-n", NAMESPACE, "get", "networkpolicy", "redis", "-o", "json")
    before = json.loads(found)["spec"]["ingress"]
    no_workers = [{"key": "component", "operator": "NotIn", "values": ["worker"]}]
    others = {"matchLabels": PODS_OF_AIRFLOW, "matchExpressions": no_workers}
    ports = [{"port": PORT, "protocol": "TCP"}]
    try:
        _admit(cluster, [{"from": [{"podSelector": others}], "ports": ports}])
        load.wait("blocked connections to Redis", lambda: not _reaches_redis(cluster, worker), 60)
        for kind in ("normal", "pubsub"):
            _redis(cluster, "CLIENT", "KILL", "TYPE", kind)
        time.sleep(seconds)
    finally:
        _admit(cluster, before)


def _admit(cluster: Cluster, ingress: Any) -> None:
    patch = [{"op": "replace", "path": "/spec/ingress", "value": ingress}]
    words = ["patch", "networkpolicy", "redis", "--type=json", "-p", json.dumps(patch)]
    cluster.kubectl("-n", NAMESPACE, *words)


def _reaches_redis(cluster: Cluster, worker: str) -> bool:
    output = cluster.exec(worker, "worker", "python", "-c", REACH_REDIS, check=False)
    return output.startswith("open")


def _stop_api_server(cluster: Cluster, seconds: float) -> None:
    down, up = (os.environ[variable] for variable in APISERVER)
    try:
        subprocess.run(["sh", "-c", down], check=True, timeout=120)
        time.sleep(seconds)
    finally:
        subprocess.run(["sh", "-c", up], check=True, timeout=120)
    load.wait("the Kubernetes API", lambda: cluster.kubectl("get", "--raw", "/readyz"), 300)


def _poison(cluster: Cluster) -> list[Run]:
    return [load.start(cluster, POISON)]


def _starve(cluster: Cluster) -> list[Run]:
    return [load.start(cluster, HUNGRY, mb=2 * WORKER_MB)]


def _make_link(path: Path) -> None:
    path.symlink_to("..")


def _make_large_file(path: Path) -> None:
    path.write_bytes(os.urandom(90 * 2**20))


def _refuse_push(cluster: Cluster, dag: str, write: Callable[[Path], None]) -> None:
    """Push a commit that the relay does not publish, and one without the fault, which must arrive."""
    with clone_of_git_server(cluster) as clone, Api.open(cluster) as api:
        write(clone.folder / "dags/fault")
        refusal = f"commit {clone.push({})} is not published"
        logs = ["-n", NAMESPACE, "logs", "dag-relay-0", "--all-containers"]
        load.wait("the refusal of the commit", lambda: refusal in cluster.kubectl(*logs), 120)
        source = f"from airflow.sdk import DAG\n\ndag = DAG({dag!r}, schedule=None)\n"
        clone.push({"dags/fault": None, f"dags/{dag}.py": source})
        load.wait(f"the DAG {dag}", lambda: api.live(dag), 120)


def _misspell_image(checkout: Checkout) -> None:
    checkout.change("local", redis={"image": "redis-misspelled:7.2.16-bookworm"})


def _refuse_release(checkout: Checkout) -> None:
    file = checkout.folder / "values" / "local.yaml"
    file.write_text(f"{file.read_text()}\nlabels:\n  team: not a label\n")


def _fail(
    checkout: Checkout, break_it: Callable[[Checkout], None], _cluster: Cluster, _seconds: float
) -> None:
    """An update that fails, and the corrected one."""
    files = [checkout.file("local"), checkout.folder / "values" / "local.yaml"]
    before = [file.read_text() for file in files]
    break_it(checkout)
    status, output = checkout.make("up")
    for file, text in zip(files, before, strict=True):
        file.write_text(text)
    assert status, output
    checkout.up()


def _queue_burst(cluster: Cluster) -> None:
    with Api.open(cluster) as api:
        api.switch(NO_OP, on=False)
        for _ in range(BURST):
            api.trigger(NO_OP)


def _start_burst(cluster: Cluster) -> list[Run]:
    waiting = f"SELECT run_id FROM dag_run WHERE dag_id = '{NO_OP}' AND state = 'queued'"  # noqa: S608
    runs = [Run(dag=NO_OP, id=line) for line in load.query(cluster, waiting).splitlines()]
    with Api.open(cluster) as api:
        api.switch(NO_OP, on=True)
    return runs


FAULTS: dict[str, Fault] = {
    "worker-killed": Fault(inject=lambda c, _: _kill(c, "worker")),
    "workers-killed": Fault(inject=lambda c, _: _kill(c, "worker", WORKER_COUNT)),
    "worker-killed-without-keeper": Fault(inject=_without_keeper),
    "worker-process-killed": Fault(inject=lambda c, _: _kill_process(c)),
    "worker-evicted": Fault(inject=lambda c, _: _evict(c)),
    "node-drained": Fault(inject=lambda c, _: _drain(c)),
    "node-lost": Fault(inject=lambda c, _: _kill_all(c)),
    "workers-rolled": Fault(inject=lambda c, _: _roll(c)),
    "worker-out-of-memory": Fault(inject=lambda c, _: _starve(c)),
    "poison-task": Fault(inject=lambda c, _: _poison(c)),
    "redis-killed": Fault(
        inject=lambda c, _: _delete(c, "redis-0", words=["--grace-period=0", "--force"])
    ),
    "redis-deleted": Fault(inject=lambda c, _: _delete(c, "redis-0")),
    "redis-away": Fault(inject=lambda c, s: _away(c, s, "statefulset/redis")),
    "redis-full": Fault(inject=_fill_redis),
    "redis-cut-off": Fault(inject=_cut_redis),
    "database-restarted": Fault(inject=lambda c, _: _delete(c, "database-0")),
    "database-away": Fault(inject=lambda c, s: _away(c, s, "statefulset/database")),
    "scheduler-killed": Fault(inject=lambda c, _: _kill(c, "scheduler")),
    "schedulers-killed": Fault(inject=lambda c, _: _kill(c, "scheduler", 2)),
    "schedulers-away": Fault(
        inject=lambda c, s: _away(c, s, f"deployment/{chart_names.SCHEDULER}", 2)
    ),
    "dag-processor-killed": Fault(inject=lambda c, _: _kill(c, "dag-processor")),
    "dag-processor-away": Fault(
        inject=lambda c, s: _away(c, s, "deployment/airflow-dag-processor")
    ),
    "triggerer-killed": Fault(inject=lambda c, _: _kill(c, "triggerer")),
    "api-server-killed": Fault(inject=lambda c, _: _kill(c, "api-server")),
    "api-server-away": Fault(
        inject=lambda c, s: _away(c, s, f"deployment/{chart_names.API_SERVER}")
    ),
    "link-pushed": Fault(inject=lambda c, _: _refuse_push(c, "after_link", _make_link)),
    "large-file-pushed": Fault(
        inject=lambda c, _: _refuse_push(c, "after_large_file", _make_large_file)
    ),
    "kubernetes-down": Fault(inject=_stop_api_server),
    "burst": Fault(inject=lambda c, _: _start_burst(c), before=_queue_burst),
}
UPDATES: dict[str, Callable[[Checkout], None]] = {
    "redis-image-misspelled": _misspell_image,
    "release-refused": _refuse_release,
}
ALL = [*FAULTS, *UPDATES]
SHORT = ("worker-evicted", "redis-killed", "scheduler-killed", "api-server-away")


if __name__ == "__main__":
    sys.exit(main())
