"""Failures of the first `docker compose up` and their messages."""

import os
import re
import subprocess

import pytest

COMMAND_SECONDS = 180


@pytest.fixture
def compose(copy_repository):
    folder = copy_repository()
    env = {**os.environ, "COMPOSE_PROJECT_NAME": f"airflow-test-{os.getpid()}"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "compose", *words],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    run.folder = folder
    run.make_env = lambda: subprocess.run(["make", "--silent", "env"], cwd=folder, check=True)
    yield run
    run.make_env()
    assert run("down", "--volumes", "--timeout", "5").returncode == 0


def set_variable(folder, name, value):
    env = folder / ".env"
    env.write_text(re.sub(f"^{name}=.*$", f"{name}={value}", env.read_text(), flags=re.M))


def test_missing_env_file_is_refused_with_advice(compose):
    result = compose("up", "--wait")
    assert result.returncode
    assert "is missing a value: run make env" in result.stderr


def test_wrong_database_password_is_reported(compose):
    compose.make_env()
    assert compose("up", "--wait", "postgres", "redis").returncode == 0
    set_variable(compose.folder, "POSTGRES_PASSWORD", "another")
    result = compose("run", "--rm", "--no-deps", "airflow-init")
    assert result.returncode
    assert (
        "Restore the old password in .env, or delete the data: docker compose down --volumes"
        in (result.stdout + result.stderr)
    )


def test_wrong_database_user_is_named(compose):
    compose.make_env()
    assert compose("up", "--wait", "postgres", "redis").returncode == 0
    path = compose.folder / "compose.yaml"
    path.write_text(path.read_text().replace("psycopg2://airflow:", "psycopg2://airflw:"))
    result = compose("run", "--rm", "--no-deps", "airflow-init")
    assert result.returncode
    output = result.stdout + result.stderr
    assert "Airflow connects to PostgreSQL as user airflw, database airflow." in output
    assert "this user is not POSTGRES_USER of the service postgres" in output


def test_unwritable_logs_folder_is_reported(compose):
    compose.make_env()
    (compose.folder / "logs").chmod(0o755)
    set_variable(compose.folder, "AIRFLOW_UID", "12345")
    result = compose("run", "--rm", "--no-deps", "airflow-init")
    assert result.returncode
    assert "./logs is not writable for user 12345: run make env" in result.stdout + result.stderr
