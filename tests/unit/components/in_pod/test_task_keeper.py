"""The task keeper: deletion costs, cleared and orphaned tasks, and the permissions of its pod."""

import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Thing

import pytest

from components.airflow.task_keeper import HEARTBEAT_FILE, TaskKeeper, TaskKeeperArgs
from components.in_pod.task_keeper import reconcile as keeper
from components.in_pod.task_keeper.database import (
    LONG_AGO,
    Airflow,
    OrphanedTask,
    next_suspect,
)
from components.support.named_secret import NamedSecret

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ONE, TWO = "10.0.0.1", "10.0.0.2"


def ago(**time):
    return NOW - timedelta(**time)


HOUR_AGO, TEN_MINUTES_AGO = ago(hours=1), ago(minutes=10)


def worker(address=ONE, cost=0, started_at=HOUR_AGO, killed_at=None):
    return keeper.Worker(
        name=f"w-{address}",
        address=address,
        cost=cost,
        started_at=started_at,
        killed_at=killed_at,
    )


def task(id_="t", address=ONE, since=TEN_MINUTES_AGO, last_heartbeat=NOW, queue="default"):
    return keeper.Task(
        id=id_, queue=queue, address=address, since=since, last_heartbeat=last_heartbeat
    )


def test_the_deletion_cost_is_the_number_of_tasks():
    workers = [worker(ONE), worker(TWO, cost=3)]

    assert keeper.new_costs(workers, [task("a"), task("b")]) == {"w-10.0.0.1": 2, "w-10.0.0.2": 0}


def test_an_unchanged_cost_is_not_written():
    assert keeper.new_costs([worker(cost=1), worker(None)], [task()]) == {}


@pytest.mark.parametrize(
    ("seconds_left", "cleared"), [(None, False), (300, False), (16, False), (15, True), (-5, True)]
)
def test_a_task_is_cleared_15_s_before_its_worker_is_killed(seconds_left, cleared):
    killed_at = None if seconds_left is None else NOW + timedelta(seconds=seconds_left)
    late, other = task("late"), task("other", TWO)

    found = keeper.out_of_time([worker(killed_at=killed_at), worker(TWO)], [late, other], NOW)

    assert found == ([late] if cleared else [])


def test_a_task_of_a_deleted_pod_is_orphaned_but_no_suspect():
    silent = task(last_heartbeat=ago(seconds=16))

    assert keeper.orphaned([worker(TWO)], [silent], NOW) == [
        OrphanedTask(task=silent, worker_container_died=False)
    ]


@pytest.mark.parametrize("started_at", [None, ago(minutes=1)])
def test_a_task_of_a_restarted_worker_is_a_suspect(started_at):
    silent = task(last_heartbeat=ago(seconds=16))

    assert keeper.orphaned([worker(started_at=started_at)], [silent], NOW) == [
        OrphanedTask(task=silent, worker_container_died=True)
    ]


def test_a_silent_task_of_a_running_worker_is_not_orphaned():
    silent = task(last_heartbeat=ago(minutes=4))

    assert keeper.orphaned([worker()], [silent], NOW) == [], "the database or API server is down"


def test_a_task_with_a_recent_heartbeat_is_not_orphaned():
    recent = task(last_heartbeat=ago(seconds=14))

    assert keeper.orphaned([], [recent], NOW) == [], "its pod may be newer than the list of pods"


def test_a_reported_task_is_not_reported_again():
    reported = task(last_heartbeat=TEN_MINUTES_AGO - LONG_AGO)

    assert keeper.orphaned([], [reported], NOW) == [], "the scheduler has not acted on it yet"


def key(name):
    return ("dag", name, "run", -1)


@pytest.mark.parametrize("state", ["success", "failed", "up_for_retry", "deferred"])
def test_the_next_suspect_is_retried_after_the_last(state):
    states = {key("a"): state, key("b"): "running", key("c"): "up_for_retry"}

    assert next_suspect([key("b"), key("c")], key("a"), states) == key("c")


@pytest.mark.parametrize("state", [None, "scheduled", "queued", "running"])
def test_one_suspect_at_a_time_is_retried(state):
    states = {key("a"): state, key("b"): "up_for_retry"}

    assert next_suspect([key("b")], key("a"), states) is None


def test_a_deleted_task_does_not_block_other_suspects():
    assert next_suspect([key("b")], key("a"), {key("b"): "up_for_retry"}) == key("b")


def pod(annotations=None, until=None, state=None):
    running = Thing(running=Thing(started_at=ago(hours=1)) if state is None else None)
    statuses = [
        Thing(name="git-sync", state=Thing(running=Thing(started_at=ago(days=1)))),
        Thing(name="worker", state=running),
    ]
    return Thing(
        metadata=Thing(name="w", annotations=annotations, deletion_timestamp=until),
        status=Thing(pod_ip=ONE, container_statuses=statuses),
    )


