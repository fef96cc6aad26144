"""The entrypoint of workers, with real processes that look like a worker and its tasks."""

import json
import subprocess
import sys
import uuid
from contextlib import suppress
from types import ModuleType, SimpleNamespace

import psutil
import pytest

from components.in_pod import worker
from components.in_pod.worker import MIB, Watch, used
from tests.harness.waiting import wait_for

# A supervisor starts a process with the title of a task.
SUPERVISOR = """
import subprocess, sys
open(sys.argv[1], "a")
title, mb, child = sys.argv[2], *sys.argv[3:]
code = '''
import subprocess, sys, time
data = b"x" * (int(sys.argv[1]) * 2**20)
if sys.argv[2]: subprocess.Popen([sys.argv[3], "-c", sys.argv[2]])
print("ready", flush=True)
time.sleep(600)
'''
task = subprocess.Popen(
    [title, "-c", code, mb, child, sys.executable],
    executable=sys.executable, stdout=subprocess.PIPE, text=True)
print(task.stdout.readline(), task.pid, flush=True)
print("exit", task.wait(), flush=True)
"""
SLEEP = f"import time; time.sleep(600)  # {uuid.uuid4()}"
# Closes what it inherited; its parent ends at once.
DAEMON = f"import os; os.fork() and os._exit(0); os.setsid(); {SLEEP}"


def is_running(process):
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


