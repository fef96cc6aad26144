"""The PostgreSQL data directory, Airflow's tables, the user `admin` and the platform's pools."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import psutil
import psycopg2

from local import platform_yaml
from local.environment import LOOPBACK, PORTS_FILE, ROOT, STATE, Ports
from local.errors import OperationError, last_lines
from local.services import LOGS, POSTGRES_ENVIRONMENT, log_of, postgres_command, postgres_program
from local.supervisord import terminate_orphans, wait_until

DATA = STATE / "postgres"
# Modified when the password of `admin` was last set.
ADMIN_STAMP = STATE / "admin-password-set"
# Contains the version of Airflow's tables; modified when Airflow last read all DAG files.
MIGRATED_STAMP = STATE / "migrated"
COMMAND_SECONDS = 300
READY_SECONDS = 60
STOP_SECONDS = 15


def terminate_orphan() -> None:
    """Stop the PostgreSQL of a killed command; the caller holds the lock of this folder."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        server = psutil.Process(int((DATA / "postmaster.pid").read_text().split()[0]))
        # Another program may have this process id now.
        if Path(server.cwd()) == DATA:
            server.send_signal(signal.SIGINT)
            server.wait(STOP_SECONDS)


def create_data(password: str) -> None:
    """Create the data directory with an empty database `airflow`, unless it exists."""
    terminate_orphan()
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
    MIGRATED_STAMP.write_text(version("apache-airflow"))


def ensure_pools(env: Mapping[str, str]) -> None:
    """Create the pools of platform.yaml; Airflow itself creates default_pool."""
    names = [name for name in platform_yaml.names("pools") if name != "default_pool"]
    if names and _run_logged("pools", ["local/create_pools.py", *names], env):
        raise OperationError(f"The pools were not created.\n{last_lines(log_of('pools'))}")


@contextlib.contextmanager
def running(secret: Mapping[str, str], ports: Ports, env: Mapping[str, str]) -> Iterator[None]:
    """PostgreSQL with Airflow's tables, without Airflow: for one command."""
    LOGS.mkdir(parents=True, exist_ok=True)
    (STATE / "home").mkdir(exist_ok=True)
    terminate_orphans()
    create_data(secret["POSTGRES_PASSWORD"])
    with log_of("postgres").open("a") as log:
        server = subprocess.Popen(
            postgres_command(ports.postgres),
            stdout=log,
            stderr=log,
            env=os.environ | POSTGRES_ENVIRONMENT,
            start_new_session=True,  # Ctrl-C ends the command, not its database
        )

    def is_ready() -> bool:
        if server.poll() is not None:
            raise OperationError(f"PostgreSQL failed to start.\n{last_lines(log_of('postgres'))}")
        return accepts_connections(secret["POSTGRES_PASSWORD"], ports)

    try:
        wait_until(is_ready, READY_SECONDS, "PostgreSQL", log_of("postgres"))
        if not (
            MIGRATED_STAMP.exists() and MIGRATED_STAMP.read_text() == version("apache-airflow")
        ):
            print("Creating Airflow's tables, once ...", file=sys.stderr, flush=True)
            migrate(env)
            os.utime(MIGRATED_STAMP, (0, 0))
        if any(path.stat().st_mtime > MIGRATED_STAMP.stat().st_mtime for path in dag_files()):
            # Without a DAG processor. The UI and `airflow dags list-import-errors` show its errors.
            _airflow("reserialize", ["dags", "reserialize"], env)
            MIGRATED_STAMP.touch()
        with announced(ports):
            yield
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()


def dag_files() -> list[Path]:
    folder = ROOT / platform_yaml.scalar("sub_path", "dags")
    return [folder, *folder.rglob("*.py")] if folder.exists() else []


@contextlib.contextmanager
def announced(ports: Ports) -> Iterator[None]:
    """Other commands in this folder use the database while it runs."""
    PORTS_FILE.write_text(json.dumps(asdict(ports)))
    try:
        yield
    finally:
        PORTS_FILE.unlink(missing_ok=True)


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
    return _run_logged(name, ["-m", "airflow", *args], env, stdin)


@contextlib.contextmanager
def within_time(name: str) -> Iterator[None]:
    try:
        yield
    except subprocess.TimeoutExpired:
        text = f"{name} did not end within {COMMAND_SECONDS} s: the machine may be overloaded."
        raise OperationError(f"{text}\n{last_lines(log_of(name))}") from None


def _run_logged(name: str, args: list[str], env: Mapping[str, str], stdin: str = "") -> int:
    with log_of(name).open("w") as log, within_time(name):
        return subprocess.run(
            [sys.executable, *args],
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
            env=os.environ | POSTGRES_ENVIRONMENT,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    if completed.returncode:
        raise OperationError(f"{command[0]} failed.\n{last_lines(log)}")
