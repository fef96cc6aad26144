"""Commands and debugging on the local database, with and without a running `make airflow`."""

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from local.tests.client import wait_for
from local.tests.local_airflow import LocalAirflow

SECONDS = 600
DAG = """
from datetime import datetime

from airflow.sdk import Variable, dag, task


@task
def answer():
    {stop}
    print("the answer is", Variable.get("answer"))


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def asks():
    answer()


made = asks()
if __name__ == "__main__":
    made.test()
"""


@pytest.fixture(scope="module", params=["stopped", "running"])
def folder(request, copy_repository):
    folder = copy_repository()
    (folder / ".env").write_text("AIRFLOW_VAR_ANSWER=42\n")
    (folder / "dags" / "asks.py").write_text(DAG.format(stop=""))
    if request.param == "stopped":
        subprocess.run(["make", "env"], cwd=folder, check=True, env=environment())
        yield folder
        return
    airflow = LocalAirflow(folder)
    try:
        client = airflow.wait_healthy()
        wait_for("the DAGs", lambda: "asks" in client.dag_ids(), 30)
        yield folder
    finally:
        airflow.stop()


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW_")}


def run(folder, *command, stdin=subprocess.DEVNULL):
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_make_cli_lists_the_dags(folder):
    output = run(folder, "make", "cli", "ARGS=dags list", f"PYTHON={sys.executable}")
    assert re.search(r"^asks +\|", output, re.MULTILINE)


def test_the_airflow_command_reads_env_file(folder):
    # Scripts of .venv start the Python of the repository whose .venv this copy shares.
    python = folder / ".venv" / "bin" / "python"
    assert run(folder, python, "-m", "airflow", "variables", "get", "answer").endswith("42\n")


def test_dag_test_runs_the_tasks(folder):
    python = folder / ".venv" / "bin" / "python"
    assert "the answer is 42" in run(folder, python, "dags/asks.py")


def test_a_killed_command_leaves_no_database(copy_repository):
    """The next command stops its PostgreSQL and uses the data."""
    folder = copy_repository()
    run(folder, "make", "env")
    python = [str(folder / ".venv" / "bin" / "python"), "-m", "local", "exec"]
    connect = "import os, sqlalchemy as s; s.create_engine(os.environ['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'])"
    command = [*python, "python", "-c", f"{connect}.connect(); print('connected', flush=True)"]
    assert "connected" in run(folder, *command)
    sleeping = [*python, "python", "-c", "print('ready', flush=True); import time; time.sleep(600)"]
    with subprocess.Popen(
        sleeping, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout.readline() == "ready\n"
        child = psutil.Process(killed.pid).children()
        killed.kill()
        assert "connected" in run(folder, *command)
        for process in child:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def test_breakpoint_stops_make_debug(folder):
    file = folder / "dags" / "asks.py"
    file.write_text(DAG.format(stop="x = 41; breakpoint()"))
    terminal, stdin = pty.openpty()
    os.write(terminal, b"p x + 1\nc\n")
    try:
        output = run(folder, "make", "debug", "DAG=asks", f"PYTHON={sys.executable}", stdin=stdin)
    finally:
        file.write_text(DAG.format(stop=""))
        os.close(terminal)
        os.close(stdin)
    assert re.search(r"\(Pdb\) +42$", output, re.MULTILINE)
    assert "the answer is 42" in output
