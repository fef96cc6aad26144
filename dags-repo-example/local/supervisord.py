"""supervisord and its processes."""

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
from local.errors import OperationError, last_lines
from local.services import LOGS, PID_FILE, STOP_SECONDS, log_of, supervisor_config

READY_SECONDS = 30


@dataclass(frozen=True)
class Process:
    name: str
    state: str  # http://supervisord.org/subprocess.html#process-states
    pid: int  # 0: not running

    @property
    def exited(self) -> bool:
        return self.state in ("EXITED", "BACKOFF", "FATAL")


class Supervisor:
    def __init__(self, socket: Path) -> None:
        self._socket = socket

    @property
    def _rpc(self) -> Any:
        # A new proxy for each call: a failed call leaves the connection unusable.
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
            infos = self._rpc.getAllProcessInfo()
        except OSError:
            log = last_lines(LOGS / "supervisord.log")
            raise OperationError(f"supervisord, which runs all processes, exited.\n{log}") from None
        return [Process(info["name"], info["statename"], info["pid"]) for info in infos]

    def raise_if_fatal(self) -> None:
        for process in self.processes():
            if process.state == "FATAL":
                raise OperationError(
                    f"{process.name} failed to start.\n{last_lines(log_of(process.name))}"
                )


@contextlib.contextmanager
def supervisord(ports: Ports, env: Mapping[str, str]) -> Iterator[Supervisor]:
    """Run supervisord; on exit, stop it and terminate all its processes."""
    # Not in .airflow/: the path of a Unix socket is limited to 107 characters.
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
            # Keeps Ctrl-C of the terminal from the processes, which stop in a fixed order.
            start_new_session=True,
        )
    try:
        supervisor = Supervisor(socket)
        wait_until(supervisor.is_ready, READY_SECONDS, "supervisord", LOGS / "supervisord.out")
        yield supervisor
    finally:
        # A second Ctrl-C must not interrupt the shutdown, which takes seconds.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        daemon.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(3 * STOP_SECONDS)
        terminate_session(daemon.pid)
        daemon.wait()
        shutil.rmtree(folder)


def wait_until(condition: Callable[[], bool], seconds: float, what: str, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise OperationError(f"{what} was not ready after {seconds:.0f} s.\n{last_lines(log)}")
        time.sleep(0.1)


def terminate_session(session: int) -> int:
    """Terminate the processes of a supervisord's session; return their number."""
    remaining = [process for process in psutil.process_iter() if _belongs_to(process, session)]
    for process in remaining:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(remaining, STOP_SECONDS)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(remaining, STOP_SECONDS)
    return len(remaining)


def _belongs_to(process: psutil.Process, session: int) -> bool:
    try:
        # The kernel may have reused the session id for another program.
        folder = Path(process.cwd())
        return os.getsid(process.pid) == session and folder.is_relative_to(ROOT)
    except (psutil.Error, OSError):
        return False


def terminate_orphans() -> int:
    """Terminate the processes of a killed supervisord of this folder; return their number."""
    if not PID_FILE.exists():
        return 0
    terminated = terminate_session(int(PID_FILE.read_text()))
    PID_FILE.unlink(missing_ok=True)
    return terminated
