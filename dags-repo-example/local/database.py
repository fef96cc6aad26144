"""The PostgreSQL data directory, Airflow's tables and the user `admin`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

import psycopg2

from local.environment import LOOPBACK, ROOT, STATE, Ports
from local.errors import OperationError, last_lines
from local.services import LOGS, log_of, postgres_program

DATA = STATE / "postgres"
# Modified when the password of `admin` was last set.
ADMIN_STAMP = STATE / "admin-password-set"
COMMAND_SECONDS = 300


def create_data(password: str) -> None:
    """Create the data directory with an empty database `airflow`, unless it exists."""
    if DATA.exists():
        return
    # Renamed once complete: a killed start leaves no partial data directory behind.
    unfinished = DATA.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    initdb = [str(postgres_program("initdb")), "-D", str(unfinished), "-U", "airflow"]
    options = ["-A", "scram-sha-256", "--pwfile=/dev/stdin", "-E", "UTF8", "--locale=C"]
    _run("initdb", [*initdb, *options], stdin=f"{password}\n")
    single = [str(postgres_program("postgres")), "--single", "-D", str(unfinished), "postgres"]
    _run("initdb", single, stdin="CREATE DATABASE airflow;\n")
    unfinished.rename(DATA)


def accepts_connections(password: str, ports: Ports) -> bool:
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
        raise OperationError(
            f"{ROOT / '.env'}: POSTGRES_PASSWORD does not match the database in {DATA}. Restore the "
            "old password, or run `make airflow-reset` to start with an empty database."
        ) from None
    return True


def migrate(env: Mapping[str, str]) -> None:
    """Migrate Airflow's tables to the installed version."""
    status = _airflow("migrate", ["db", "migrate"], env)
    if status:
        raise OperationError(f"`airflow db migrate` failed.\n{last_lines(log_of('migrate'))}")


def ensure_admin(password: str, env: Mapping[str, str]) -> None:
    """Create the user `admin`, or update its password, unless `.env` is unchanged."""
    if ADMIN_STAMP.exists() and ADMIN_STAMP.stat().st_mtime >= (ROOT / ".env").stat().st_mtime:
        return
    # Airflow prompts twice. On the command line, other users could read the password.
    twice = f"{password}\n{password}\n"
    create = ["users", "create", "--role", "Admin", "--username", "admin", "--firstname", "Airflow"]
    create += ["--lastname", "Admin", "--email", "admin@localhost"]
    status = _airflow("admin", create, env, stdin=twice)
    if status == 0 and "already exist" in log_of("admin").read_text():
        reset = ["users", "reset-password", "--username", "admin"]
        status = _airflow("admin", reset, env, stdin=twice)
    if status:
        raise OperationError(f"`airflow users create` failed.\n{last_lines(log_of('admin'))}")
    ADMIN_STAMP.touch()


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
            start_new_session=True,  # with a terminal, Airflow would prompt there
            check=False,
        ).returncode


def _run(name: str, command: list[str], stdin: str) -> None:
    log = LOGS / f"{name}.log"
    with log.open("a") as file:
        completed = subprocess.run(
            command,
            input=stdin,
            text=True,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TZ": "UTC"},
            timeout=COMMAND_SECONDS,
            check=False,
        )
    if completed.returncode:
        raise OperationError(f"{command[0]} failed.\n{last_lines(log)}")
