"""The environment of the processes: options from airflow.env, secrets from .env, and where things are."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from local import env_file
from local.problem import Problem

ROOT = env_file.ROOT
STATE = ROOT / ".airflow"
LOOPBACK = "127.0.0.1"
USUAL_PORT = 8080


@dataclass(frozen=True)
class Ports:
    api: int
    postgres: int
    redis: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.api}"


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: otherwise a port that was closed a moment ago looks busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def asked_port(text: str) -> int | None:
    """The port that somebody named, if it can be had. Nothing named: None."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise Problem(f"PORT={text}: a port is a number from 1024 to 65535, such as PORT=8081")
    if not is_free(int(text)):
        raise Problem(
            f"PORT={text}: another program listens there. Stop it (`ss -ltnp 'sport = {text}'` shows "
            "which), name another port, or leave PORT out: then a free one is chosen."
        )
    return int(text)


def choose_ports(asked: int | None) -> Ports:
    """`asked`, or else 8080, or else any free port for the API server; any free ones for the others."""
    sockets = [socket.socket() for _ in range(3)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        free = [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
    usual = USUAL_PORT if is_free(USUAL_PORT) else free[0]
    return Ports(api=asked or usual, postgres=free[1], redis=free[2])


def environment(secret: dict[str, str], ports: Ports, root: Path = ROOT) -> dict[str, str]:
    """What every process of Airflow finds in its environment."""
    state = root / STATE.name
    database = f"airflow:{secret['POSTGRES_PASSWORD']}@{LOOPBACK}:{ports.postgres}/airflow"
    # Options that the shell is set up with belong to another Airflow.
    shell = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    # Its components talk to each other on this machine, never through the proxy of a company.
    direct = ",".join([*filter(None, [shell.get("NO_PROXY")]), LOOPBACK, "localhost"])
    return {
        **shell,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "PATH": f"{root / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        **env_file.parse((root / "local" / "airflow.env").read_text()),
        "AIRFLOW_HOME": str(state / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(root / "plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(state / "logs"),
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(ports.api),
        "AIRFLOW__API__BASE_URL": ports.url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{ports.url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
        "AIRFLOW__CELERY__BROKER_URL": (
            f"redis://:{secret['REDIS_PASSWORD']}@{LOOPBACK}:{ports.redis}/0"
        ),
        "AIRFLOW__CORE__FERNET_KEY": secret["FERNET_KEY"],
        "AIRFLOW__API__SECRET_KEY": secret["API_SECRET_KEY"],
        "AIRFLOW__API_AUTH__JWT_SECRET": secret["JWT_SECRET"],
    }
