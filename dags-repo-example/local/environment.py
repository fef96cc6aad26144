"""Environment of Airflow's processes: options of airflow.env, secrets of .env, ports, folders."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from local import env_file
from local.errors import OperationError

ROOT = env_file.ROOT
STATE = ROOT / ".airflow"
LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8080


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
        raise OperationError(
            f"PORT={text} is in use by another program. Stop that program (`ss -ltnp 'sport = {text}'` "
            "prints it), set another port, or omit PORT to use a free one."
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


def environment(secret: dict[str, str], ports: Ports, root: Path = ROOT) -> dict[str, str]:
    """Environment variables of every Airflow process."""
    state = root / STATE.name
    database = f"airflow:{secret['POSTGRES_PASSWORD']}@{LOOPBACK}:{ports.postgres}/airflow"
    # Airflow options of the shell configure another Airflow.
    shell = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    # The components connect to each other on this machine, never through a proxy.
    no_proxy = ",".join([*filter(None, [shell.get("NO_PROXY")]), LOOPBACK, "localhost"])
    return {
        **shell,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
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
