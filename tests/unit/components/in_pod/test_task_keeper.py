"""Which worker goes first, which tasks start again, and what the pod that decides it may do."""

import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Thing

import pytest

from components.airflow.task_keeper import TaskKeeper, TaskKeeperArgs
from components.in_pod.task_keeper import reconcile as keeper
from components.in_pod.task_keeper.database import Airflow, next_suspect
from components.support.named_secret import NamedSecret

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ONE, TWO = "10.0.0.1", "10.0.0.2"


def ago(**time):
    return NOW - timedelta(**time)


HOUR_AGO, TEN_MINUTES_AGO = ago(hours=1), ago(minutes=10)


def worker(address=ONE, cost=0, since=HOUR_AGO, until=None):
    return keeper.Worker(name=f"w-{address}", address=address, cost=cost, since=since, until=until)


def task(id_="t", address=ONE, since=TEN_MINUTES_AGO, heard=NOW, queue="default"):
    return keeper.Task(id=id_, queue=queue, address=address, since=since, heard=heard)


def test_a_worker_costs_as_much_as_it_has_tasks():
    workers = [worker(ONE), worker(TWO, cost=3)]

    assert keeper.new_costs(workers, [task("a"), task("b")]) == {"w-10.0.0.1": 2, "w-10.0.0.2": 0}


def test_a_cost_that_stays_is_not_written_again():
    assert keeper.new_costs([worker(cost=1), worker(None)], [task()]) == {}


@pytest.mark.parametrize(
    ("seconds_left", "cleared"), [(None, False), (300, False), (16, False), (15, True), (-5, True)]
)
def test_a_task_is_cleared_when_its_worker_is_about_to_be_killed(seconds_left, cleared):
    until = None if seconds_left is None else NOW + timedelta(seconds=seconds_left)
    late, other = task("late"), task("other", TWO)

    found = keeper.out_of_time([worker(until=until), worker(TWO)], [late, other], NOW)

    assert found == ([late] if cleared else [])


def test_a_task_whose_pod_is_gone_is_lost_through_no_fault_of_its_own():
    gone = task(heard=ago(seconds=16))

    assert keeper.lost([worker(TWO)], [gone], NOW) == [keeper.Lost(task=gone, by_itself=False)]


@pytest.mark.parametrize("since", [None, ago(minutes=1)])
def test_a_task_whose_worker_started_anew_may_have_killed_it(since):
    gone = task(heard=ago(seconds=16))

    assert keeper.lost([worker(since=since)], [gone], NOW) == [
        keeper.Lost(task=gone, by_itself=True)
    ]


def test_a_silent_task_whose_worker_is_there_is_left_alone():
    """The database or the API server is away, not the worker."""
    assert keeper.lost([worker()], [task(heard=ago(minutes=4))], NOW) == []


def test_a_task_that_was_heard_of_is_not_lost():
    """Its pod may be too new for the list of pods."""
    assert keeper.lost([], [task(heard=ago(seconds=14))], NOW) == []


def key(name):
    return ("dag", name, "run", -1)


@pytest.mark.parametrize("state", ["success", "failed", "up_for_retry", "deferred"])
def test_of_tasks_that_lost_their_worker_again_the_next_is_tried_when_the_last_is_done(state):
    states = {key("a"): state, key("b"): "running", key("c"): "up_for_retry"}

    assert next_suspect([key("b"), key("c")], key("a"), states) == key("c")


@pytest.mark.parametrize("state", [None, "scheduled", "queued", "running"])
def test_of_tasks_that_lost_their_worker_again_one_at_a_time_is_tried(state):
    states = {key("a"): state, key("b"): "up_for_retry"}

    assert next_suspect([key("b")], key("a"), states) is None


def test_a_tried_task_that_nobody_has_any_more_holds_nobody_up():
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


def test_of_a_pod_the_worker_container_counts():
    assert keeper.worker_of(pod()).since == ago(hours=1)
    assert keeper.worker_of(pod(state="waiting")).since is None


def test_of_a_pod_its_cost_and_its_end_are_known():
    found = keeper.worker_of(pod({keeper.COST: "2"}, NOW))

    assert (found.cost, found.until) == (2, NOW)


class Instance(Thing):
    """A task instance of Airflow's database."""

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
    """The keeper's view of a database that has these instances."""
    monkeypatch.setitem(
        sys.modules,
        "sqlalchemy",
        Thing(
            select=lambda _: Thing(where=lambda keys: keys),
            tuple_=lambda *_: Thing(in_=lambda keys: keys),
        ),
    )

    def make(*instances):
        def clear(those, session, dag_run_state):
            assert dag_run_state is False, "its run goes on"
            for instance in those:
                instance.state = "restarting"

        there = {instance.key.primary: instance for instance in instances}
        session = Thing(scalars=lambda keys: [there[key] for key in there if key in keys])
        made = Airflow.__new__(Airflow)
        made.__dict__ |= {
            "_instance": Thing(dag_id="", task_id="", run_id="", map_index=""),
            "_clear": clear,
            "_session": lambda: nullcontext(session),
            "_locked": lambda session, tasks: [
                i for i in instances if i.id in {t.id for t in tasks}
            ],
            "_at_once": set(),
            "_suspects": [],
            "_tried": None,
        }
        return made

    return make


