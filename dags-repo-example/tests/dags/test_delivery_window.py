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
    """Return a rendered template field of a task, and the task."""
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


def test_a_deferred_wait_has_the_same_target_time_on_retry():
    target, task = rendered("wait", "target_time")
    assert target == "2026-03-07T09:01:00+00:00"

    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})

    assert isinstance(deferred.value.trigger, DateTimeTrigger)
    assert deferred.value.trigger.moment == datetime(2026, 3, 7, 9, 1, tzinfo=UTC)


def test_the_announcement_follows_the_wait():
    dag = delivery_window.delivery_window()
    assert dag.get_task("announce").upstream_task_ids == {"wait"}


def test_the_delivery_is_on_the_next_working_day(plugins):
    (day,), _ = rendered("announce", "op_args")
    assert day == "2026-03-09"


def test_without_plugins_the_delivery_is_on_the_next_day(monkeypatch, plugins):
    monkeypatch.delattr(macros, "working_days")
    (day,), _ = rendered("announce", "op_args")
    assert day == "2026-03-08"


def test_the_announcement_is_logged_and_returned(caplog):
    text = delivery_window.announce.function("2026-03-09")
    assert caplog.messages == [text] == ["The window is open; delivery on 2026-03-09"]


@pytest.mark.parametrize("seconds", [-1, 86401, "soon"])
def test_a_wait_outside_zero_to_one_day_is_rejected(seconds):
    with pytest.raises(ParamValidationError):
        delivery_window.delivery_window().params["wait_seconds"] = seconds
