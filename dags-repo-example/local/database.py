"""PostgreSQL's data, Airflow's tables in it, and the user `admin`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

import psycopg2

from local.environment import LOOPBACK, ROOT, STATE, Ports
from local.problem import Problem, last_lines
from local.services import LOGS, log_of, postgres_program

DATA = STATE / "postgres"
ADMIN_MADE = STATE / "admin-made"
COMMAND_SECONDS = 300


def create_data(password: str) -> None:
    """An empty database `airflow`, the first time."""
    if DATA.exists():
        return
    # Under its own name only when it is complete: what a killed start left is no database.
    unfinished = DATA.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    initdb = [str(postgres_program("initdb")), "-D", str(unfinished), "-U", "airflow"]
    options = ["-A", "scram-sha-256", "--pwfile=/dev/stdin", "-E", "UTF8", "--locale=C"]
    _run("initdb", [*initdb, *options], stdin=f"{password}\n")
    single = [str(postgres_program("postgres")), "--single", "-D", str(unfinished), "postgres"]
    _run("initdb", single, stdin="CREATE DATABASE airflow;\n")
    unfinished.rename(DATA)


def answers(password: str, ports: Ports) -> bool:
    """Whether PostgreSQL takes connections by now."""
    try:
        psycopg2.connect(
            host=LOOPBACK,
            port=ports.postgres,
            user="airflow",
            password=password,
            dbname="airflow",
            connect_timeout=2,
        ).close()
    except psycopg2.OperationalError as error:
        if "authentication failed" not in str(error):
            return False
        raise Problem(
            f"{ROOT / '.env'}: POSTGRES_PASSWORD is not the one that {DATA} was made with. Put the "
            "old one back, or `make airflow-reset` to begin with an empty database."
        ) from None
    return True


def migrate(env: Mapping[str, str]) -> None:
    """Bring Airflow's tables to the installed version."""
    status = _airflow("migrate", ["db", "migrate"], env)
    if status:
        raise Problem(f"`airflow db migrate` failed.\n{last_lines(log_of('migrate'))}")


def make_admin(password: str, env: Mapping[str, str]) -> None:
    """The user `admin` with the password of `.env`, unless that is so already."""
    if ADMIN_MADE.exists() and ADMIN_MADE.stat().st_mtime >= (ROOT / ".env").stat().st_mtime:
        return
    # Airflow asks twice; on its command line everybody could read the password.
    twice = f"{password}\n{password}\n"
    create = ["users", "create", "--role", "Admin", "--username", "admin", "--firstname", "Airflow"]
    create += ["--lastname", "Admin", "--email", "admin@localhost"]
    status = _airflow("admin", create, env, stdin=twice)
    if status == 0 and "already exist" in log_of("admin").read_text():
        reset = ["users", "reset-password", "--username", "admin"]
        status = _airflow("admin", reset, env, stdin=twice)
    if status:
        raise Problem(f"`airflow users create` failed.\n{last_lines(log_of('admin'))}")
    ADMIN_MADE.touch()


def _airflow(name: str, args: list[str], env: Mapping[str, str], stdin: str = "") -> int:
    command = [sys.executable, "-m", "airflow", *args]
    with log_of(name).open("w") as log:
        return subprocess.run(
            command,
            input=stdin,
            text=True,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=ROOT,
            timeout=COMMAND_SECONDS,
            start_new_session=True,  # with a terminal, Airflow would ask there
            check=False,
        ).returncode


def _run(name: str, command: list[str], stdin: str) -> None:
    log = LOGS / f"{name}.log"
    with log.open("a") as file:
        done = subprocess.run(
            command,
            input=stdin,
            text=True,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TZ": "UTC"},
            timeout=COMMAND_SECONDS,
            check=False,
        )
    if done.returncode:
        raise Problem(f"{command[0]} failed.\n{last_lines(log)}")
