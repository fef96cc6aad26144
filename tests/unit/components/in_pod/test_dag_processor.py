"""Of several DAG processors one works; the others wait for its lock."""

import subprocess
import sys
from types import ModuleType
from types import SimpleNamespace as Thing

import pytest
import yaml

from components.airflow.values import DAG_PROCESSOR
from components.in_pod import dag_processor
from ops.stack_files import ROOT

URL = "postgresql://airflow@database/airflow"


class DatabaseError(Exception):
    pass


@pytest.fixture
def database(monkeypatch, tmp_path):
    """PostgreSQL, which gives the lock after `answers`: False, True, or an error."""
    seen = Thing(answers=[True], connections=[], statements=[], pauses=0)

    class Cursor:
        def execute(self, *statement):
            seen.statements.append(statement)
            self.answer = seen.answers.pop(0)
            if isinstance(self.answer, Exception):
                raise self.answer

        def fetchone(self):
            return (self.answer,)

    def connect(url, **options):
        seen.connections.append((url, options))
        return Thing(cursor=Cursor)

    def pause(seconds):
        assert seconds <= 1, "a successor takes over within seconds"
        seen.waiting = waiting.exists()
        seen.pauses += 1

    psycopg2 = ModuleType("psycopg2")
    vars(psycopg2).update(connect=connect, Error=DatabaseError)
    monkeypatch.setitem(sys.modules, "psycopg2", psycopg2)
    waiting = tmp_path / "waits"
    monkeypatch.setattr(dag_processor, "WAITING", waiting)
    monkeypatch.setattr(dag_processor.time, "sleep", pause)
    return seen


def test_the_first_processor_starts_at_once(database):
    dag_processor.wait_for_turn(URL)

    assert database.pauses == 0
    assert database.statements == [("SELECT pg_try_advisory_lock(%s)", (dag_processor.LOCK,))]
    assert not dag_processor.WAITING.exists(), "the probe must check its heartbeat"


def test_the_second_processor_waits_for_the_first_one(database):
    database.answers = [False, False, True]

    dag_processor.wait_for_turn(URL)

    assert database.pauses == 2
    assert database.waiting, "a waiting processor has no heartbeat, and the probe must not kill it"
    assert not dag_processor.WAITING.exists()
    assert len(database.connections) == 1


def test_a_waiting_processor_survives_a_database_restart(database):
    database.answers = [DatabaseError("restart"), True]

    dag_processor.wait_for_turn(URL)

    assert len(database.connections) == 2


def test_a_lock_of_a_lost_node_ends_within_seconds(database):
    dag_processor.wait_for_turn(URL)

    (url, options), *_ = database.connections
    assert url == URL
    # Idle time, then two probes, each after an interval.
    client = [options[f"keepalives_{name}"] for name in ("idle", "interval", "count")]
    assert options["options"] == (
        "-c tcp_keepalives_idle={} -c tcp_keepalives_interval={} -c tcp_keepalives_count={}"
    ).format(*client)
    idle, interval, count = client
    assert idle + interval * count <= 7
    assert options["tcp_user_timeout"] <= 7000


def test_a_processor_ends_when_it_may_have_lost_the_lock(database, monkeypatch):
    ended = []
    monkeypatch.setattr(dag_processor.os, "_exit", ended.append)
    database.answers = [True, True, DatabaseError("gone")]
    cursor = dag_processor.wait_for_turn(URL)

    with pytest.raises(DatabaseError):
        dag_processor.watch(cursor)

    assert ended == [1], "another processor may work by now"
    assert database.statements[-1] == ("SELECT 1",)


def test_the_processor_starts_with_the_lock(database, monkeypatch):
    seen = Thing(arguments=None, watched=None)
    main = ModuleType("airflow.__main__")
    vars(main).update(main=lambda: setattr(seen, "arguments", sys.argv))
    for name in ("airflow", "airflow.cli", "airflow.cli.commands"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    command = "airflow.cli.commands.dag_processor_command"
    monkeypatch.setitem(sys.modules, command, ModuleType(command))
    monkeypatch.setitem(sys.modules, "airflow.__main__", main)
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", URL.replace("://", "+psycopg2://"))
    monkeypatch.setattr(
        dag_processor.threading,
        "Thread",
        lambda target, args, daemon: Thing(
            start=lambda: setattr(seen, "watched", (target, daemon))
        ),
    )

    dag_processor.main()

    assert seen.arguments == ["airflow", "dag-processor"]
    assert seen.watched == (dag_processor.watch, True)
    assert database.connections[0][0] == URL, "psycopg2 does not accept the scheme of SQLAlchemy"


def test_helm_changes_nothing_in_the_programs_of_the_chart():
    assert "{{" not in DAG_PROCESSOR[2]


@pytest.mark.parametrize(("waiting", "asked"), [(True, False), (False, True)])
def test_only_the_working_one_needs_a_heartbeat(tmp_path, waiting, asked):
    values = yaml.safe_load((ROOT / "values" / "airflow.yaml").read_text())
    *words, _ = values["dagProcessor"]["livenessProbe"]["command"]
    assert str(dag_processor.WAITING) in words[2]
    mark = tmp_path / "waits"
    if waiting:
        mark.touch()
    script = (
        words[2].replace(str(dag_processor.WAITING), str(mark)).replace("python", sys.executable)
    )

    done = subprocess.run([*words[:2], script, "print('asked')"], capture_output=True, text=True)  # noqa: S603

    assert done.returncode == 0
    assert (done.stdout == "asked\n") is asked
