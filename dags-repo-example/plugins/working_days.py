"""Macro `{{ macros.working_days.after(ds) }}`: the first working day after a date."""

from datetime import date, timedelta

from airflow.plugins_manager import AirflowPlugin

SATURDAY = 5


def after(day: str) -> str:
    """Return the first day after `day` that is not a Saturday or Sunday."""
    following = date.fromisoformat(day) + timedelta(days=1)
    while following.weekday() >= SATURDAY:
        following += timedelta(days=1)
    return following.isoformat()


class WorkingDaysPlugin(AirflowPlugin):
    """Templates use the macros as `macros.<name>.<function>`."""

    name = "working_days"
    macros = (after,)
