"""List what has to be ordered again, whenever `stock_levels` has counted.

It has no clock of its own: its schedule is the asset `stock_levels`, and the numbers come with the
event that started the run. If the stock was counted several times since the last run, the latest
count decides.

Started by hand it has no such event, and fails with a sentence that says so: trigger `stock_levels`.
"""

import logging
from datetime import UTC, datetime, timedelta

from _assets import STOCK_LEVELS
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

log = logging.getLogger(__name__)

ENOUGH = 10


@task(multiple_outputs=False)
def latest(triggering_asset_events) -> dict:
    """Return what came with the latest event: an hour, and the levels that were counted then."""
    events = triggering_asset_events.get(STOCK_LEVELS, ())
    if not events:
        # Not worth a retry: this run will never have an event.
        raise AirflowFailException("no count of the stock started this run: trigger stock_levels")
    return max((event.extra for event in events), key=lambda extra: extra["hour"])


@task(multiple_outputs=False)
def choose(counted: dict) -> dict[str, int]:
    """Return how much of each product is missing, those of which there is enough left out."""
    levels = counted["levels"]
    missing = {name: ENOUGH - level for name, level in levels.items() if level < ENOUGH}
    lines = [f"{name:<10}{missing[name]:>4}" for name in sorted(missing)] or ["nothing"]
    log.info("To order, by the count of %s:\n%s", counted["hour"], "\n".join(lines))
    return missing


@dag(
    schedule=[STOCK_LEVELS],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    description="What to order, after every count of the stock",
    doc_md=__doc__,
    default_args={
        "owner": "warehouse",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=5),
    },
    tags=["example", "stock"],
)
def reorder_list():
    choose(latest())


reorder_list()