class FakeTask:
    def __init__(self, folder, mb, child=""):
        self.log = folder / f"task_id={uuid.uuid4()}" / "attempt=1.log"
        self.log.parent.mkdir()
        self.id = str(uuid.uuid4())
        title = f"airflow worker -- {self.id}"
        self.supervisor = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", SUPERVISOR, self.log, title, str(mb), child],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.supervisor.stdout.readline() == "ready\n"
        self.process = psutil.Process(int(self.supervisor.stdout.readline()))

    @property
    def is_running(self):
        return is_running(self.process)

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def kill(self):
        for process in [*psutil.Process(self.supervisor.pid).children(recursive=True)]:
            process.kill()
        self.supervisor.kill()
        self.supervisor.communicate()


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a task with that much data, and a child process."""
    started = []
    logs = tmp_path / "logs"
    logs.mkdir()
    monkeypatch.setattr(worker, "LOGS", logs)

    def run(mb=1, child=""):
        started.append(FakeTask(tmp_path, mb, child))
        (logs / started[-1].id).write_text(str(started[-1].log))
        return started[-1]

    yield run
    for task in started:
        task.kill()


@pytest.fixture
def watch(monkeypatch):
    """Watch only processes of this test."""
    ours = psutil.Process()
    everything = psutil.process_iter
    monkeypatch.setattr(
        psutil, "process_iter", lambda: (p for p in everything() if _is_of(ours, p))
    )
    return lambda **given: Watch(worker_mb=3072, key="queues.etl", **{"task_mb": 0, **given})


def command(process):
    """Its words; a zombie has none."""
    with suppress(psutil.Error):
        return process.cmdline() or [""]
    return [""]


def _is_of(ours, process):
    try:
        left_behind = process.ppid() == 1 and command(process)[-1] in (SLEEP, DAEMON)
        return left_behind or ours in process.parents()
    except psutil.Error:
        return False


def test_the_largest_task_of_a_full_worker_ends(watch, start):
    small, large = start(20), start(150)

    watch().scan(used_mb=2900)

    assert not large.is_running
    assert small.is_running, "neighbors do not notice"
    (line,) = large.lines()
    assert line["level"] == "error"
    assert "the worker used 2900 MiB of its memory (queues.etl.memory_mb is 3072)" in line["event"]
    assert "of its 2 tasks this one used the most: 1" in line["event"]
    assert small.lines() == []


def test_a_task_beyond_its_limit_ends(watch, start):
    small, large = start(20), start(150)

    watch(task_mb=128).scan(used_mb=500)

    assert (small.is_running, large.is_running) == (True, False)
    assert "queues.etl.task_memory_mb is 128" in large.lines()[0]["event"]


def test_processes_of_a_task_count_and_end(watch, start):
    child = f"data = b'x' * 2**20 * 150; {SLEEP}"
    task = start(1, child)
    (started,) = task.process.children()
    wait_for("its data", lambda: started.memory_info().rss > 150 * MIB)

    watch(task_mb=128).scan(used_mb=500)

    assert not task.is_running
    assert not is_running(started)


def test_without_a_limit_a_task_may_use_what_is_free(watch, start):
    task = start(150)

    watch().scan(used_mb=2500)

    assert task.is_running


def test_a_full_worker_without_tasks_is_left_alone(watch):
    watch().scan(used_mb=3000)


def parent_of(task, child):
    return 1 if child == DAEMON else task.process.pid


@pytest.mark.parametrize("child", [SLEEP, DAEMON], ids=["child", "daemon"])
def test_what_a_task_left_behind_ends(watch, start, child):
    other, task = start(), start(1, child)
    watching = watch(started=other.process.create_time() - 1)

    def started():
        return [p for p in psutil.process_iter() if command(p)[1:] == ["-c", child]]

    wait_for("one process", lambda: [p.ppid() for p in started()] == [parent_of(task, child)])
    left = started()
    watching.scan(used_mb=500)

    task.process.kill()
    wait_for("the end of the task", lambda: not task.is_running)
    watching.scan(used_mb=500)
    if child == DAEMON:
        assert is_running(left[0]), "the other task may have started it"
        other.process.kill()
        wait_for("the end of the other task", lambda: not other.is_running)
        watching.scan(used_mb=500)

    assert not any(map(is_running, left))


def test_the_log_of_a_running_task_is_known(monkeypatch, tmp_path):
    """Celery calls both functions with the message of the task."""
    configuration = ModuleType("airflow.configuration")
    configuration.conf = SimpleNamespace(get=lambda *option: "/opt/airflow/logs")
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.configuration", configuration)
    monkeypatch.setattr(worker, "LOGS", tmp_path)
    message = [json.dumps({"ti": {"id": "01a2"}, "log_path": "dag_id=etl/attempt=1.log"})]

    worker.note_log(args=message, task_id="of Celery")
    assert (tmp_path / "01a2").read_text() == "/opt/airflow/logs/dag_id=etl/attempt=1.log"

    worker.forget_log(args=message, task_id="of Celery")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("message", [[], ["{}"], ["no JSON"], [7]])
def test_another_message_is_left_alone(monkeypatch, tmp_path, message):
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    configuration = ModuleType("airflow.configuration")
    configuration.conf = SimpleNamespace(get=lambda *option: "/opt/airflow/logs")
    monkeypatch.setitem(sys.modules, "airflow.configuration", configuration)
    monkeypatch.setattr(worker, "LOGS", tmp_path)

    worker.note_log(args=message)
    worker.forget_log(args=message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "stat",
    [
        "anon 5\ninactive_file 60\nactive_file 33\nshmem 2\n",
        "inactive_file 1\nactive_file 1\ntotal_inactive_file 60\ntotal_active_file 33\n",
    ],
    ids=["cgroup v2", "cgroup v1"],
)
def test_memory_that_the_kernel_cannot_reclaim_counts(stat):
    assert used(100, stat) == 7


def test_a_task_has_the_process_title_of_airflow():
    title = f"airflow worker -- {uuid.uuid4()}"

    assert worker.TASK.match(title)
    assert not worker.TASK.match("airflow task supervisor: ['airflow', 'tasks']")


@pytest.fixture
def run_workload(monkeypatch):
    """`BaseExecutor.run_workload` of an Airflow version, in a worker with our entrypoint."""

    def of(version):
        class BaseExecutor:
            @staticmethod
            def run_workload(workload, **options):
                return type(workload).__name__, options

        module = ModuleType("airflow.executors.base_executor")
        module.BaseExecutor = BaseExecutor
        monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
        monkeypatch.setitem(sys.modules, "airflow.executors", ModuleType("airflow.executors"))
        monkeypatch.setitem(sys.modules, "airflow.executors.base_executor", module)
        monkeypatch.setattr(worker, "version", lambda package: version)
        worker.refuse_callbacks()
        return BaseExecutor.run_workload

    return of


class ExecuteTask:
    pass


class ExecuteCallback:
    callback = SimpleNamespace(data={"path": "os.mkdir"})


def test_airflow_3_3_runs_no_callback_of_the_broker(run_workload):
    with pytest.raises(PermissionError, match=r"os\.mkdir was not called"):
        run_workload("3.3.2")(ExecuteCallback())


def test_airflow_3_3_runs_tasks(run_workload):
    assert run_workload("3.3.2")(ExecuteTask(), server="s") == ("ExecuteTask", {"server": "s"})


@pytest.mark.parametrize("version", ["3.2.2", "3.4.0"])
def test_other_versions_refuse_forged_callbacks(run_workload, version):
    assert run_workload(version)(ExecuteCallback()) == ("ExecuteCallback", {})


@pytest.fixture
def push(monkeypatch):
    """Serializes an XCom of Airflow in a worker whose limit is 1 MiB."""

    class BaseXCom:
        @staticmethod
        def serialize_value(value, *, key=None):
            return {"data": value}

    class AirflowFailException(Exception): ...

    for name in ("airflow", "airflow.sdk", "airflow.sdk.bases"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, content in (
        ("airflow.sdk.bases.xcom", BaseXCom),
        ("airflow.sdk.exceptions", AirflowFailException),
    ):
        module = ModuleType(name)
        setattr(module, content.__name__, content)
        monkeypatch.setitem(sys.modules, name, module)
    worker.limit_xcoms(1, "queues.etl")
    return lambda value: BaseXCom.serialize_value(value, key="rows")


def test_an_xcom_within_the_limit_is_serialized_as_before(push):
    value = "x" * (MIB - 100)
    assert push(value) == {"data": value}


@pytest.mark.parametrize("value", ["x" * 2 * MIB, ["x"] * MIB, {"rows": "x" * MIB}])
def test_a_larger_xcom_names_the_setting(push, value):
    with pytest.raises(
        Exception, match=r"XCom 'rows' has \d MiB, and queues\.etl\.xcom_limit_mb is 1"
    ):
        push(value)


def test_what_goes_to_a_bucket_is_not_refused(push):
    """As `XComObjectStorageBackend`: it serializes only the address, without the key."""
    serialize = sys.modules["airflow.sdk.bases.xcom"].BaseXCom.serialize_value

    def backend(value):
        return serialize("s3://remote_logs@logs/xcom/1") if len(value) > MIB else serialize(value)

    assert backend("x" * 2 * MIB) == {"data": "s3://remote_logs@logs/xcom/1"}
    with pytest.raises(Exception, match=r"^XCom has 2 MiB, .*airflow\.xcom_bucket"):
        serialize("x" * 2 * MIB)