def lost(name, by_itself=True):
    return keeper.Lost(task=task(name), by_itself=by_itself)


@pytest.mark.parametrize(("by_itself", "try_number"), [(True, 1), (False, 1), (False, 3)])
def test_a_task_that_lost_its_worker_pays_nothing_and_starts_at_once(
    airflow, by_itself, try_number
):
    one = Instance("one", try_number)
    database = airflow(one)

    database.report([lost("one", by_itself)])
    assert (one.state, one.max_tries) == ("restarting", 2)
    assert one.last_heartbeat_at < ago(days=1), "the scheduler's next look finds it"

    one.state = "up_for_retry"
    database.skip_delays()
    assert one.state is None

    one.state = "up_for_retry"
    database.skip_delays()
    assert one.state == "up_for_retry", "a failure of its own has its delay"


def test_tasks_whose_worker_died_again_pay_and_are_tried_one_at_a_time(airflow):
    one, two = Instance("one", 2), Instance("two", 2)
    database = airflow(one, two)

    database.report([lost("one"), lost("two")])
    assert [(i.state, i.max_tries) for i in (one, two)] == [("running", 1)] * 2
    assert one.last_heartbeat_at < ago(days=1)

    one.state = two.state = "up_for_retry"
    database.skip_delays()
    database.skip_delays()
    assert (one.state, two.state) == (None, "up_for_retry")

    one.state = "success"
    database.skip_delays()
    assert two.state is None


def test_a_suspect_that_kills_its_worker_once_more_goes_behind_the_others(airflow):
    one, two = Instance("one", 2), Instance("two", 2)
    database = airflow(one, two)
    database.report([lost("one"), lost("two")])
    one.state = two.state = "up_for_retry"
    database.skip_delays()

    one.state = "running"
    database.report([lost("one")])
    one.state = "up_for_retry"
    database.skip_delays()

    assert (one.state, two.state) == ("up_for_retry", None)


def test_what_has_ended_is_forgotten(airflow):
    one, two = Instance("one"), Instance("two", 2)
    database = airflow(one, two)
    database.report([lost("one"), lost("two")])
    one.state = two.state = "failed"
    database.skip_delays()

    one.state = two.state = "up_for_retry"
    database.skip_delays()

    assert (one.state, two.state) == ("up_for_retry", "up_for_retry")


def test_when_all_have_ended_the_database_is_left_alone(airflow):
    one = Instance("one", 2)
    database = airflow(one)
    database.report([lost("one")])
    for one.state in ("up_for_retry", "success"):
        database.skip_delays()

    database._session = None

    database.skip_delays()


class Database:
    def __init__(self, running=(), queued=(), waiting=()):
        self._running, self._queued, self._waiting = running, queued, waiting
        self.started_again, self.reported, self.hurried = [], [], False

    def running(self):
        return list(self._running)

    def queued(self):
        return list(self._queued)

    def waiting(self, since):
        assert since == ago(seconds=15)
        return set(self._waiting)

    def start_again(self, tasks):
        self.started_again += tasks

    def report(self, gone):
        self.reported += gone

    def skip_delays(self):
        self.hurried = True


class Broker:
    """Redis, where the messages of these tasks are in no worker's hands."""

    def __init__(self, *unheld):
        self._unheld, self.asked = unheld, []

    def hand_out_again(self, *question):
        self.asked.append(question)
        return list(self._unheld)


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
def turn(monkeypatch):
    monkeypatch.setattr(keeper, "datetime", Thing(now=lambda _: NOW))

    def make(database, *items, served=("default",), broker=None):
        pods, stats = Pods(*items), Stats()
        keeper.turn(database, broker or Broker(), pods, "airflow", served, stats)
        return pods, stats.seen

    return make


def test_a_turn_writes_costs_clears_and_reports(turn):
    ending, gone = task("ending"), task("gone", TWO, heard=ago(seconds=20))
    database = Database([ending, gone])

    pods, stats = turn(database, pod(until=NOW + timedelta(seconds=5)))

    assert pods.patched == {"w": {"metadata": {"annotations": {keeper.COST: "1"}}}}
    assert database.started_again == [ending]
    assert database.reported == [keeper.Lost(task=gone, by_itself=False)]
    assert database.hurried
    assert (stats["task_keeper.started_again"], stats["task_keeper.lost"]) == (1, 1)


def test_a_turn_hands_out_again_what_a_killed_worker_had_taken(turn, caplog):
    caplog.set_level("INFO")
    broker = Broker("one")

    _, stats = turn(Database(waiting={"one", "two"}), pod(), pod(state="waiting"), broker=broker)

    assert broker.asked == [({"one", "two"}, {"w": ago(hours=1)}, NOW)]
    assert stats["task_keeper.handed_out_again"] == 1
    assert "hand out again, their workers are gone: one" in caplog.text


