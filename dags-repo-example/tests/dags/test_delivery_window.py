from datetime import UTC, datetime
from types import SimpleNamespace

import delivery_window
import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import ParamValidationError, TaskDeferred
from airflow.sdk.execution_time import macros
from airflow.sdk.plugins_manager import integrate_macros_plugins

SATURDAY = datetime(2026, 3, 7, 9, tzinfo=UTC)


def rendered(task_id, field, wait_seconds=60):
    """Return a field of a task as its run would see it."""
    task = delivery_window.delivery_window().get_task(task_id)
    context = {
        "dag_run": SimpleNamespace(run_after=SATURDAY),
        "macros": macros,
        "params": {"wait_seconds": wait_seconds},
    }
    task.render_template_fields(context)
    return getattr(task, field), task


@pytest.fixture
def plugins():
    integrate_macros_plugins()


def test_waits_in_the_triggerer_for_a_moment_that_no_retry_moves():
    target, task = rendered("wait", "target_time")
    assert target == "2026-03-07T09:01:00+00:00"

    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})

    assert isinstance(deferred.value.trigger, DateTimeTrigger)
    assert deferred.value.trigger.moment == datetime(2026, 3, 7, 9, 1, tzinfo=UTC)


def test_announces_only_after_the_wait():
    dag = delivery_window.delivery_window()
    assert dag.get_task("announce").upstream_task_ids == {"wait"}


def test_delivers_on_the_next_working_day(plugins):
    (day,), _ = rendered("announce", "op_args")
    assert day == "2026-03-09"


def test_delivers_on_the_next_day_where_plugins_are_not_loaded(monkeypatch, plugins):
    monkeypatch.delattr(macros, "working_days")
    (day,), _ = rendered("announce", "op_args")
    assert day == "2026-03-08"


def test_announces_the_day_in_its_log(caplog):
    text = delivery_window.announce.function("2026-03-09")
    assert caplog.messages == [text] == ["The window is open; delivery on 2026-03-09"]


@pytest.mark.parametrize("seconds", [-1, 86401, "soon"])
def test_refuses_to_wait_for_less_than_nothing_or_more_than_a_day(seconds):
    with pytest.raises(ParamValidationError):
        delivery_window.delivery_window().params["wait_seconds"] = seconds
