"""Ends a task that takes the memory of its worker, before the kernel ends the worker.

On cgroup v2 the kernel ends every process of a container that is out of memory:
https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/#memory-qos-with-cgroup-v2 and
https://github.com/kubernetes/kubernetes/pull/117793. All tasks of the worker would fail.

Runs beside the worker in its container. Ends the processes that an ended task left behind, too.

    python task_memory.py <worker MiB> <task MiB, 0 for no limit> <key of the settings>
"""

import json
import re
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil  # pyright: ignore[reportMissingModuleSource] - in the Airflow image

# The process title of a task: https://github.com/apache/airflow, task_runner.py.
TASK = re.compile(r"^airflow worker -- ([0-9a-f-]{36})")
# Of cgroup v2 and v1.
STATS = [Path("/sys/fs/cgroup/memory.stat"), Path("/sys/fs/cgroup/memory/memory.stat")]
# Measured: a task that fills a NumPy array takes 200 MiB in this time (docs/benchmarks.md).
POLL_SECONDS = 0.1
SCAN_SECONDS = 1.0
# Kept free: for what a task takes between two polls, page tables, and the sidecar processes.
RESERVE = 0.1
MIB = 2**20


def main() -> None:
    # Tasks may still run while the pod stops.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worker_mb, task_mb, key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    watch = Watch(worker_mb=worker_mb, task_mb=task_mb, key=key)
    stats = next(path for path in STATS if path.exists())
    next_scan = 0.0
    while True:
        try:
            used_mb = used(stats.read_text()) // MIB
            if used_mb > watch.worker_limit_mb or time.monotonic() > next_scan:
                watch.scan(used_mb)
                next_scan = time.monotonic() + SCAN_SECONDS
        except Exception as error:  # a process may end at any moment
            sys.stderr.write(f"task memory: {error!r}\n")
            time.sleep(SCAN_SECONDS)
        time.sleep(POLL_SECONDS)


def used(stat: str) -> int:
    """Bytes of a container that the kernel cannot reclaim, from its `memory.stat`."""
    fields = dict(line.split() for line in stat.splitlines())
    names = ("anon", "shmem") if "anon" in fields else ("total_rss", "total_shmem")
    return sum(int(fields[name]) for name in names)


@dataclass(frozen=True, kw_only=True)
class Task:
    process: psutil.Process
    # Its own first.
    processes: list[psutil.Process]

    def memory_mb(self) -> int:
        """Proportional set size: pages of the parent that the task has not changed count once."""
        total = 0
        for process in self.processes:
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
        return total // MIB


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
                # The resident size is cheap, and never smaller.
                if resident_mb(task) > self.task_mb and (mb := task.memory_mb()) > self.task_mb:
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
        if TASK.match(" ".join(process.cmdline())):
            children = process.children(recursive=True)
            return Task(process=process, processes=[process, *children])
    return None


def resident_mb(task: Task) -> int:
    total = 0
    for process in task.processes:
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total // MIB


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
    with suppress(psutil.Error, OSError):
        for log in log_files(task.process):
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
    sys.stderr.write(f"{task.process.cmdline()[0]}: {event}\n")
    kill(task.processes)


def log_files(task: psutil.Process) -> list[Path]:
    """Log of the attempt: its supervisor, the parent of the task, writes it."""
    parent = task.parent()
    names = {opened.path for opened in parent.open_files()} if parent else set()
    return [Path(name) for name in sorted(names) if re.search(r"/attempt=\d+\.log$", name)]


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=2)


if __name__ == "__main__":
    main()
