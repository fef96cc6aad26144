"""The weekly clean-up of the metadata database."""

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from types import ModuleType
from types import SimpleNamespace as Thing

import pytest

from components.in_pod import database_cleanup as cleanup

BEFORE = datetime(2026, 8, 30, tzinfo=UTC)
TABLES = ("dag", "dag_run", "dag_version", "task_instance", "trigger")


def module(monkeypatch, name, **content):
    fake = ModuleType(name)
    vars(fake).update(content)
    monkeypatch.setitem(sys.modules, name, fake)


@pytest.fixture
def airflow(monkeypatch):
    """Airflow and StatsD: calls of `run_cleanup`, statements in the database, and metrics."""
    seen = Thing(cleaned=[], statements=[], metrics=[], rows=[], statsd_on=True)

    class Client:
        def __init__(self, host, port, prefix):
            self.address = (host, port, prefix)

        def gauge(self, name, value):
            seen.metrics.append((*self.address, name, value))

    @contextmanager
    def create_session():
        def execute(statement, values):
            seen.statements.append((statement, values))
            return Thing(rowcount=seen.rows.pop(0) if seen.rows else 0)

        yield Thing(execute=execute)

    options = {"statsd_host": "airflow-statsd", "statsd_port": 9125}
    conf = Thing(
        getboolean=lambda *_: seen.statsd_on,
        get=lambda _, option: options[option],
        getint=lambda _, option: options[option],
    )
    module(monkeypatch, "airflow")
    module(monkeypatch, "airflow.utils")
    module(monkeypatch, "airflow.configuration", conf=conf)
    module(monkeypatch, "airflow.utils.session", create_session=create_session)
    module(
        monkeypatch,
        "airflow.utils.db_cleanup",
        config_dict=dict.fromkeys(TABLES),
        run_cleanup=lambda **given: seen.cleaned.append(given),
    )
    module(monkeypatch, "sqlalchemy", text=lambda statement: statement)
    module(monkeypatch, "statsd", StatsClient=Client)
    return seen


def test_airflow_cleans_only_tables_that_no_row_needs(airflow):
    cleanup.clean(cleanup.steps(BEFORE))

    assert [given["table_names"] for given in airflow.cleaned] == [["dag_run"], ["task_instance"]]
    (given, _) = airflow.cleaned
    assert given["clean_before_timestamp"] == BEFORE
    assert (given["confirm"], given["skip_archive"]) == (False, True), (
        "no answer, no archive tables"
    )
    assert given["error_on_cleanup_failure"], "otherwise Airflow only logs some errors"
    assert given["batch_size"] == cleanup.BATCH


def test_versions_of_dags_are_deleted_after_their_tasks(airflow):
    order = list(cleanup.steps(BEFORE))

    assert order.index("task_instance") < order.index("dag") < order.index("dag_version")


@pytest.mark.parametrize("table", ["dag_run of removed DAGs", "dag"])
def test_a_platform_that_was_off_for_long_keeps_its_dags(table):
    assert "FROM dag WHERE is_stale AND last_parsed_time < :before" in cleanup.STATEMENTS[table]


def test_rows_are_deleted_in_batches_until_none_is_left(airflow, capsys):
    airflow.rows = [cleanup.VERSION_BATCH, 7]

    cleanup.delete("dag_version", BEFORE)

    (statement, values), _ = airflow.statements
    assert statement == cleanup.STATEMENTS["dag_version"]
    assert values == {"before": BEFORE, "batch": cleanup.VERSION_BATCH}
    assert "Deleted 107 rows: dag_version" in capsys.readouterr().out


def test_a_failed_table_does_not_stop_the_others(capsys):
    cleaned = []

    def fail():
        raise ValueError("foreign key")

    failed = cleanup.clean({"a": fail, "b": lambda: cleaned.append("b")})

    assert (failed, cleaned) == (["a"], ["b"])
    assert "foreign key" in capsys.readouterr().err


def test_the_result_is_a_metric(airflow, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["-c", "90"])

    cleanup.main()

    name = "database_cleanup.failed_tables"
    assert airflow.metrics == [("airflow-statsd", 9125, "airflow", name, 0)]


def test_a_failed_table_fails_the_job_and_is_counted(airflow, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["-c", "90"])
    monkeypatch.setattr(cleanup, "clean", lambda _: ["log", "dag"])

    with pytest.raises(SystemExit, match="not cleaned: log, dag"):
        cleanup.main()

    assert airflow.metrics[0][-1] == 2


def test_without_statsd_there_is_no_metric(airflow):
    airflow.statsd_on = False

    cleanup.report(0)

    assert airflow.metrics == []
