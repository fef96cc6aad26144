"""The macro `{{ macros.working_days.after(ds) }}`: the first working day after a day."""

from datetime import date, timedelta

from airflow.plugins_manager import AirflowPlugin

SATURDAY = 5


def after(day: str) -> str:
    """Return the first day after `day` that is neither a Saturday nor a Sunday."""
    following = date.fromisoformat(day) + timedelta(days=1)
    while following.weekday() >= SATURDAY:
        following += timedelta(days=1)
    return following.isoformat()


class WorkingDaysPlugin(AirflowPlugin):
    """Its name is how templates address it."""

    name = "working_days"
    macros = (after,)
