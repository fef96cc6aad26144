"""From nothing to a healthy Airflow, and then an eye on it until Ctrl-C."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from local import database, health
from local.environment import ROOT, STATE, Ports, environment
from local.problem import Problem, last_lines
from local.services import AIRFLOW, LOGS, SERVERS, log_of, redis_config
from local.supervised import (
    Process,
    Supervisor,
    end_what_a_killed_start_left,
    supervisord,
    wait_until,
)

DATABASE_SECONDS = 60
HEALTHY_SECONDS = 240
SAY_SECONDS = 5
WATCH_SECONDS = 1


class Progress:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:4.0f} s  {text}", flush=True)


def run(ports: Ports, secret: Mapping[str, str]) -> None:
    progress = Progress()
    _prepare(ports, secret)
    ended = end_what_a_killed_start_left()
    if ended:
        progress.say(f"ended {ended} processes that a killed `make airflow` had left")
    progress.say("starting PostgreSQL and Redis")
    database.create_data(secret["POSTGRES_PASSWORD"])
    env = environment(secret, ports)
    try:
        with supervisord(ports, env) as supervisor:
            try:
                _start(supervisor, ports, secret, env, progress)
                print(_how_to_use_it(ports), flush=True)
                _watch(supervisor, progress)
            except KeyboardInterrupt:
                print()
                progress.say("stopping")
    finally:
        progress.say("stopped; its data stays in .airflow/")


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
    def database_answers() -> bool:
        supervisor.raise_if_given_up()
        return database.answers(secret["POSTGRES_PASSWORD"], ports)

    supervisor.start(*(f"servers:{name}" for name in SERVERS))
    wait_until(database_answers, DATABASE_SECONDS, "PostgreSQL", log_of("postgres"))
    progress.say("migrating the database")
    database.migrate(env)
    progress.say(f"starting {', '.join(AIRFLOW)}")
    began = datetime.now(UTC)
    # The API server last: it writes the same roles as the command that makes the user.
    supervisor.start(*(f"airflow:{name}" for name in AIRFLOW if name != "api-server"))
    database.make_admin(secret["ADMIN_PASSWORD"], env)
    supervisor.start("airflow:api-server")
    _wait_healthy(supervisor, ports, began, progress)


def _wait_healthy(
    supervisor: Supervisor, ports: Ports, began: datetime, progress: Progress
) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    say_again = time.monotonic() + SAY_SECONDS
    while missing := health.missing(health.ask(ports), began):
        supervisor.raise_if_given_up()
        if time.monotonic() > deadline:
            raise Problem(
                f"not healthy after {HEALTHY_SECONDS} s: {', '.join(missing)}. Look into {LOGS}/"
            )
        if time.monotonic() > say_again:
            progress.say(f"waiting for {', '.join(missing)}")
            say_again = time.monotonic() + SAY_SECONDS
        time.sleep(0.5)
    progress.say("healthy")


def _how_to_use_it(ports: Ports) -> str:
    return "\n".join(
        [
            "",
            "Airflow is healthy.",
            f"  UI         {ports.url}",
            "  user       admin",
            "  password   grep ADMIN_PASSWORD .env",
            "  DAGs       save a file in dags/, and it is there in about two seconds",
            f"  logs       {LOGS.relative_to(ROOT)}/",
            "  stop       Ctrl-C",
            "",
        ]
    )


def _watch(supervisor: Supervisor, progress: Progress) -> None:
    """Say when a process ends; supervisord starts it again."""
    known = {each.name: each for each in supervisor.processes()}
    while True:
        time.sleep(WATCH_SECONDS)
        for now in supervisor.processes():
            text = news(known[now.name], now)
            known[now.name] = now
            if text:
                progress.say(f"{text}. {last_lines(log_of(now.name))}")


def news(before: Process, now: Process) -> str | None:
    """What became of a process between two looks at it."""
    if now.state == "FATAL":
        return f"{now.name} does not stay up, gave up" if before.state != "FATAL" else None
    ended = now.ended and not before.ended
    replaced = 0 not in (before.pid, now.pid) and before.pid != now.pid
    return f"{now.name} ended, starting it again" if ended or replaced else None
