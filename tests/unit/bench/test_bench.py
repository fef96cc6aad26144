"""What the benchmarks count with: percentiles, what they read, and what they make of it."""

import ast

import pytest

from tests.bench import chaos, connections, cpu, load, workers
from tests.bench.figures import percentile, show

TASKS = """\
manual__1|body|0|1|success|10.0.0.1|100.5|101|116.25
manual__1|body|1|2|failed|10.0.0.2|100.5|103|
manual__1|body|2|0|||||
"""
NOTES = """\
begin manual__1 0 1 101.0
end manual__1 0 1 116.0
"""


def note(what, index, try_number=1, run="manual__1"):
    return load.Note(what=what, run=run, index=index, try_number=try_number, at=0.0)


def task(index, state="success", run="manual__1"):
    return load.Task(
        run=run,
        name="body",
        index=index,
        tries=1,
        state=state,
        host="10.0.0.1",
        queued=100.0 + index,
        started=105.0 + index,
        ended=110.0 + index,
    )


@pytest.mark.parametrize(
    ("figures", "share", "expected"),
    [
        (range(1, 21), 0.95, 19),
        (range(20, 0, -1), 0.95, 19),
        (range(1, 22), 0.95, 20),
        ([7], 0.95, 7),
        ([7, 8], 0.5, 7),
        ([7, 8], 0.0, 7),
        ([7, 8], 1.0, 8),
    ],
)
def test_a_percentile_is_a_figure_that_was_measured(figures, share, expected):
    assert percentile(list(figures), share) == expected


def test_a_line_has_its_percentiles_and_its_limit(capsys):
    show("pushes", [1.0, 2.0, 4.0], "p95 3")

    said = " ".join(capsys.readouterr().out.split())
    assert said == "pushes p50 2.00 p95 4.00 max 4.00 (n = 3) limit p95 3"


def test_tasks_are_read_as_the_database_gives_them():
    done, broken, waiting = load.parse_tasks(TASKS)

    assert done == load.Task(
        run="manual__1",
        name="body",
        index=0,
        tries=1,
        state="success",
        host="10.0.0.1",
        queued=100.5,
        started=101.0,
        ended=116.25,
    )
    assert (broken.state, broken.tries, broken.ended) == ("failed", 2, None)
    assert (waiting.state, waiting.queued) == ("", None)
    assert load.parse_tasks("") == []


def test_notes_are_read_as_the_tally_gives_them():
    begun, ended = load.parse_notes(NOTES)

    assert begun == load.Note(what="begin", run="manual__1", index=0, try_number=1, at=101.0)
    assert (ended.what, ended.at) == ("end", 116.0)
    assert load.parse_notes("\n") == [], "redis-cli says an empty line for an empty list"


def test_a_task_that_did_not_succeed_or_is_not_there_is_lost():
    notes = [note(what, index) for index in (0, 1) for what in ("begin", "end")]
    became = load.outcome(4, [task(0), task(1), task(2, "failed")], notes)

    assert became == load.Outcome(lost=2, doubled=0, killed=0)


def test_a_body_that_came_to_its_end_twice_is_doubled_once():
    notes = [note("begin", 0), note("begin", 0, 2), note("begin", 0, 2)]
    notes += [note("end", 0), note("end", 0, 2), note("end", 0, 2)]

    assert load.outcome(1, [task(0)], notes) == load.Outcome(lost=0, doubled=1, killed=0)


def test_a_try_that_began_and_did_not_end_was_killed():
    notes = [note("begin", 0), note("begin", 0, 2), note("end", 0, 2), note("begin", 1)]

    became = load.outcome(2, [task(0), task(1, "failed")], notes)
    assert became == load.Outcome(lost=1, doubled=0, killed=2)


def test_the_same_index_of_another_run_is_another_task():
    notes = [note("begin", 0), note("end", 0)]
    notes += [note("begin", 0, run="manual__2"), note("end", 0, run="manual__2")]
    others = [note("begin", 0, run="somebody_else")]

    became = load.outcome(2, [task(0), task(0, run="manual__2")], notes + others)
    assert became == load.Outcome(lost=0, doubled=0, killed=0)


def test_a_load_lasts_from_its_first_task_in_the_queue_to_the_end_of_its_last():
    assert load.spent([task(3), task(0), task(1)]) == 13
    assert load.waited(task(1)) == 5
    with pytest.raises(ValueError, match="has not started"):
        load.waited(load.parse_tasks(TASKS)[2])


def test_the_dag_file_is_python_and_makes_every_dag():
    tree = ast.parse(load.DAGS)
    made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    (loop,) = [node for node in tree.body if isinstance(node, ast.For)]

    every = {load.LOAD, load.NO_OP, load.CHAIN, load.POISON, load.HUNGRY}
    assert {name.id for name in loop.iter.elts} == every
    assert every <= made


def test_tasks_of_the_load_are_held_back_by_nothing_but_the_workers():
    assert "max_active_tasks=1000" in load.DAGS
    assert "retries" not in load.DAGS, "the platform's are measured"


def test_pods_of_airflow_and_nobody_else_reach_the_tally():
    service, policy, pod = load.TALLY_OBJECTS["items"]
    selector = service["spec"]["selector"]

    assert selector.items() <= pod["metadata"]["labels"].items()
    assert policy["spec"]["podSelector"]["matchLabels"] == selector
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [
        {"podSelector": {"matchLabels": {"tier": "airflow", "release": "airflow"}}}
    ]


def test_who_waits_is_patient_with_what_is_away():
    answers = iter([AssertionError("kubectl"), ConnectionRefusedError(), None, "there"])

    def ask():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert load.patient("it", ask, every=0) == "there"