def test_a_task_that_waits_for_a_slot_is_not_counted_as_handed_out_again(turn):
    _, stats = turn(Database(waiting={"one"}), pod())

    assert stats["task_keeper.handed_out_again"] == 0


def test_a_quiet_turn_writes_nothing_and_leaves_redis_alone(turn):
    database, broker = Database(), Broker()

    pods, stats = turn(database, pod(), broker=broker)

    assert not broker.asked
    assert not pods.patched
    assert not database.started_again
    assert not database.reported
    counters = ("started_again", "lost", "handed_out_again")
    assert [stats[f"task_keeper.{name}"] for name in counters] == [0, 0, 0], "alerts need a start"


def test_queues_are_counted_and_those_that_nobody_serves(turn, caplog):
    queued = [("etl", 3, ago(seconds=40)), ("nobodys", 2, ago(seconds=90))]

    _, stats = turn(Database([task(queue="etl")], queued), pod(), served=("default", "etl"))

    assert (stats["queue.running.etl"], stats["queue.queued.etl"]) == (1, 3)
    assert stats["queue.oldest_wait_seconds.etl"] == 40
    assert (stats["queue.queued.default"], stats["queue.oldest_wait_seconds.default"]) == (0, 0)
    assert stats["queue.unserved"] == 2
    assert "no worker serves these queues, tasks that wait in each: {'nobodys': 2}" in caplog.text


@pytest.fixture
def declared(deploy):
    def make(ca=False):
        def program():
            import pulumi

            args = TaskKeeperArgs(
                namespace="airflow",
                image="apache/airflow:3.2.2",
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


def template(declaration):
    return declaration.one(DEPLOYMENT).inputs["spec"]["template"]


def test_it_may_list_and_patch_pods_and_nothing_else(declared):
    declaration = declared()

    role = declaration.one("kubernetes:rbac.authorization.k8s.io/v1:Role").inputs
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}]
    binding = declaration.one("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding").inputs
    assert binding["roleRef"]["name"] == "task-keeper"
    (subject,) = binding["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "task-keeper", "namespace": "airflow"}
    assert template(declaration)["spec"]["serviceAccountName"] == "task-keeper"


def test_it_knows_its_queues_and_reads_its_connections_from_secrets(declared):
    (container,) = template(declared())["spec"]["containers"]
    env = {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}

    assert env["QUEUES"] == "default,etl"
    for key, name in (("DATABASE__SQL_ALCHEMY_CONN", "metadata"), ("CELERY__BROKER_URL", "broker")):
        source = {"secretKeyRef": {"name": f"airflow-{name}", "key": "connection"}}
        assert env[f"AIRFLOW__{key}"] == source
    assert (env["STATSD_HOST"], env["STATSD_PORT"]) == ("airflow-statsd", "9125")


def test_the_database_and_the_metrics_admit_it(declared):
    labels = template(declared())["metadata"]["labels"]

    assert (labels["tier"], labels["release"]) == ("airflow", "airflow")
    assert labels["component"] == "task-keeper", "not a worker"


@pytest.mark.parametrize("ca", [True, False])
def test_it_verifies_a_database_that_speaks_tls(declared, ca):
    spec = template(declared(ca))["spec"]
    mounts = {m["mountPath"]: m["name"] for m in spec["containers"][0]["volumeMounts"]}
    volumes = {v["name"]: v for v in spec["volumes"]}

    assert ("/etc/rds-ca" in mounts) == ca
    if ca:
        assert volumes[mounts["/etc/rds-ca"]]["configMap"] == {"name": "rds-ca"}
    assert volumes[mounts["/keeper/task_keeper"]]["configMap"]["name"] == "task-keeper"


def test_it_starts_anew_with_another_password_or_another_script(declared):
    found = template(declared())["metadata"]["annotations"]

    assert (found["checksum/airflow-metadata"], found["checksum/airflow-broker"]) == ("c", "b")
    assert len(found["checksum/script"]) == 64


def test_it_runs_its_scripts_from_where_they_are_mounted(declared):
    declaration = declared()
    (container,) = template(declaration)["spec"]["containers"]
    data = declaration.one("kubernetes:core/v1:ConfigMap").inputs["data"]

    assert data.keys() == {"reconcile.py", "database.py", "messages.py"}
    assert container["workingDir"] == "/keeper"
    assert container["command"] == ["python", "-m", "task_keeper.reconcile"]


def test_it_meets_the_restricted_pod_standard(declared):
    spec = template(declared())["spec"]
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"] == {"memory": "512Mi"}


def test_one_that_hangs_starts_anew(declared):
    (container,) = template(declared())["spec"]["containers"]

    assert str(keeper.TURNED) in container["livenessProbe"]["exec"]["command"][-1]
