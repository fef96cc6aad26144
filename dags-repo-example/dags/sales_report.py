"""Sum up one day of orders, product by product, and print the result.

The report covers the day before the run. To report another day, trigger the DAG with
`{"day": "2026-06-01"}`. The same day always gives the same report.

Invalid orders (unknown product, quantity that is not a positive whole number, duplicate number)
are rejected and listed in the report. If more than 10 % are rejected, the run fails instead of
reporting a wrong total.

The orders are generated from the date, so the DAG needs no source system: replace the body of
`extract` to read real ones.
"""

import logging
import random
from datetime import UTC, datetime, timedelta

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

log = logging.getLogger(__name__)

# Integer cents: sums of floats have rounding errors.
PRICE_CENTS = {"coffee": 620, "cup": 990, "tea": 450}
ORDERS_PER_DAY = 40
MAX_REJECTED_SHARE = 0.1


@task
def choose_day(params, dag_run) -> str:
    """Return the day in the params, by default the day before the run."""
    if params["day"]:
        return params["day"]
    # A manual run has no logical date.
    run_time = dag_run.logical_date or dag_run.run_after
    return (run_time.date() - timedelta(days=1)).isoformat()


@task
def extract(day: str) -> list[dict]:
    """Return the orders of a day; the last one is invalid, as an example."""
    # Seeded with the day: a retry reads the same orders.
    rng = random.Random(day)
    orders = [
        {
            "number": f"{day}-{count:03}",
            "product": rng.choice(sorted(PRICE_CENTS)),
            "quantity": rng.randint(1, 5),
        }
        for count in range(1, ORDERS_PER_DAY + 1)
    ]
    orders[-1]["quantity"] = 0
    return orders


# One XCom per list: each is the input of another task.
@task(multiple_outputs=True)
def validate(orders: list[dict]) -> dict[str, list]:
    """Split the orders into accepted ones and reasons for rejection."""
    accepted, rejected, seen = [], [], set()
    for order in orders:
        reason = rejection_reason(order, seen)
        if reason:
            rejected.append(f"{order.get('number', 'no number')}: {reason}")
        else:
            accepted.append(order)
            seen.add(order["number"])
    if len(rejected) > MAX_REJECTED_SHARE * len(orders):
        # No retry: it would read the same orders.
        raise AirflowFailException(
            f"{len(rejected)} of {len(orders)} orders are invalid, first {rejected[0]}"
        )
    return {"accepted": accepted, "rejected": rejected}


def rejection_reason(order: dict, seen: set[str]) -> str | None:
    missing = sorted({"number", "product", "quantity"} - order.keys())
    if missing:
        return f"no {', no '.join(missing)}"
    if order["number"] in seen:
        return "duplicate number"
    if order["product"] not in PRICE_CENTS:
        return f"unknown product {order['product']!r}"
    if type(order["quantity"]) is not int or order["quantity"] < 1:
        return f"quantity {order['quantity']!r} is not a positive whole number"
    return None


@task(multiple_outputs=False)
def aggregate(orders: list[dict]) -> dict[str, dict]:
    """Return quantity and revenue per product."""
    totals: dict[str, dict] = {}
    for order in sorted(orders, key=lambda order: order["product"]):
        total = totals.setdefault(order["product"], {"quantity": 0, "cents": 0})
        total["quantity"] += order["quantity"]
        total["cents"] += order["quantity"] * PRICE_CENTS[order["product"]]
    return totals


@task
def report(day: str, totals: dict[str, dict], rejected: list[str]) -> str:
    """Write the report to the task's log and return it."""
    overall = {key: sum(total[key] for total in totals.values()) for key in ("quantity", "cents")}
    lines = [
        f"Sales of {day}",
        *(row(product, **total) for product, total in totals.items()),
        row("total", **overall),
        *(f"rejected: {reason}" for reason in rejected),
    ]
    text = "\n".join(lines)
    log.info(text)
    return text


def row(name: str, quantity: int, cents: int) -> str:
    return f"{name:<10}{quantity:>6}{cents / 100:>10.2f}"


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    description="Yesterday's sales, product by product",
    doc_md=__doc__,
    default_args={
        "owner": "sales",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=5),
        # Orders can contain personal data, which does not belong in task logs.
        "show_return_value_in_logs": False,
    },
    params={
        "day": Param(None, type=["null", "string"], format="date", description="Day to report")
    },
    tags=["example", "sales"],
)
def sales_report():
    day = choose_day()
    checked = validate(extract(day))
    report(day, aggregate(checked["accepted"]), checked["rejected"])


sales_report()
