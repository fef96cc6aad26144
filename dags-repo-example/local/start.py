"""Start Airflow, wait until it is healthy, report restarts until Ctrl-C."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from checks import folders
from local import database, health, platform_yaml
from local.environment import ROOT, STATE, Ports, environment
from local.errors import OperationError, last_lines
from local.services import COMPONENTS, LOGS, SERVERS, log_of, redis_config
from local.supervisord import (
    Process,
    Supervisor,
    supervisord,
    terminate_orphans,
    wait_until,
)

DATABASE_SECONDS = 60
HEALTHY_SECONDS = 240
REPORT_SECONDS = 5
POLL_SECONDS = 1


class Progress:
    def __init__(self) -> None:
        self._started = time.monotonic()

    def report(self, text: str) -> None:
        print(f"{time.monotonic() - self._started:4.0f} s  {text}", flush=True)


def run(ports: Ports, secret: Mapping[str, str]) -> None:
    progress = Progress()
    _prepare(ports, secret)
    terminated = terminate_orphans()
    if terminated:
        progress.report(f"terminated {terminated} orphaned processes of a killed `make airflow`")
    progress.report("starting PostgreSQL and Redis")
    database.create_data(secret["POSTGRES_PASSWORD"])
    env = environment(secret, ports)
    try:
        with supervisord(ports, env) as supervisor:
            try:
                _start(supervisor, ports, secret, env, progress)
                with database.announced(ports):
                    print(_usage(ports), flush=True)
                    _watch(supervisor, progress)
            except KeyboardInterrupt:
                print()
                progress.report("stopping")
    finally:
        progress.report("stopped; data is kept in .airflow/")


def _prepare(ports: Ports, secret: Mapping[str, str]) -> None:
    for folder in (LOGS, STATE / "home", STATE / "redis"):
        folder.mkdir(parents=True, exist_ok=True)
    config = STATE / "redis.conf"
    config.touch(mode=0o600)
    config.write_text(redis_config(secret["REDIS_PASSWORD"], ports))


def _start(
    supervisor: Supervisor,
    ports: Ports,
    secret: Mapping[str, str],
    env: Mapping[str, str],
    progress: Progress,
) -> None:
    def database_is_ready() -> bool:
        supervisor.raise_if_fatal()
        return database.accepts_connections(secret["POSTGRES_PASSWORD"], ports)

    supervisor.start(*(f"servers:{name}" for name in SERVERS))
    wait_until(database_is_ready, DATABASE_SECONDS, "PostgreSQL", log_of("postgres"))
    progress.report("migrating the database")
    database.migrate(env)
    progress.report(f"starting {', '.join(COMPONENTS)}")
    started_at = datetime.now(UTC)
    # The API server last: it writes the same roles as `airflow users create`.
    supervisor.start(*(f"airflow:{name}" for name in COMPONENTS if name != "api-server"))
    database.ensure_admin(secret["ADMIN_PASSWORD"], env)
    database.ensure_pools(env)
    supervisor.start("airflow:api-server")
    _wait_healthy(supervisor, ports, started_at, progress)


def _wait_healthy(
    supervisor: Supervisor, ports: Ports, started_at: datetime, progress: Progress
) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    next_report = time.monotonic() + REPORT_SECONDS
    while unhealthy := health.unhealthy_components(health.fetch(ports), started_at):
        supervisor.raise_if_fatal()
        if time.monotonic() > deadline:
            raise OperationError(
                f"not healthy after {HEALTHY_SECONDS} s: {', '.join(unhealthy)}. See the logs in {LOGS}/"
            )
        if time.monotonic() > next_report:
            progress.report(f"waiting for {', '.join(unhealthy)}")
            next_report = time.monotonic() + REPORT_SECONDS
        time.sleep(0.5)
    progress.report("healthy")


def _usage(ports: Ports) -> str:
    return "\n".join(
        [
            "",
            "Airflow is healthy.",
            f"  UI         {ports.ui}",
            "  user       admin",
            "  password   grep ADMIN_PASSWORD .env",
            f"  DAGs       {dags()}",
            f"  logs       {LOGS.relative_to(ROOT)}/",
            "  stop       Ctrl-C",
            "",
        ]
    )


def dags() -> str:
    """How the DAGs are loaded, or why Airflow has none."""
    folder = platform_yaml.scalar("sub_path", "dags")
    if not folders.has_dag_files(ROOT, folder):
        return f"none: {folders.no_dag_files(ROOT, folder).text}"
    return f"a file saved in {folder}/ is loaded within about two seconds"


def _watch(supervisor: Supervisor, progress: Progress) -> None:
    """Report every exit of a process; supervisord restarts the process."""
    last_seen = {process.name: process for process in supervisor.processes()}
    while True:
        time.sleep(POLL_SECONDS)
        for now in supervisor.processes():
            text = exit_report(last_seen[now.name], now)
            last_seen[now.name] = now
            if text:
                progress.report(f"{text}. {last_lines(log_of(now.name))}")


def exit_report(before: Process, now: Process) -> str | None:
    """Message about an exit between two polls of a process, if it exited."""
    if now.state == "FATAL":
        return f"{now.name} keeps exiting, not restarted" if before.state != "FATAL" else None
    exited = now.exited and not before.exited
    replaced = 0 not in (before.pid, now.pid) and before.pid != now.pid
    return f"{now.name} exited, restarting" if exited or replaced else None
