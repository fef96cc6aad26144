"""Count what is in stock, every hour, and tell the DAGs that wait for it.

Run it twice for the same hour, or let a retry repeat half of it: the hour names the file, the file is
replaced in one step, so there is one file with the same numbers. That is what makes retries safe.

It updates the asset `stock_levels`; `reorder_list` follows it. The numbers travel with the asset's
event, because the file stays on the worker that wrote it: set `FOLDER` to a place that all workers
share before a task elsewhere reads the files.

The numbers are made up from the hour: replace the body of `count` to read real ones.
"""

import logging
import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from _assets import STOCK_LEVELS
from _files import replace_file
from airflow.sdk import CronDataIntervalTimetable, dag, task

log = logging.getLogger(__name__)

PRODUCTS = ("coffee", "cup", "tea")
FOLDER = Path(tempfile.gettempdir()) / "stock_levels"


@task
def choose_hour(dag_run) -> str:
    """Return the hour that the run stands for: the begin of its data interval."""
    # A run that was triggered by hand may have no data interval.
    moment = dag_run.data_interval_start or dag_run.run_after
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H")


# queue= sends a task to the workers of one queue, such as those with more memory. It has to be one of
# the queues in platform.yaml; `default` is where a task goes anyway.
@task(queue="default", multiple_outputs=False)
def count(hour: str) -> dict[str, int]:
    """Return the stock of every product in an hour."""
    # Seeded with the hour, so that a retry counts what the first try counted.
    dice = random.Random(hour)
    return {product: dice.randint(0, 20) for product in PRODUCTS}


@task(outlets=[STOCK_LEVELS])
def write(hour: str, levels: dict[str, int], outlet_events) -> str:
    """Write the file of an hour, tell who waits for it, and return the file's path."""
    path = FOLDER / f"{hour}.csv"
    rows = [f"{product},{level}" for product, level in sorted(levels.items())]
    replace_file(path, "\n".join(["product,level", *rows]) + "\n")
    outlet_events[STOCK_LEVELS].extra = {"hour": hour, "levels": levels}
    log.info("wrote %s", path)
    return str(path)


@dag(
    # Unlike "@hourly", this gives a run the hour before it as its data interval.
    schedule=CronDataIntervalTimetable("@hourly", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # Two runs at a time would make the order of the asset's events a matter of luck.
    max_active_runs=1,
    description="What is in stock, hour by hour",
    doc_md=__doc__,
    default_args={
        "owner": "warehouse",
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(minutes=5),
    },
    tags=["example", "stock"],
)
def stock_levels():
    hour = choose_hour()
    write(hour, count(hour))


stock_levels()
