"""`make migrate` for DAGs of Airflow 2, and the other outputs for an existing repository."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AIRFLOW_2 = """\
from datetime import datetime

from airflow import DAG
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.bash_operator import BashOperator
from airflow.utils.dates import days_ago
from airflow.contrib.sensors.file_sensor import FileSensor

with DAG("old", schedule_interval="@daily", start_date=days_ago(1), catchup=False) as dag:
    start = DummyOperator(task_id="start")
    day = BashOperator(task_id="day", bash_command="echo {{ execution_date }}")
    start >> day
"""


@pytest.fixture
def module(repository):
    def run(name):
        process = subprocess.run(
            [sys.executable, "-m", f"checks.{name}"],
            cwd=repository,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert not process.stderr, process.stderr
        return process.returncode, process.stdout.splitlines()

    return run


def test_a_migrated_repository_is_told_what_is_left(repository, module):
    file = repository / "dags" / "old.py"
    file.write_text(AIRFLOW_2)
    (repository / "include" / "unformatted.py").write_text("x  =  1\nimport os\n")

    status, lines = module("migrate")

    assert status == 1
    assert lines[0].startswith("Replaced 4 names of Airflow 2, see `git diff`: dags/old.py (4)")
    text = file.read_text()
    for name in (
        "from airflow.sdk import DAG",
        "from airflow.providers.standard.operators.empty import EmptyOperator",
        "from airflow.providers.standard.operators.bash import BashOperator",
        'schedule="@daily"',
    ):
        assert name in text
    assert "contrib" not in text, "an unused import"
    assert lines[1] == "dags/old.py"
    assert "days_ago" in "\n".join(lines[2:])
    assert any(line.startswith("1 left in 1 file: ") for line in lines), lines
    assert (repository / "include" / "unformatted.py").read_text() == "x  =  1\nimport os\n"

    text = text.replace("from airflow.utils.dates import days_ago\n", "")
    file.write_text(text.replace("days_ago(1)", "None"))
    status, lines = module("migrate")
    assert status == 1
    assert any("found execution_date" in line and "use logical_date" in line for line in lines)

    file.write_text(file.read_text().replace("execution_date", "logical_date"))
    status, lines = module("migrate")
    assert (status, lines[0]) == (0, "Nothing is left to migrate.")
    assert lines[1].startswith("Rules that `make check` reports and pyproject.toml can excuse: ")


def test_unformatted_files_are_named_in_one_line(repository, module):
    assert module("formatting") == (0, [])
    for number in range(7):
        (repository / "include" / f"f{number}.py").write_text("x  =  1\n")
    status, lines = module("formatting")
    assert status == 1
    assert lines == [
        "Not formatted: include/f0.py, include/f1.py, include/f2.py, include/f3.py, include/f4.py "
        "and 2 more; run `make format`."
    ]


def test_lint_allows_print_and_finds_breakpoint(tmp_path):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    (tmp_path / "dag.py").write_text('print("progress")\nbreakpoint()\n')
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--isolated", "--no-cache"]
    ruff += ["--select", ",".join(settings["select"]), "--output-format", "concise"]
    found = subprocess.run([*ruff, "dag.py"], cwd=tmp_path, capture_output=True, text=True)
    assert [line.split(" ")[1] for line in found.stdout.splitlines() if "dag.py:" in line] == [
        "T100"
    ]
