"""Environment of Airflow's processes: options of airflow.env, secrets of .env, ports, folders."""

import fcntl
import hashlib
import json
import os
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local import env_file
from local.errors import OperationError
from local.platform_yaml import scalar

ROOT = env_file.ROOT
STATE = ROOT / ".airflow"
# Locked by the process that runs the database, which writes its ports into the other file.
LOCK_FILE = STATE / "lock"
PORTS_FILE = STATE / "ports.json"
LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8080


@dataclass(frozen=True)
class Ports:
    api: int
    postgres: int
    redis: int

    @property
    def url(self) -> str:
        """For the components: every system resolves the address."""
        return f"http://{LOOPBACK}:{self.api}"

    @property
    def ui(self) -> str:
        """For browsers, which send a cookie to every port of a host: a host name per checkout."""
        return f"http://{host_name(ROOT)}:{self.api}"


def host_name(root: Path) -> str:
    """Browsers resolve every name below localhost to this machine (RFC 6761)."""
    name = re.sub(r"[^a-z0-9]+", "-", root.name.lower())[:40].strip("-")
    return f"{name or 'dags'}-{hashlib.sha256(str(root).encode()).hexdigest()[:4]}.localhost"


def running_ports() -> Ports | None:
    """Ports of the Airflow or the database that runs in this folder."""
    if not PORTS_FILE.exists():
        return None
    with LOCK_FILE.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Ports(**json.loads(PORTS_FILE.read_text()))
    return None  # a killed process left the file


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: without it, a recently closed port looks busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def requested_port(text: str) -> int | None:
    """The port in `text` if it is valid and free; None without a port."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise OperationError(f"PORT={text} is not a port from 1024 to 65535, such as PORT=8081")
    if not is_free(int(text)):
        # macOS has no `ss`, and a minimal Linux no `lsof`.
        mac = f"lsof -nP -iTCP:{text} -sTCP:LISTEN"
        command = mac if sys.platform == "darwin" else f"ss -ltnp 'sport = {text}'"
        raise OperationError(
            f"PORT={text} is in use by another program. Stop that program (`{command}` prints it), "
            "set another port, or omit PORT to use a free one."
        )
    return int(text)


def choose_ports(requested: int | None) -> Ports:
    """API server: `requested`, else 8080, else a free port. Servers: free ports."""
    sockets = [socket.socket() for _ in range(3)]
    try:
        for s in sockets:
            s.bind((LOOPBACK, 0))
        free = [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()
    default = DEFAULT_PORT if is_free(DEFAULT_PORT) else free[0]
    return Ports(api=requested or default, postgres=free[1], redis=free[2])


def own_variables(root: Path) -> dict[str, str]:
    """Variables of .env besides those of the local Airflow itself, such as AIRFLOW_CONN_*."""
    # Part of .venv, which `make` may not have created yet.
    from dotenv import dotenv_values

    values = dotenv_values(root / ".env")
    return {
        name: value
        for name, value in values.items()
        if value is not None and name not in (*env_file.VARIABLES, *env_file.COMPOSE_VARIABLES)
    }


def environment(secret: Mapping[str, str], ports: Ports, root: Path = ROOT) -> dict[str, str]:
    """Environment variables of every Airflow process."""
    state = root / STATE.name
    database = f"airflow:{secret['POSTGRES_PASSWORD']}@{LOOPBACK}:{ports.postgres}/airflow"
    # Airflow options of the shell configure another Airflow.
    shell = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    # The components connect to each other on this machine, never through a proxy.
    no_proxy = ",".join([*filter(None, [shell.get("NO_PROXY")]), LOOPBACK, "localhost"])
    # macOS ends the forked processes of a Celery worker: https://github.com/celery/celery/issues/4113
    mac = {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"} if sys.platform == "darwin" else {}
    return {
        **shell,
        **mac,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PATH": f"{root / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        **env_file.parse((root / "local" / "airflow.env").read_text()),
        **own_variables(root),
        "AIRFLOW_HOME": str(state / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / scalar("sub_path", "dags", root)),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(root / "plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(state / "logs"),
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(ports.api),
        "AIRFLOW__API__BASE_URL": ports.ui,
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
