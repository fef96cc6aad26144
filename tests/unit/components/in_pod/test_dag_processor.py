"""Of several DAG processors one works; the others wait for its lock."""

import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
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
    seen = Thing(arguments=None, watched=None, reports=False)
    monkeypatch.setattr(
        dag_processor, "report_killed_parsers", lambda: setattr(seen, "reports", True)
    )
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
    assert seen.reports
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


class FILE:
    rel_path = Path("etl/load.py")
    absolute_path = Path("/dags/etl/load.py")
    bundle_name = "main"


@pytest.fixture
def processor(monkeypatch):
    """A DAG processor with one parser. It collects results, and kills parsers after 50 s."""

    class Manager:
        processor_timeout = 50

        def __init__(self, **parser):
            self.parser = Thing(
                **{"is_ready": True, "parsing_result": None, "had_callbacks": False, **parser}
            )
            self._processors = {FILE: self.parser}
            self._bundle_versions = {"main": "3d1f"}
            self._file_stats = {FILE: Thing(run_count=3)}
            self.collected = None
            self.session = None

        def _collect_results(self, session):
            self.session = session
            self.collected = self.parser.parsing_result

        def _kill_timed_out_processors(self):
            if not self.parser.is_ready:
                self._processors = {}

        def process(self, session):
            self._kill_timed_out_processors()
            self._collect_results(session)

    stored = []
    manager = ModuleType("airflow.dag_processing.manager")
    vars(manager).update(
        DagFileProcessorManager=Manager, process_parse_results=lambda **given: stored.append(given)
    )
    package = ModuleType("airflow.dag_processing")
    vars(package).update(manager=manager)
    parser = ModuleType("airflow.dag_processing.processor")
    vars(parser).update(DagFileParsingResult=Thing)
    session = ModuleType("airflow.utils.session")
    vars(session).update(create_session=lambda: nullcontext("session"))
    for module in (package, manager, parser, session):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(dag_processor, "memory_limit_mb", lambda: 1024)
    dag_processor.report_killed_parsers()
    Manager.stored = stored
    return Manager


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3, "its parser ended with exit code 3, as after os._exit(). Let errors raise exceptions"),
        (
            -signal.SIGKILL,
            "its parser was killed, probably because the DAG processor has no more memory (limit 1024 "
            "MiB). Load data in tasks, not at import",
        ),
        (-signal.SIGSEGV, "its parser was ended by SIGSEGV, as by a native library"),
    ],
)
def test_a_killed_parser_is_an_import_error(processor, code, reason):
    running = processor(_exit_code=code)

    running.process("session")

    assert running.session == "session"
    assert running.collected.import_errors == {"etl/load.py": f"etl/load.py has no DAGs: {reason}"}
    assert running.collected.serialized_dags == []


@pytest.mark.parametrize(
    "parser",
    [
        {"parsing_result": "result", "_exit_code": 0},
        {"had_callbacks": True, "_exit_code": 0},
        {"_exit_code": -signal.SIGTERM},
    ],
    ids=["result", "callback", "the pod stops"],
)
def test_other_parsers_are_left_alone(processor, parser):
    running = processor(**parser)

    running.process("session")

    assert running.collected == parser.get("parsing_result")
    assert processor.stored == []


TOO_SLOW = {
    "etl/load.py": "etl/load.py has no DAGs: it was not parsed after 50 s ([dag_processor] "
    "dag_file_processor_timeout)"
}


def test_a_parser_that_is_too_slow_is_an_import_error(processor, monkeypatch):
    stored = []
    monkeypatch.setattr(
        processor,
        "handle_parsing_result",
        lambda self, *given: stored.append(given),
        raising=False,
    )

    processor(is_ready=False).process("session")

    ((file, parser),) = stored
    assert file is FILE
    assert parser.parsing_result.import_errors == TOO_SLOW


def test_airflow_3_2_stores_the_error_of_a_slow_parser(processor):
    processor(is_ready=False).process("session")

    (stored,) = processor.stored
    assert stored["parsing_result"].import_errors == TOO_SLOW
    assert (stored["relative_fileloc"], stored["bundle_version"]) == ("etl/load.py", "3d1f")
    assert (stored["run_count"], stored["session"]) == (3, "session")


@pytest.mark.parametrize(("text", "expected"), [("1073741824\n", 1024), ("max\n", None)])
def test_the_memory_limit_is_that_of_the_container(monkeypatch, tmp_path, text, expected):
    file = tmp_path / "memory.max"
    file.write_text(text)
    monkeypatch.setattr(dag_processor, "LIMITS", [tmp_path / "none", file])

    assert dag_processor.memory_limit_mb() == expected