def test_a_pod_without_a_running_worker_has_not_started():
    assert keeper.worker_of(pod()).started_at == ago(hours=1)
    assert keeper.worker_of(pod(state="waiting")).started_at is None


def test_cost_and_deletion_time_are_read_from_the_pod():
    found = keeper.worker_of(pod({keeper.COST: "2"}, NOW))

    assert (found.cost, found.killed_at) == (2, NOW)


class Instance(Thing):
    """A task instance in Airflow's database."""

    def __init__(self, name, try_number=1, state="running"):
        super().__init__(
            id=name,
            key=Thing(primary=key(name)),
            try_number=try_number,
            max_tries=1,
            state=state,
            start_date=TEN_MINUTES_AGO,
            last_heartbeat_at=ago(minutes=1),
        )


@pytest.fixture
def airflow(monkeypatch):
    """The keeper's access to a database with these task instances."""
    monkeypatch.setitem(
        sys.modules,
        "sqlalchemy",
        Thing(
            select=lambda _: Thing(where=lambda keys: keys),
            tuple_=lambda *_: Thing(in_=lambda keys: keys),
        ),
    )

    def make(*instances):
        def clear(instances, session, dag_run_state):
            assert dag_run_state is False, "the DAG run must continue"
            for instance in instances:
                instance.state = "restarting"

        rows = {instance.key.primary: instance for instance in instances}
        session = Thing(scalars=lambda keys: [rows[key] for key in rows if key in keys])
        database = Airflow.__new__(Airflow)
        database.__dict__ |= {
            "_instance": Thing(dag_id="", task_id="", run_id="", map_index=""),
            "_clear": clear,
            "_session": lambda: nullcontext(session),
            "_locked": lambda session, tasks: [
                i for i in instances if i.id in {t.id for t in tasks}
            ],
            "_without_delay": set(),
            "_crash_suspects": [],
            "_retried": None,
        }
        return database

    return make


def orphan(name, worker_container_died=True):
    return OrphanedTask(task=task(name), worker_container_died=worker_container_died)


@pytest.mark.parametrize(
    ("worker_container_died", "try_number"), [(True, 1), (False, 1), (False, 3)]
)
def test_an_orphaned_task_keeps_its_retry_and_skips_the_delay(
    airflow, worker_container_died, try_number
):
    one = Instance("one", try_number)
    database = airflow(one)

    database.report([orphan("one", worker_container_died)])
    assert (one.state, one.max_tries) == ("restarting", 2)
    assert one.last_heartbeat_at < ago(days=1), "the scheduler's next check must find it"

    one.state = "up_for_retry"
    database.skip_delays()
    assert one.state is None

    one.state = "up_for_retry"
    database.skip_delays()
    assert one.state == "up_for_retry", "a later failure waits for its own delay"


@pytest.mark.parametrize("try_number", [1, 2])
def test_a_cleared_task_of_a_lost_worker_is_only_reported(airflow, try_number):
    one = Instance("one", try_number, state="restarting")

    airflow(one).report([orphan("one")])

    assert (one.state, one.max_tries) == ("restarting", 1), "cleared before"
    assert one.last_heartbeat_at < ago(days=300), "the scheduler must not wait for the timeout"


def test_only_running_tasks_are_cleared(airflow):
    one, two = Instance("one"), Instance("two", state="restarting")

    airflow(one, two).restart([task("one"), task("two")])

    assert [(i.state, i.max_tries) for i in (one, two)] == [("restarting", 2), ("restarting", 1)]


def test_crash_suspects_use_a_retry_one_at_a_time(airflow):
    one, two = Instance("one", 2), Instance("two", 2)
    database = airflow(one, two)

    database.report([orphan("one"), orphan("two")])
    assert [(i.state, i.max_tries) for i in (one, two)] == [("running", 1)] * 2
    assert one.last_heartbeat_at < ago(days=1)

    one.state = two.state = "up_for_retry"
    database.skip_delays()
    database.skip_delays()
    assert (one.state, two.state) == (None, "up_for_retry")

    one.state = "success"
    database.skip_delays()
    assert two.state is None


def test_a_repeated_crash_suspect_is_retried_last(airflow):
    one, two = Instance("one", 2), Instance("two", 2)
    database = airflow(one, two)
    database.report([orphan("one"), orphan("two")])
    one.state = two.state = "up_for_retry"
    database.skip_delays()

    one.state = "running"
    database.report([orphan("one")])
    one.state = "up_for_retry"
    database.skip_delays()

    assert (one.state, two.state) == ("up_for_retry", None)


