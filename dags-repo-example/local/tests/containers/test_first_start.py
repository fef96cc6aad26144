"""What goes wrong when containers start for the first time, and what one is told."""

import os
import re
import subprocess

import pytest

COMMAND_SECONDS = 180


@pytest.fixture
def compose(copy_of_the_repository):
    folder = copy_of_the_repository()
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


def change(folder, name, value):
    env = folder / ".env"
    env.write_text(re.sub(f"^{name}=.*$", f"{name}={value}", env.read_text(), flags=re.M))


def test_without_env_it_says_how_to_make_it(compose):
    refused = compose("up", "--wait")
    assert refused.returncode
    assert "is missing a value: run make env" in refused.stderr


def test_a_database_with_another_password_is_told(compose):
    compose.make_env()
    assert compose("up", "--wait", "postgres", "redis").returncode == 0
    change(compose.folder, "POSTGRES_PASSWORD", "another")
    refused = compose("run", "--rm", "--no-deps", "airflow-init")
    assert refused.returncode
    assert "Put the old one back into .env, or begin anew: docker compose down --volumes" in (
        refused.stdout + refused.stderr
    )


def test_a_user_who_cannot_write_logs_is_told(compose):
    compose.make_env()
    (compose.folder / "logs").chmod(0o755)
    change(compose.folder, "AIRFLOW_UID", "12345")
    refused = compose("run", "--rm", "--no-deps", "airflow-init")
    assert refused.returncode
    assert "./logs is not writable for user 12345: run make env" in refused.stdout + refused.stderr
