"""One Airflow for all tests of this folder, in processes or in containers."""

import os
import subprocess

import pytest

from local.environment import choose_ports
from local.tests.client import Client
from local.tests.starting import Started

UP_SECONDS = 300


@pytest.fixture(scope="session")
def airflow(request, copy_of_the_repository):
    folder = copy_of_the_repository()
    if request.config.getoption("--runs-in") == "processes":
        started = Started(folder)
        try:
            yield started.wait_healthy()
        finally:
            started.end()
        return
    port = choose_ports(None).api
    project = f"airflow-test-{port}"
    env = {**os.environ, "AIRFLOW_PORT": str(port), "COMPOSE_PROJECT_NAME": project}

    def command(*words: str) -> None:
        subprocess.run(words, cwd=folder, env=env, check=True, timeout=UP_SECONDS)

    try:
        command("make", "compose")
        yield Client(f"http://127.0.0.1:{port}", folder)
    finally:
        command("docker", "compose", "down", "--volumes", "--timeout", "5")
