"""One Airflow for all tests in this folder, as processes or in containers."""

import os
import subprocess

import pytest

from local.environment import choose_ports
from local.tests.client import Client
from local.tests.local_airflow import LocalAirflow

UP_SECONDS = 300
ENV = """AIRFLOW_VAR_GREETING='good day'
AIRFLOW_CONN_SHOP='{"conn_type": "http", "host": "shop.example.com"}'"""


@pytest.fixture(scope="session")
def airflow(request, copy_repository):
    folder = copy_repository()
    platform = folder / "platform.yaml"
    text = platform.read_text().replace("[default]", "[default, etl]")
    platform.write_text(text.replace("[default_pool]", "[default_pool, warehouse]"))
    # Newer than .venv, which the copies share: `make` would install the same packages again.
    os.utime(platform, (0, 0))
    (folder / ".env").write_text(f"{ENV}\n")
    if request.config.getoption("--runs-in") == "processes":
        local = LocalAirflow(folder)
        try:
            yield local.wait_healthy()
        finally:
            local.stop()
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
