"""Entrypoint of a worker: ends a task that takes its memory, before the kernel ends the worker.

It also refuses callbacks, which Airflow 3.3 runs for every client of the broker, and large XComs.

On cgroup v2 the kernel ends every process of a container that is out of memory, and with it all
tasks of the worker: https://github.com/kubernetes/kubernetes/pull/117793. A second process watches
the tasks; it also ends the processes that an ended task left behind.

    python worker.py <worker MiB> <task MiB; 0: no limit; off: no watch> <XCom MiB; 0: no limit> \
        <key of settings> <command...>
"""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
# The Airflow image contains the missing packages.

import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

# The process title of a task: https://github.com/apache/airflow, task_runner.py.
TASK = re.compile(r"^airflow worker -- ([0-9a-f-]{36})")
# Path of a task's log, by the ID of its task instance.
LOGS = Path("/tmp/task-logs")  # noqa: S108
# Of cgroup v2 and v1: folder, and file with the usage.
CGROUPS = [
    (Path("/sys/fs/cgroup"), "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.usage_in_bytes"),
]
# A task that fills memory as fast as it can takes up to 90 MiB in 0.1 s (measured).
POLL_SECONDS = 0.1
FULL_POLL_SECONDS = 0.02  # of a worker that uses half of its memory
SCAN_SECONDS = 1.0
# Kept free: for what tasks take until the largest one is killed.
RESERVE = 0.15
MIB = 2**20


def main() -> None:
    worker_mb, task_mb, xcom_mb, key, *command = sys.argv[1:]
    if task_mb != "off":
        if os.fork() == 0:
            if os.fork() == 0:  # no child of the worker, which waits for its children
                watch(Watch(worker_mb=int(worker_mb), task_mb=int(task_mb), key=key))
            os._exit(0)
        os.wait()
        note_logs()
    refuse_callbacks()
    if xcom_mb != "0":
        limit_xcoms(int(xcom_mb), key)
    from airflow.__main__ import main as airflow

    sys.argv = command
    airflow()


def refuse_callbacks() -> None:
    """Let no client of the broker, such as a task, run code on the workers of another queue.

    Airflow 3.3 runs a callback without a check of its token: CVE-2026-68982. Airflow 3.2 refuses
    all callbacks; 3.4 checks the token first.
    """
    from airflow.executors.base_executor import BaseExecutor

    if not version("apache-airflow-core").startswith("3.3."):
        return
    run = BaseExecutor.run_workload

    def run_tasks_only(workload: Any, **options: Any) -> int:
        if type(workload).__name__ == "ExecuteCallback":
            raise PermissionError(
                f"this worker runs no callbacks before Airflow 3.4: {workload.callback.data.get('path')} was "
                "not called. For a deadline, use an AsyncCallback, which the triggerer runs"
            )
        return run(workload, **options)

    BaseExecutor.run_workload = staticmethod(run_tasks_only)


def limit_xcoms(limit_mb: int, key: str) -> None:
    """Fail a task whose XCom is too large for the database; a retry would have the same XCom.

    Its process is a fork of this one. A backend in an object store serializes only its reference
    here. https://github.com/apache/airflow/issues/64628
    """
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.exceptions import AirflowFailException

    serialize = BaseXCom.serialize_value

    def limited(value: Any, **of: Any) -> Any:
        serialized = serialize(value, **of)
        mb = len(json.dumps(serialized, default=str)) / MIB
        if mb > limit_mb:
            name = (
                f" {of['key']!r}" if of.get("key") else ""
            )  # unknown to a backend of an object store
            raise AirflowFailException(
                f"XCom{name} has {mb:.0f} MiB, and {key}.xcom_limit_mb is {limit_mb}. Write the data to an "
                "object store or a database, and return where it is; airflow.xcom_bucket does so for you"
            )
        return serialized

    BaseXCom.serialize_value = staticmethod(limited)


def note_logs() -> None:
    from celery import signals

    LOGS.mkdir(exist_ok=True)
    signals.task_prerun.connect(note_log, weak=False)
    signals.task_postrun.connect(forget_log, weak=False)


def watch(state: "Watch") -> None:
    # Tasks may still run while the pod stops.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    folder, usage = next(each for each in CGROUPS if Path(*each).exists())
    next_scan = 0.0
    used_mb = 0
    while True:
        try:
            stat = Path(folder, "memory.stat").read_text()
            used_mb = used(int(Path(folder, usage).read_text()), stat) // MIB
            if used_mb > state.worker_limit_mb or time.monotonic() > next_scan:
                state.scan(used_mb)
                next_scan = time.monotonic() + SCAN_SECONDS
        except Exception:  # a process may end at any moment
            traceback.print_exc()
        is_half_full = used_mb > state.worker_mb / 2
        time.sleep(FULL_POLL_SECONDS if is_half_full else POLL_SECONDS)


