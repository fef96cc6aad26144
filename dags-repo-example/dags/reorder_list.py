"""List the products to reorder after every update of the asset `stock_levels`.

The schedule is the asset, and the stock levels are in the asset event that triggered the run. If
there are several events since the last run, the latest one is used.

A manual run has no asset event and fails: trigger `stock_levels` instead.
"""

import logging
from datetime import UTC, datetime, timedelta

from _assets import STOCK_LEVELS
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

log = logging.getLogger(__name__)

TARGET_LEVEL = 10


@task(multiple_outputs=False)
def latest(triggering_asset_events) -> dict:
    """Return the extra of the latest event: the hour and its stock levels."""
    events = triggering_asset_events.get(STOCK_LEVELS, ())
    if not events:
        # No retry: this run never gets an event.
        raise AirflowFailException(
            "no asset event triggered this run: trigger stock_levels instead"
        )
    return max((event.extra for event in events), key=lambda extra: extra["hour"])


@task(multiple_outputs=False)
def choose(counted: dict) -> dict[str, int]:
    """Return the quantity to reorder, for the products below TARGET_LEVEL."""
    levels = counted["levels"]
    missing = {name: TARGET_LEVEL - level for name, level in levels.items() if level < TARGET_LEVEL}
    lines = [f"{name:<10}{missing[name]:>4}" for name in sorted(missing)] or ["nothing"]
    log.info("To reorder, by the stock levels of %s:\n%s", counted["hour"], "\n".join(lines))
    return missing


@dag(
    schedule=[STOCK_LEVELS],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    description="Products to reorder, after every update of the stock levels",
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
