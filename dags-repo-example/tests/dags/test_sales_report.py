from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import sales_report
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

DAG = sales_report.sales_report()


def order(**changes):
    return {"number": "1", "product": "tea", "quantity": 2, **changes}


def validate(orders):
    return sales_report.validate.function(orders)


def inputs(task_id):
    arguments = DAG.get_task(task_id).op_args
    return [f"{argument.operator.task_id}.{argument.key}" for argument in arguments]


def test_the_schedule_is_daily():
    assert DAG.schedule == "@daily"


def test_accepted_orders_are_aggregated_and_rejected_ones_listed():
    assert inputs("extract") == ["choose_day.return_value"]
    assert inputs("validate") == ["extract.return_value"]
    assert DAG.get_task("validate").multiple_outputs, (
        "set multiple_outputs=True: downstream tasks read each list by its key"
    )
    assert inputs("aggregate") == ["validate.accepted"]
    assert inputs("report") == [
        "choose_day.return_value",
        "aggregate.return_value",
        "validate.rejected",
    ]


@pytest.mark.parametrize(
    ("param", "logical_date", "day"),
    [
        (None, datetime(2026, 3, 1, tzinfo=UTC), "2026-02-28"),
        (None, None, "2026-06-30"),
        ("2026-01-15", datetime(2026, 3, 1, tzinfo=UTC), "2026-01-15"),
    ],
    ids=["scheduled", "manual", "param"],
)
def test_the_report_covers_the_day_before_the_run_or_the_param(param, logical_date, day):
    run = SimpleNamespace(logical_date=logical_date, run_after=datetime(2026, 7, 1, 9, tzinfo=UTC))
    assert sales_report.choose_day.function({"day": param}, run) == day


@pytest.mark.parametrize("day", ["2026-06-31", "yesterday", 20260601])
def test_an_invalid_day_is_rejected(day):
    with pytest.raises(ParamValidationError):
        DAG.params["day"] = day


def test_only_the_same_day_has_the_same_orders():
    def products(day):
        return [order["product"] for order in sales_report.extract.function(day)]

    assert products("2026-06-01") == products("2026-06-01")
    assert products("2026-06-01") != products("2026-06-02")


@pytest.mark.parametrize("day", ["2026-06-01", "2026-12-31"])
def test_the_tasks_produce_the_report_of_a_day(day):
    orders = sales_report.extract.function(day)
    checked = validate(orders)
    totals = sales_report.aggregate.function(checked["accepted"])
    text = sales_report.report.function(day, totals, checked["rejected"])
    assert text.startswith(f"Sales of {day}\n")
    assert text.endswith(f"rejected: {day}-040: quantity 0 is not a positive whole number")
    assert sum(total["quantity"] for total in totals.values()) == sum(o["quantity"] for o in orders)


@pytest.mark.parametrize(
    ("invalid", "reason"),
    [
        (order(product="gin"), "1: unknown product 'gin'"),
        (order(quantity=0), "1: quantity 0 is not a positive whole number"),
        (order(quantity="2"), "1: quantity '2' is not a positive whole number"),
        (order(quantity=True), "1: quantity True is not a positive whole number"),
        ({"product": "tea"}, "no number: no number, no quantity"),
        (order(number="valid-3"), "valid-3: duplicate number"),
    ],
)
def test_an_invalid_order_is_rejected_with_a_reason(invalid, reason):
    valid = [order(number=f"valid-{count}") for count in range(9)]
    assert validate([*valid, invalid]) == {"accepted": valid, "rejected": [reason]}


def test_more_than_ten_percent_invalid_orders_fail_the_run():
    valid = [order(number=f"valid-{count}") for count in range(8)]
    with pytest.raises(AirflowFailException, match=r"1 of 9 orders .* 1: unknown product 'gin'"):
        validate([*valid, order(product="gin")])


def test_revenue_per_product_and_total_is_logged_and_returned(caplog):
    orders = [
        order(product="tea", quantity=3),
        order(product="cup", quantity=1),
        order(product="tea", quantity=1),
    ]
    totals = sales_report.aggregate.function(orders)
    text = sales_report.report.function("2026-06-01", totals, [])
    assert caplog.messages == [text]
    assert text.splitlines() == [
        "Sales of 2026-06-01",
        "cup            1      9.90",
        "tea            4     18.00",
        "total          5     27.90",
    ]


def test_the_report_of_a_day_without_orders_is_zero():
    checked = validate([])
    totals = sales_report.aggregate.function(checked["accepted"])
    assert sales_report.report.function("2026-06-01", totals, checked["rejected"]).splitlines() == [
        "Sales of 2026-06-01",
        "total          0      0.00",
    ]