def note_log(args: Sequence[str], **_: Any) -> None:
    """Note where the log of a task is: its supervisor hides its open files."""
    from airflow.configuration import conf

    with suppress(ValueError, LookupError, TypeError, OSError):  # the message of another version
        work = json.loads(args[0])
        log = Path(conf.get("logging", "base_log_folder"), work["log_path"])
        Path(LOGS, work["ti"]["id"]).write_text(str(log))


def forget_log(args: Sequence[str], **_: Any) -> None:
    with suppress(ValueError, LookupError, TypeError, OSError):
        Path(LOGS, json.loads(args[0])["ti"]["id"]).unlink()


def used(usage: int, stat: str) -> int:
    """Bytes of a container that the kernel cannot reclaim, from its usage and its `memory.stat`."""
    fields = dict(line.split() for line in stat.splitlines())
    # The fields `total_` of cgroup v1 include those of the pod's containers.
    prefix = "total_" if "total_inactive_file" in fields else ""
    return usage - sum(int(fields[f"{prefix}{name}"]) for name in ("inactive_file", "active_file"))


@dataclass(frozen=True, kw_only=True)
class Task:
    # Of its task instance.
    id: str
    process: psutil.Process
    # Its own first.
    processes: list[psutil.Process]

    def memory_mb(self) -> int:
        """Memory of its processes, less what the supervisor had when it forked the task.

        The kernel tells exact figures only to root: supervisors and tasks are not dumpable.
        """
        parent = self.process.parent()
        inherited = _anonymous(parent) if parent else 0
        return max(0, sum(map(_anonymous, self.processes)) - inherited) // MIB


@dataclass(kw_only=True)
class Watch:
    worker_mb: int
    task_mb: int
    key: str
    started: float = field(default_factory=time.time)
    # Processes of tasks, and those that have no parent, with the tasks that may have started them.
    _owners: dict[psutil.Process, set[psutil.Process]] = field(
        default_factory=dict[psutil.Process, set[psutil.Process]]
    )

    @property
    def worker_limit_mb(self) -> int:
        return int(self.worker_mb * (1 - RESERVE))

    def scan(self, used_mb: int) -> None:
        processes = list(psutil.process_iter())
        tasks = [task for process in processes if (task := as_task(process))]
        self._end_left_behind(processes, tasks)
        if used_mb > self.worker_limit_mb:
            self._end_largest(tasks, used_mb)
        elif self.task_mb:
            for task in tasks:
                if (mb := task.memory_mb()) > self.task_mb:
                    limit = f"{self.key}.task_memory_mb is {self.task_mb}"
                    end(task, f"the task used {mb} MiB of memory, and {limit}")

    def _end_largest(self, tasks: list[Task], used_mb: int) -> None:
        sizes = [(task.memory_mb(), index) for index, task in enumerate(tasks)]
        if not sizes:
            return
        size, largest = max(sizes)
        end(
            tasks[largest],
            f"the worker used {used_mb} MiB of its memory ({self.key}.memory_mb is {self.worker_mb}), "
            f"and of its {len(tasks)} tasks this one used the most: {size} MiB",
        )

    def _end_left_behind(self, processes: list[psutil.Process], tasks: list[Task]) -> None:
        running = {task.process for task in tasks}
        for task in tasks:
            for process in task.processes[1:]:
                self._owners.setdefault(process, set()).add(task.process)
        for process in processes:
            with suppress(psutil.Error):
                if process not in self._owners and self._has_no_parent(process):
                    self._owners[process] = running
        alive = set(processes)
        self._owners = {p: owners for p, owners in self._owners.items() if p in alive}
        for process, owners in self._owners.items():
            if not owners & running:
                with suppress(psutil.Error):
                    name = process.name()
                    kill([process])
                    sys.stderr.write(f"ended process {name} of an ended task\n")

    def _has_no_parent(self, process: psutil.Process) -> bool:
        """Whether the process was adopted by the first process of the container, after our start."""
        return process.ppid() == 1 and process.create_time() > self.started


def as_task(process: psutil.Process) -> Task | None:
    with suppress(psutil.Error):
        if title := TASK.match(" ".join(process.cmdline())):
            children = process.children(recursive=True)
            return Task(id=title[1], process=process, processes=[process, *children])
    return None


def _anonymous(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        memory = process.memory_info()
        return memory.rss - memory.shared
    return 0


def end(task: Task, reason: str) -> None:
    """Write the reason into the log of the task, and kill its processes."""
    advice = "Process the data in parts, raise the setting, or lower concurrency"
    event = f"Task ended: {reason}. {advice}"
    line = {
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "event": event,
        "level": "error",
        "logger": "task_memory",
    }
    with (
        suppress(OSError),
        Path(LOGS, task.id).open() as noted,
        Path(noted.read()).open("a") as log,
    ):
        log.write(json.dumps(line) + "\n")
    sys.stderr.write(f"task {task.id}: {event}\n")
    kill(task.processes)


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=2)


if __name__ == "__main__":
    main()
