"""Which commands use the database of this folder by themselves."""

import os
import sys

import pytest

from local import attach, env_file, environment

DAG_FILE = "from airflow.sdk import dag\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(attach, "ROOT", tmp_path)
    monkeypatch.delenv("AIRFLOW_HOME", raising=False)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "tested.py").write_text(f"{DAG_FILE}made.test()\n")
    (tmp_path / "dags" / "plain.py").write_text(DAG_FILE)
    return tmp_path


@pytest.fixture
def executed(monkeypatch):
    calls = []
    monkeypatch.setattr(attach.os, "execv", lambda *call: calls.append(call))
    monkeypatch.setattr(attach.os, "geteuid", lambda: 1000)
    return calls


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/x/.venv/bin/airflow", "dags", "list"], True),
        (["-m", "airflow", "dags", "list"], True),
        (["dags/tested.py"], True),
        (["dags/plain.py"], False),
        (["/x/.venv/bin/pytest"], False),
        (["-m", "checks"], False),
        ([], False),
    ],
)
def test_airflow_and_dag_test_use_the_database(folder, monkeypatch, arguments, expected):
    monkeypatch.chdir(folder)
    assert attach.uses_database(["python", *arguments]) is expected


def test_a_command_is_run_again_with_the_database(folder, executed, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "airflow", "dags", "list"])
    attach.attach()
    ((program, command),) = executed
    assert program == sys.executable
    assert command[3:] == [
        str(folder),
        *("exec", sys.executable, "-m", "airflow", "dags", "list"),
    ]


def test_a_running_airflow_is_used_by_every_program(folder, executed, monkeypatch):
    ports = environment.Ports(api=8080, postgres=5001, redis=5002)
    (folder / ".airflow").mkdir()
    (folder / ".airflow" / "ports.json").touch()
    monkeypatch.setattr(environment, "running_ports", lambda: ports)
    monkeypatch.setattr(environment, "environment", lambda *_: {"AIRFLOW_HOME": "here"})
    monkeypatch.setattr(env_file, "ensure", dict)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "debugpy"])
    monkeypatch.setenv("AIRFLOW_HOME", "before")
    monkeypatch.delenv("AIRFLOW_HOME")
    attach.attach()
    assert os.environ["AIRFLOW_HOME"] == "here"
    assert executed == []


def test_airflows_own_processes_are_left_alone(folder, executed, monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", "set")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "airflow", "scheduler"])
    attach.attach()
    assert executed == []