def test_who_waited_for_nothing_says_what_came_last():
    def ask():
        raise AssertionError("no such pod")

    with pytest.raises(TimeoutError, match=r"it: not within 0\.1 s; AssertionError: no such pod"):
        load.patient("it", ask, 0.1, every=0)


def test_a_mistake_of_the_benchmark_itself_is_not_waited_for():
    with pytest.raises(KeyError):
        load.patient("it", lambda: {}["typo"], every=0)


def test_the_plan_says_how_many_connections_there_will_be():
    said = (
        "warning: spot\n"
        '{"limits": [{"name": "worker slots", "needed": 16},\n'
        ' {"name": "database connections", "needed": 95, "loaded": 30}]}\n'
    )
    assert connections.loaded_connections(said) == 30


# A load that needs 40 s by itself, in two waves: it began at 0, the fault came at 10.
LOAD = {"started": 0, "begun": 10, "calm": 40}


@pytest.mark.parametrize(
    ("over", "ended", "left", "seconds"),
    [
        (10, 40, 12, 0),  # as if nothing had been
        (10, 100, 12, 60),  # over at once, and all of the load came late
        (10, 35, 12, 0),  # quicker than the undisturbed one
        (70, 100, 12, 0),  # nothing went on for a minute, then all that was left
        (70, 100, 4, 10),  # one wave was left, which takes 20 s
        (70, 72, 0, 2),
    ],
)
def test_late_is_what_the_load_needed_beyond_its_own_time(over, ended, left, seconds):
    late = chaos.seconds_to_recover(**LOAD, over=over, ended=ended, left=left)

    assert late == seconds


def test_parts_that_compare_are_parts_and_the_sample_has_faults():
    assert workers.BY_DEFAULT.keys() <= workers.PARTS.keys(), (
        "a key of BY_DEFAULT in benchmarks/workers.py is not in PARTS there"
    )
    assert set(chaos.SHORT) <= chaos.FAULTS.keys(), (
        "a fault of SHORT in benchmarks/chaos.py is not in FAULTS there"
    )


def test_kubernetes_goes_down_only_where_somebody_says_how(monkeypatch):
    down, up = chaos.APISERVER
    monkeypatch.delenv(up, raising=False)
    monkeypatch.setenv(down, "true")
    assert up in chaos._left_out("kubernetes-down")
    assert chaos._left_out("worker-killed") is None

    monkeypatch.setenv(up, "true")
    assert chaos._left_out("kubernetes-down") is None


class Cluster:
    """Keeps what kubectl was told."""

    def __init__(self, answers):
        self.answers, self.said = answers, []

    def kubectl(self, *words, stdin=None, check=True):
        self.said.append(" ".join(words))
        return next((text for part, text in self.answers.items() if part in self.said[-1]), "")

    def pods(self, component):
        return {f"{component}-1": {}, f"{component}-2": {}}


@pytest.fixture
def interrupted(monkeypatch):
    """Somebody stops the program while a fault lasts."""

    def stop(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(chaos.time, "sleep", stop)


def test_redis_gets_its_memory_back_whatever_happens(interrupted):
    cluster = Cluster({"CONFIG GET": "maxmemory\n67108864\n"})
    with pytest.raises(KeyboardInterrupt):
        chaos._fill_redis(cluster)

    assert cluster.said[-1].endswith("CONFIG SET maxmemory 67108864")


def test_the_database_comes_back_whatever_happens(interrupted):
    cluster = Cluster({})
    with pytest.raises(KeyboardInterrupt):
        chaos._take_database_away(cluster)

    assert cluster.said[-1].endswith("scale statefulset/database --replicas=1")


def test_workers_reach_redis_again_whatever_happens(interrupted):
    cluster = Cluster({"get networkpolicy redis": '{"spec": {"ingress": ["as it was"]}}'})
    with pytest.raises(KeyboardInterrupt):
        chaos._cut_redis(cluster)

    assert '"values": ["worker"]' in cluster.said[1]
    assert '"value": ["as it was"]' in cluster.said[-1]


def test_a_node_is_not_left_cordoned(interrupted):
    cluster = Cluster({"get pod worker-1": '{"spec": {"nodeName": "node-1"}}'})
    with pytest.raises(KeyboardInterrupt):
        chaos._drain(cluster)

    assert cluster.said[-2:] == ["cordon node-1", "uncordon node-1"]


METRICS = """\
container_cpu_usage_seconds_total{container="worker",namespace="airflow",pod="w-1"} 12.5 1795737600000
container_cpu_usage_seconds_total{container="git-sync",namespace="airflow",pod="w-1"} 1.5 1795737600000
container_cpu_usage_seconds_total{container="redis",namespace="airflow",pod="redis-0"} 40 1795737600000
container_cpu_usage_seconds_total{container="x",namespace="kube-system",pod="w-1"} 99 1795737600000
"""


class Kubelet:
    def kubectl(self, *words):
        return METRICS if "--raw" in words else '{"items": [{"metadata": {"name": "node"}}]}'

    def get(self, kind):
        assert kind == "pods"
        labels = {"w-1": {"component": "worker"}, "redis-0": {"app.kubernetes.io/name": "redis"}}
        return [{"metadata": {"name": name, "labels": of}} for name, of in labels.items()]


def test_cpu_is_counted_by_component_and_the_greatest_comes_first():
    before = {("w-1", "worker"): 2.5, ("redis-0", "redis"): 39.0, ("gone", "worker"): 100.0}

    used = cpu.used_by_component(Kubelet(), before, cpu.cpu_seconds(Kubelet()))

    assert list(used.items()) == [("worker", 11.5), ("redis", 1.0)]