def test_finished_tasks_are_forgotten(airflow):
    one, two = Instance("one"), Instance("two", 2)
    database = airflow(one, two)
    database.report([orphan("one"), orphan("two")])
    one.state = two.state = "failed"
    database.skip_delays()

    one.state = two.state = "up_for_retry"
    database.skip_delays()

    assert (one.state, two.state) == ("up_for_retry", "up_for_retry")


def test_without_orphans_the_database_is_not_queried(airflow):
    one = Instance("one", 2)
    database = airflow(one)
    database.report([orphan("one")])
    for one.state in ("up_for_retry", "success"):
        database.skip_delays()

    database._session = None

    database.skip_delays()


class Database:
    def __init__(self, running=(), queued=(), waiting=()):
        self._running, self._queued, self._waiting = running, queued, waiting
        self.restarted, self.reported, self.skipped_delays = [], [], False

    def running(self):
        return list(self._running)

    def queued(self):
        return list(self._queued)

    def queued_before(self, time):
        assert time == ago(seconds=15)
        return set(self._waiting)

    def requeue(self, ids):
        self.requeued = ids

    def restart(self, tasks):
        self.restarted += tasks

    def report(self, orphaned):
        self.reported += orphaned

    def skip_delays(self):
        self.skipped_delays = True


class Broker:
    """Redis with unclaimed messages of these tasks."""

    def __init__(self, *unclaimed):
        self._unclaimed, self.calls = unclaimed, []
        self.without_message, self.searched = [], []

    def requeue(self, *arguments):
        self.calls.append(arguments)
        return list(self._unclaimed)

    def lost(self, queued, queues, now):
        assert now == NOW
        self.searched.append((queued, queues))
        return self.without_message


class Pods:
    def __init__(self, *items):
        self.items, self.patched = items, {}

    def list_namespaced_pod(self, namespace, label_selector):
        assert (namespace, label_selector) == ("airflow", "release=airflow,component=worker")
        return self

    def patch_namespaced_pod(self, name, namespace, change):
        self.patched[name] = change


class Stats:
    def __init__(self):
        self.seen = {}

    def gauge(self, name, value):
        self.seen[name] = value

    incr = gauge


@pytest.fixture
def reconcile(monkeypatch):
    monkeypatch.setattr(keeper, "datetime", Thing(now=lambda _: NOW))

    def make(database, *items, served=("default",), broker=None):
        pods, stats = Pods(*items), Stats()
        keeper.reconcile_once(database, broker or Broker(), pods, "airflow", served, stats)
        return pods, stats.seen

    return make


def test_reconcile_sets_costs_clears_and_reports(reconcile):
    ending = task("ending")
    silent = task("silent", TWO, last_heartbeat=ago(seconds=20))
    database = Database([ending, silent])

    pods, stats = reconcile(database, pod(until=NOW + timedelta(seconds=5)))

    assert pods.patched == {"w": {"metadata": {"annotations": {keeper.COST: "1"}}}}
    assert database.restarted == [ending]
    assert database.reported == [OrphanedTask(task=silent, worker_container_died=False)]
    assert database.skipped_delays
    assert (stats["task_keeper.started_again"], stats["task_keeper.lost"]) == (1, 1)


def test_reconcile_requeues_messages_of_lost_workers(reconcile, caplog):
    caplog.set_level("INFO")
    broker = Broker("one")

    _, stats = reconcile(
        Database(waiting={"one", "two"}), pod(), pod(state="waiting"), broker=broker
    )

    assert broker.calls == [({"one", "two"}, {"w": ago(hours=1)}, NOW)]
    assert stats["task_keeper.handed_out_again"] == 1
    assert "requeue messages of lost workers: one" in caplog.text


def test_reconcile_queues_tasks_without_a_message_again(reconcile, caplog):
    caplog.set_level("INFO")
    database = Database(queued=[("gpu", 2, ago(seconds=90))], waiting={"one", "two"})
    broker = Broker()
    broker.without_message = ["two"]

    _, stats = reconcile(database, pod(), broker=broker)

    assert broker.searched == [({"one", "two"}, ["gpu"])], "also in queues without workers"
    assert database.requeued == ["two"]
    assert stats["task_keeper.handed_out_again"] == 1
    assert "queue tasks again whose message is lost: two" in caplog.text


def test_a_queued_task_is_not_counted_as_requeued(reconcile):
    _, stats = reconcile(Database(waiting={"one"}), pod())

    assert stats["task_keeper.handed_out_again"] == 0


def test_reconcile_writes_nothing_if_nothing_changed(reconcile):
    database, broker = Database(), Broker()

    pods, stats = reconcile(database, pod(), broker=broker)

    assert not broker.calls
    assert not pods.patched
    assert not hasattr(database, "requeued")
    assert not database.restarted
    assert not database.reported
    counters = ("started_again", "lost", "handed_out_again")
    assert [stats[f"task_keeper.{name}"] for name in counters] == [0, 0, 0], (
        "alerts need an initial value"
    )


