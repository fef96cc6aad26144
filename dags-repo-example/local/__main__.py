"""python -m local run|check|reset, or exec COMMAND: Airflow as local processes."""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

from local import env_file, environment
from local.environment import ROOT, STATE
from local.errors import OperationError

LOCK_FILE = environment.LOCK_FILE


@contextlib.contextmanager
def folder_lock(holder: str) -> Iterator[None]:
    """Lock this folder for the current process; other processes report `holder`."""
    STATE.mkdir(exist_ok=True)
    with LOCK_FILE.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise OperationError(
                f"{ROOT} is in use: {file.read().strip()}.\n"
                "Stop Airflow with Ctrl-C in the terminal that runs it."
            ) from None
        file.truncate(0)
        file.write(f"{holder} (process {os.getpid()})\n")
        file.flush()
        yield


def refuse_root() -> None:
    if os.geteuid() == 0:
        raise OperationError(
            "PostgreSQL refuses to run as root, and so does `make airflow`. Run it as an ordinary "
            "user, or use containers: `make compose`."
        )


def check(port: str) -> None:
    """Refuse an unsupported user or port before anything is installed."""
    refuse_root()
    with folder_lock("Airflow is starting"):
        environment.requested_port(port)


def run(port: str) -> None:
    """Start Airflow, print how to use it, stop it on Ctrl-C."""
    check(port)
    # Needs the virtual environment, which `check` does not.
    from local import start

    ports = environment.choose_ports(environment.requested_port(port))
    with folder_lock(f"Airflow runs at {ports.ui}"):
        start.run(ports, env_file.ensure())


def execute(command: list[str]) -> int:
    """Run a command with Airflow's environment; start the database if it does not run."""
    secret = env_file.ensure()
    ports = environment.running_ports()
    if ports:
        return _run(command, environment.environment(secret, ports))
    refuse_root()
    from local import database

    ports = environment.choose_ports(None)
    env = environment.environment(secret, ports)
    with folder_lock("an Airflow command runs"), database.running(secret, ports, env):
        return _run(command, env)


def _run(command: list[str], env: dict[str, str]) -> int:
    # Ctrl-C is for the command, such as a debugger.
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.run(command, env=env, check=False).returncode


def reset(_: str) -> None:
    """Delete the database, queue and logs of `make airflow`."""
    with folder_lock("make airflow-reset is deleting the data"):
        for path in STATE.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != LOCK_FILE:
                path.unlink()


COMMANDS = {"run": run, "check": check, "reset": reset}


def _interrupt(number: int, _: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    # `kill` and a closed terminal stop Airflow like Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        if sys.argv[1:2] == ["exec"]:
            return execute(sys.argv[2:])
        parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
        parser.add_argument("command", choices=COMMANDS)
        parser.add_argument("--port", default="", help="port of the UI on 127.0.0.1")
        arguments = parser.parse_args()
        COMMANDS[arguments.command](arguments.port)
    except OperationError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
