"""The gate of the DAG relay as a local process, started as in its container."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.waiting import wait_for

SCRIPTS = Path(__file__).parents[2] / "components" / "in_pod"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running_gate(folder: Path, **limits: int) -> Iterator[int]:
    """The port of a gate with these limits, such as MAX_MB."""
    folder.mkdir(exist_ok=True)
    shutil.copy(SCRIPTS / "dag_relay_gate.py", folder / "gate.py")
    shutil.copy(SCRIPTS / "dag_relay_gate_server.py", folder / "gate-server")
    port = free_port()
    env = {name: str(value) for name, value in {**limits, "PORT": port}.items()}
    command = [sys.executable, "-sE", str(folder / "gate-server")]
    with subprocess.Popen(command, env={**os.environ, **env}) as server:
        try:
            wait_for("the gate", lambda: _answers(port), seconds=10)
            yield port
        finally:
            server.terminate()
    assert server.returncode == 0


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
