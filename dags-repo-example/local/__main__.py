"""python -m local run|check|reset: Airflow as plain processes."""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator

from local import env_file, environment
from local.environment import ROOT, STATE
from local.problem import Problem

RUNNING = STATE / "running"


@contextlib.contextmanager
def alone(about: str) -> Iterator[None]:
    """This folder for one process; another one learns `about`."""
    STATE.mkdir(exist_ok=True)
    with RUNNING.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Problem(
                f"Airflow of {ROOT} runs already: {file.read().strip()}.\n"
                "Ctrl-C where it was started stops it."
            ) from None
        file.truncate(0)
        file.write(f"{about} (process {os.getpid()})\n")
        file.flush()
        yield


def check(port: str) -> None:
    """Refuse what cannot work, before anything is installed."""
    if os.geteuid() == 0:
        raise Problem(
            "PostgreSQL refuses to run as root, and so does `make airflow`. Run it as an ordinary "
            "user, or use containers: `make compose`."
        )
    with alone("it is starting"):
        environment.asked_port(port)


def run(port: str) -> None:
    """Start everything, say how to use it, stop everything at Ctrl-C."""
    check(port)
    # It needs the virtual environment, which `check` does not.
    from local import start

    ports = environment.choose_ports(environment.asked_port(port))
    with alone(ports.url):
        start.run(ports, env_file.ensure())


def reset(_: str) -> None:
    """Delete the database, the queue and the logs of `make airflow`."""
    with alone("its data is being deleted"):
        for path in STATE.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != RUNNING:
                path.unlink()


COMMANDS = {"run": run, "check": check, "reset": reset}


def _stop(number: int, _: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--port", default="", help="port of the UI on loopback")
    arguments = parser.parse_args()
    # A closed terminal and `kill` stop Airflow as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        COMMANDS[arguments.command](arguments.port)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
