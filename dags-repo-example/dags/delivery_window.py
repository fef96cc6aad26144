"""Wait until the delivery window opens, then announce the day of the delivery.

The wait is deferred: it occupies a trigger in the triggerer, but no worker slot. To wait for an
hour, trigger the DAG with `{"wait_seconds": 3600}`.

The delivery day comes from the macro `working_days.after` in `plugins/working_days.py`. If plugins
are not loaded, it is the next calendar day.
"""

import logging
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import Param, dag, task

log = logging.getLogger(__name__)

# Relative to the run, not to the task: a retry waits for the same time.
OPENING_TIME = (
    "{{ (dag_run.run_after + macros.timedelta(seconds=params.wait_seconds)).isoformat() }}"
)
DELIVERY_DAY = (
    "{% set today = dag_run.run_after | ds %}"
    "{{ macros.working_days.after(today) if macros.working_days is defined"
    " else macros.ds_add(today, 1) }}"
)


@task
def announce(day: str) -> str:
    """Write the announcement to the task's log and return it."""
    text = f"The window is open; delivery on {day}"
    log.info(text)
    return text


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    description="Deferred wait without a worker slot, then an announcement",
    doc_md=__doc__,
    default_args={
        "owner": "warehouse",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        # Includes the deferred time: longer than the maximum of wait_seconds.
        "execution_timeout": timedelta(hours=25),
    },
    params={
        "wait_seconds": Param(
            5,
            type="integer",
            minimum=0,
            maximum=86400,
            description="Seconds until the window opens",
        )
    },
    tags=["example", "deferred"],
)
def delivery_window():
    wait = DateTimeSensorAsync(task_id="wait", target_time=OPENING_TIME)
    wait >> announce(DELIVERY_DAY)


delivery_window()