def test_queue_metrics_include_queues_without_workers(reconcile, caplog):
    queued = [("etl", 3, ago(seconds=40)), ("unserved", 2, ago(seconds=90))]

    _, stats = reconcile(Database([task(queue="etl")], queued), pod(), served=("default", "etl"))

    assert (stats["queue.running.etl"], stats["queue.queued.etl"]) == (1, 3)
    assert stats["queue.oldest_wait_seconds.etl"] == 40
    assert (stats["queue.queued.default"], stats["queue.oldest_wait_seconds.default"]) == (0, 0)
    assert stats["queue.unserved"] == 2
    assert "queues without workers, and their queued tasks: {'unserved': 2}" in caplog.text


@pytest.fixture
def declared(deploy):
    def make(ca=False):
        def program():
            import pulumi

            args = TaskKeeperArgs(
                namespace="airflow",
                image="apache/airflow:3.3.2",
                queues=["default", "etl"],
                metadata=NamedSecret(
                    name="airflow-metadata", checksum=pulumi.Output.from_input("c")
                ),
                broker=NamedSecret(name="airflow-broker", checksum=pulumi.Output.from_input("b")),
                database_ca="rds-ca" if ca else None,
            )
            TaskKeeper("task-keeper", args)

        return deploy(program)

    return make


DEPLOYMENT = "kubernetes:apps/v1:Deployment"


def template(snapshot):
    return snapshot.one(DEPLOYMENT).inputs["spec"]["template"]


def test_the_role_may_only_list_and_patch_pods(declared):
    snapshot = declared()

    role = snapshot.one("kubernetes:rbac.authorization.k8s.io/v1:Role").inputs
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}]
    binding = snapshot.one("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding").inputs
    assert binding["roleRef"]["name"] == "task-keeper"
    (subject,) = binding["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "task-keeper", "namespace": "airflow"}
    assert template(snapshot)["spec"]["serviceAccountName"] == "task-keeper"


def test_queues_and_connections_are_environment_variables(declared):
    (container,) = template(declared())["spec"]["containers"]
    env = {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}

    assert env["QUEUES"] == "default,etl"
    for key, name in (("DATABASE__SQL_ALCHEMY_CONN", "metadata"), ("CELERY__BROKER_URL", "broker")):
        source = {"secretKeyRef": {"name": f"airflow-{name}", "key": "connection"}}
        assert env[f"AIRFLOW__{key}"] == source
    assert (env["STATSD_HOST"], env["STATSD_PORT"]) == ("airflow-statsd", "9125")


def test_the_pod_has_the_network_access_of_airflow(declared):
    labels = template(declared())["metadata"]["labels"]

    assert (labels["tier"], labels["release"]) == ("airflow", "airflow")
    assert labels["component"] == "task-keeper", "policies for workers must not match"


@pytest.mark.parametrize("ca", [True, False])
def test_the_ca_bundle_of_a_tls_database_is_mounted(declared, ca):
    spec = template(declared(ca))["spec"]
    mounts = {m["mountPath"]: m["name"] for m in spec["containers"][0]["volumeMounts"]}
    volumes = {v["name"]: v for v in spec["volumes"]}

    assert ("/etc/rds-ca" in mounts) == ca
    if ca:
        assert volumes[mounts["/etc/rds-ca"]]["configMap"] == {"name": "rds-ca"}
    assert volumes[mounts["/keeper/task_keeper"]]["configMap"]["name"] == "task-keeper"


def test_changed_secrets_and_scripts_restart_the_pod(declared):
    found = template(declared())["metadata"]["annotations"]

    assert (found["checksum/airflow-metadata"], found["checksum/airflow-broker"]) == ("c", "b")
    assert len(found["checksum/script"]) == 64


def test_the_pod_runs_the_mounted_scripts(declared):
    snapshot = declared()
    (container,) = template(snapshot)["spec"]["containers"]
    data = snapshot.one("kubernetes:core/v1:ConfigMap").inputs["data"]

    assert data.keys() == {"reconcile.py", "database.py", "messages.py"}
    assert container["workingDir"] == "/keeper"
    assert container["command"] == ["python", "-m", "task_keeper.reconcile"]


def test_the_liveness_probe_checks_the_heartbeat_file(declared):
    (container,) = template(declared())["spec"]["containers"]

    command = container["livenessProbe"]["exec"]["command"][-1]
    assert HEARTBEAT_FILE in command
    assert str(keeper.HEARTBEAT_FILE) == HEARTBEAT_FILE, "the script must touch the probed file"
