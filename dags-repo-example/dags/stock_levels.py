"""Write the stock levels of every hour to a file and update the asset `stock_levels`.

The DAG is idempotent, so retries are safe: the file is named by the hour and replaced atomically. A
second run for the same hour produces the same file.

The asset `stock_levels` triggers `reorder_list`. The asset event carries the stock levels, because
the file is stored on the worker that wrote it: set `FOLDER` to a shared volume before tasks on
other workers read the files.

The stock levels are generated from the hour: replace the body of `count` to read real ones.
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
    """Return the hour at which the run's data interval starts."""
    # A manual run may have no data interval.
    start = dag_run.data_interval_start or dag_run.run_after
    return start.astimezone(UTC).strftime("%Y-%m-%dT%H")


# queue= selects the worker queue, for example workers with more memory. It must be listed in
# platform.yaml; without queue= a task runs in `default`.
@task(queue="default", multiple_outputs=False)
def count(hour: str) -> dict[str, int]:
    """Return the stock level per product."""
    # Seeded with the hour: a retry returns the same levels.
    rng = random.Random(hour)
    return {product: rng.randint(0, 20) for product in PRODUCTS}


@task(outlets=[STOCK_LEVELS])
def write(hour: str, levels: dict[str, int], outlet_events) -> str:
    """Write the file of an hour, add its levels to the asset event, and return the path."""
    path = FOLDER / f"{hour}.csv"
    rows = [f"{product},{level}" for product, level in sorted(levels.items())]
    replace_file(path, "\n".join(["product,level", *rows]) + "\n")
    outlet_events[STOCK_LEVELS].extra = {"hour": hour, "levels": levels}
    log.info("wrote %s", path)
    return str(path)


@dag(
    # Unlike "@hourly", this timetable gives each run the preceding hour as its data interval.
    schedule=CronDataIntervalTimetable("@hourly", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # Concurrent runs would emit their asset events in random order.
    max_active_runs=1,
    description="Stock levels per hour",
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
