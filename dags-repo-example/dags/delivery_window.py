"""Wait until the delivery window opens, then announce the day of the delivery.

The wait is deferred: it needs no worker slot, only a line in the triggerer, however long it lasts. Trigger
the DAG with `{"wait_seconds": 3600}` to see it wait for an hour.

The day comes from the macro `working_days.after` of `plugins/working_days.py`. Where plugins are not
loaded it is the next day, be it a Sunday.
"""

import logging
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import Param, dag, task

log = logging.getLogger(__name__)

# Counted from the run and not from the task: a retry waits for the same moment.
OPENS = "{{ (dag_run.run_after + macros.timedelta(seconds=params.wait_seconds)).isoformat() }}"
DAY = (
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
    description="Waits without a worker, then announces a delivery",
    doc_md=__doc__,
    default_args={
        "owner": "warehouse",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        # The wait counts: it has to be longer than the longest one.
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
    wait = DateTimeSensorAsync(task_id="wait", target_time=OPENS)
    wait >> announce(DAY)


delivery_window()
