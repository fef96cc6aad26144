"""What the benchmarks compute from measurements, and how faults are reverted."""

import ast
from dataclasses import replace
from functools import partial

import pytest

from tests.bench import chaos, figures, load, upgrade, usage, workers
from tests.bench.figures import percentile, show
from tests.harness import cluster as harness

TASK = """\
{"run":"manual__1","name":"body","index":1,"tries":2,"state":"failed","host":"10.0.0.2","queued":100.5,\
"started":101.000000,"ended":null}
"""
NOTES = """\
{"what": "begin", "run": "manual__1", "index": 0, "try_number": 1, "at": 101.0}
{"what": "end", "run": "manual__1", "index": 0, "try_number": 1, "at": 116.0}
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
def test_a_percentile_is_a_measured_figure(figures, share, expected):
    assert percentile(list(figures), share) == expected


def test_a_line_shows_percentiles_and_limit(capsys):
    show("pushes", [1.0, 2.0, 4.0], "p95 3")

    output = " ".join(capsys.readouterr().out.split())
    assert output == "pushes p50 2.00 p95 4.00 max 4.00 (n = 3) limit p95 3"


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        ("", True),
        ("p50 2, p95 4", True),
        ("p50 1.9, p95 4", False),
        ("p50 2, p95 3", False),
    ],
)
def test_a_missed_percentile_fails_the_benchmark(monkeypatch, limit, kept):
    monkeypatch.setattr(figures, "MISSED", [])

    show("pushes", [1.0, 2.0, 4.0], limit)

    assert figures.status() == (0 if kept else 1)


@pytest.mark.parametrize(
    ("limit", "kept"),
    [("3", True), ("2.9", False), ("3 at least", True), ("4 at least", False), ("2 to 3", True)],
)
def test_a_missed_limit_fails_the_benchmark(monkeypatch, capsys, limit, kept):
    monkeypatch.setattr(figures, "MISSED", [])

    figures.show_one("workers", 3, limit)

    assert figures.status() == (0 if kept else 1)
    assert ("limit missed: workers" in capsys.readouterr().out) is not kept


def test_a_limit_without_a_number_is_a_mistake():
    with pytest.raises(ValueError, match="not a limit: 'fast'"):
        figures.show_one("workers", 3, "fast")


def test_tasks_and_notes_are_parsed_from_json():
    cluster = Cluster({"row_to_json": TASK, "LRANGE": NOTES})
    run = load.Run(dag="bench_load", id="manual__1")

    (failed,) = load.tasks(cluster, [run])
    assert failed == load.Task(
        run="manual__1",
        name="body",
        index=1,
        tries=2,
        state="failed",
        host="10.0.0.2",
        queued=100.5,
        started=101.0,
        ended=None,
    )
    begun, ended = load.notes(cluster)
    assert begun == load.Note(what="begin", run="manual__1", index=0, try_number=1, at=101.0)
    assert (ended.what, ended.at) == ("end", 116.0)
    assert load.notes(Cluster({"LRANGE": "\n"})) == []


def test_a_failed_or_missing_task_is_lost():
    notes = [note(what, index) for index in (0, 1) for what in ("begin", "end")]
    outcome = load.outcome(4, [task(0), task(1), task(2, "failed")], notes)

    assert outcome == load.Outcome(lost=2, doubled=0, killed=0)


def test_a_body_that_completes_twice_is_doubled_once():
    notes = [note("begin", 0), note("begin", 0, 2), note("begin", 0, 2)]
    notes += [note("end", 0), note("end", 0, 2), note("end", 0, 2)]

    assert load.outcome(1, [task(0)], notes) == load.Outcome(lost=0, doubled=1, killed=0)


def test_a_try_without_an_end_was_killed():
    notes = [note("begin", 0), note("begin", 0, 2), note("end", 0, 2), note("begin", 1)]

    outcome = load.outcome(2, [task(0), task(1, "failed")], notes)
    assert outcome == load.Outcome(lost=1, doubled=0, killed=2)


def test_the_same_index_of_another_run_is_another_task():
    notes = [note("begin", 0), note("end", 0)]
    notes += [note("begin", 0, run="manual__2"), note("end", 0, run="manual__2")]
    others = [note("begin", 0, run="another_load")]

    outcome = load.outcome(2, [task(0), task(0, run="manual__2")], notes + others)
    assert outcome == load.Outcome(lost=0, doubled=0, killed=0)


def test_durations_count_from_the_queuing_of_a_task():
    assert load.spent([task(3), task(0), task(1)]) == 13
    assert load.waited(task(1)) == 5
    with pytest.raises(ValueError, match="has not started"):
        load.waited(replace(task(0), started=None))


def test_the_dag_file_defines_every_dag_without_retries():
    tree = ast.parse(load.DAGS)
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    (loop,) = [node for node in tree.body if isinstance(node, ast.For)]

    assert {name.id for name in loop.iter.elts} == set(load.DAG_IDS)
    assert set(load.DAG_IDS) <= defined
    assert "retries" not in load.DAGS, "the platform's retries are under test: set none in the DAG"
    assert "max_active_tasks=1000" in load.DAGS, "only the workers may limit the load"


def test_only_pods_of_airflow_reach_the_tally():
    service, policy, pod = load.TALLY_OBJECTS["items"]
    selector = service["spec"]["selector"]

    assert selector.items() <= pod["metadata"]["labels"].items()
    assert policy["spec"]["podSelector"]["matchLabels"] == selector
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [
        {"podSelector": {"matchLabels": {"tier": "airflow", "release": "airflow"}}}
    ]


def test_waiting_continues_through_outages():
    answers = iter([AssertionError("kubectl"), ConnectionRefusedError(), None, "found"])

    def ask():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert load.wait("it", ask, every=0) == "found"


def test_a_timeout_reports_the_last_error():
    def ask():
        raise AssertionError("no such pod")

    with pytest.raises(TimeoutError, match=r"it: not within 0\.1 s; AssertionError: no such pod"):
        load.wait("it", ask, 0.1, every=0)


def test_a_bug_of_the_benchmark_ends_the_wait():
    with pytest.raises(KeyError):
        load.wait("it", lambda: {}["typo"], every=0)


def test_planned_connections_are_read_from_the_plan():
    output = (
        "warning: spot\n"
        '{"limits": [{"name": "worker slots", "needed": 16},\n'
        ' {"name": "database connections", "needed": 95, "loaded": 30}]}\n'
    )
    assert usage.planned_connections(output) == 30


# An undisturbed load takes 40 s, in two waves. It starts at 0, the fault is injected at 10.
LOAD = {"started": 0, "begun": 10, "calm": 40}


@pytest.mark.parametrize(
    ("over", "ended", "left", "seconds"),
    [
        (10, 40, 12, 0),  # no effect
        (10, 100, 12, 60),  # a short fault that delays the whole load
        (10, 35, 12, 0),  # faster than undisturbed
        (70, 100, 12, 0),  # no progress for a minute, then all tasks
        (70, 100, 4, 10),  # one wave remains, which takes 20 s
        (70, 72, 0, 2),
    ],
)
def test_recovery_excludes_the_time_of_an_undisturbed_load(over, ended, left, seconds):
    late = chaos.seconds_to_recover(**LOAD, over=over, ended=ended, left=left)

    assert late == seconds


def test_compared_parts_and_short_faults_exist():
    assert workers.BY_DEFAULT.keys() <= workers.PARTS.keys(), (
        "add the missing part to PARTS in tests/bench/workers.py"
    )
    assert set(chaos.SHORT) <= chaos.FAULTS.keys(), (
        "add the missing fault to FAULTS in tests/bench/chaos.py"
    )


def test_kubernetes_down_requires_both_commands(monkeypatch):
    down, up = chaos.APISERVER
    monkeypatch.delenv(up, raising=False)
    monkeypatch.setenv(down, "true")
    assert up in chaos._skip_reason("kubernetes-down")
    assert chaos._skip_reason("worker-killed") is None

    monkeypatch.setenv(up, "true")
    assert chaos._skip_reason("kubernetes-down") is None


class Cluster:
    """Records the words of kubectl."""

    namespace = "airflow"
    exec = harness.Cluster.exec

    def __init__(self, answers):
        self.answers, self.commands = answers, []

    def kubectl(self, *words, stdin=None, check=True):
        command = " ".join(words)
        self.commands.append(command)
        return next((text for part, text in self.answers.items() if part in command), "")

    def pods(self, component):
        return {f"{component}-1": {}, f"{component}-2": {}}


@pytest.fixture
def interrupted(monkeypatch):
    """Ctrl-C during the fault."""

    def stop(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(chaos.time, "sleep", stop)


@pytest.mark.parametrize(
    ("inject", "answers", "expected"),
    [
        (
            chaos._fill_redis,
            {"CONFIG GET": "maxmemory\n67108864\n"},
            ["CONFIG SET maxmemory 1", "CONFIG SET maxmemory 67108864"],
        ),
        (
            partial(chaos._away, controller="statefulset/database"),
            {},
            ["scale statefulset/database --replicas=0", "scale statefulset/database --replicas=1"],
        ),
        (
            lambda cluster, _: chaos._drain(cluster),
            {"get pod worker-1": '{"spec": {"nodeName": "node-1"}}'},
            ["cordon node-1", "uncordon node-1"],
        ),
    ],
)
def test_an_interrupted_fault_is_reverted(interrupted, inject, answers, expected):
    cluster = Cluster(answers)
    with pytest.raises(KeyboardInterrupt):
        inject(cluster, 1)

    for command, end in zip(cluster.commands[-2:], expected, strict=True):
        assert f" {command}".endswith(f" {end}")


def test_an_interrupted_redis_block_is_reverted(interrupted):
    cluster = Cluster({"get networkpolicy redis": '{"spec": {"ingress": ["as before"]}}'})
    with pytest.raises(KeyboardInterrupt):
        chaos._cut_redis(cluster, 1)

    assert '"values": ["worker"]' in cluster.commands[1]
    assert '"value": ["as before"]' in cluster.commands[-1]


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


def test_cpu_is_summed_by_component_in_descending_order():
    before = {("w-1", "worker"): 2.5, ("redis-0", "redis"): 39.0, ("deleted", "worker"): 100.0}

    used = usage.used_by_component(Kubelet(), before, usage.cpu_seconds(Kubelet()))

    assert list(used.items()) == [("worker", 11.5), ("redis", 1.0)]


def test_steps_of_an_upgrade_have_their_seconds():
    output = """
== pause: wait for running tasks
running tasks: 1 in default
   61 s

== backup
   2 s
"""
    assert list(upgrade.steps(output)) == [("pause: wait for running tasks", 61.0), ("backup", 2.0)]
