"""supervisord, and what it has started."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from local.environment import ROOT, Ports
from local.problem import Problem, last_lines
from local.services import LOGS, PID_FILE, STOP_SECONDS, log_of, supervisor_config

READY_SECONDS = 30


@dataclass(frozen=True)
class Process:
    name: str
    state: str  # http://supervisord.org/subprocess.html#process-states
    pid: int  # 0: it does not run

    @property
    def ended(self) -> bool:
        return self.state in ("EXITED", "BACKOFF", "FATAL")


class Supervisor:
    def __init__(self, socket: Path) -> None:
        self._socket = socket

    @property
    def _rpc(self) -> Any:
        # A new one each time: after a failed call the old one is of no use.
        transport = SupervisorTransport(serverurl=f"unix://{self._socket}")
        return xmlrpc.client.ServerProxy("http://localhost", transport).supervisor

    def is_ready(self) -> bool:
        try:
            return self._rpc.getState()["statename"] == "RUNNING"
        except (OSError, xmlrpc.client.Error):
            return False

    def start(self, *names: str) -> None:
        for name in names:
            self._rpc.startProcess(name, False)

    def processes(self) -> list[Process]:
        try:
            known = self._rpc.getAllProcessInfo()
        except OSError:
            log = last_lines(LOGS / "supervisord.log")
            raise Problem(f"supervisord, which watches all processes, has ended.\n{log}") from None
        return [Process(each["name"], each["statename"], each["pid"]) for each in known]

    def raise_if_given_up(self) -> None:
        for each in self.processes():
            if each.state == "FATAL":
                raise Problem(f"{each.name} does not start.\n{last_lines(log_of(each.name))}")


@contextlib.contextmanager
def supervisord(ports: Ports, env: Mapping[str, str]) -> Iterator[Supervisor]:
    """A supervisord that runs inside this block; nothing that it started outlives the block."""
    # Not in .airflow/: the path of a socket may have 107 characters only.
    folder = Path(tempfile.mkdtemp(prefix="airflow-"))
    socket = folder / "supervisor.sock"
    config = folder / "supervisord.conf"
    config.write_text(supervisor_config(ports, socket))
    with (LOGS / "supervisord.out").open("w") as out:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(config)],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            # Ctrl-C reaches everything in the foreground of a terminal; the order of ends is ours.
            start_new_session=True,
        )
    try:
        supervisor = Supervisor(socket)
        wait_until(supervisor.is_ready, READY_SECONDS, "supervisord", LOGS / "supervisord.out")
        yield supervisor
    finally:
        # A second Ctrl-C must not leave half of it behind; what follows takes seconds.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        daemon.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(3 * STOP_SECONDS)
        end_leftovers(daemon.pid)
        daemon.wait()
        shutil.rmtree(folder)


def wait_until(is_so: Callable[[], bool], seconds: float, what: str, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise Problem(f"{what} did not answer within {seconds:.0f} s.\n{last_lines(log)}")
        time.sleep(0.1)


def end_leftovers(session: int) -> int:
    """End what still runs in a supervisord's session; return how many processes that were."""
    left = [process for process in psutil.process_iter() if _is_ours(process, session)]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(left, STOP_SECONDS)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, STOP_SECONDS)
    return len(left)


def _is_ours(process: psutil.Process, session: int) -> bool:
    try:
        # A number that the system has given away again names somebody else's session.
        folder = Path(process.cwd())
        return os.getsid(process.pid) == session and folder.is_relative_to(ROOT)
    except (psutil.Error, OSError):
        return False


def end_what_a_killed_start_left() -> int:
    """What a supervisord of this folder left that had no chance to stop."""
    if not PID_FILE.exists():
        return 0
    ended = end_leftovers(int(PID_FILE.read_text()))
    PID_FILE.unlink(missing_ok=True)
    return ended
