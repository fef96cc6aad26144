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


def test_runs_daily():
    assert DAG.schedule == "@daily"


def test_passes_good_orders_to_the_sums_and_bad_ones_to_the_report():
    assert inputs("extract") == ["choose_day.return_value"]
    assert inputs("validate") == ["extract.return_value"]
    assert DAG.get_task("validate").multiple_outputs, "neither list could be asked for by name"
    assert inputs("aggregate") == ["validate.accepted"]
    assert inputs("report") == [
        "choose_day.return_value",
        "aggregate.return_value",
        "validate.rejected",
    ]


@pytest.mark.parametrize(
    ("asked_for", "logical_date", "day"),
    [
        (None, datetime(2026, 3, 1, tzinfo=UTC), "2026-02-28"),
        (None, None, "2026-06-30"),
        ("2026-01-15", datetime(2026, 3, 1, tzinfo=UTC), "2026-01-15"),
    ],
    ids=["scheduled", "by hand", "asked for"],
)
def test_covers_the_day_before_the_run_or_the_day_asked_for(asked_for, logical_date, day):
    run = SimpleNamespace(logical_date=logical_date, run_after=datetime(2026, 7, 1, 9, tzinfo=UTC))
    assert sales_report.choose_day.function({"day": asked_for}, run) == day


@pytest.mark.parametrize("day", ["2026-06-31", "yesterday", 20260601])
def test_refuses_to_be_triggered_for_a_day_that_does_not_exist(day):
    with pytest.raises(ParamValidationError):
        DAG.params["day"] = day


def test_reads_the_same_orders_again_for_the_same_day_only():
    def products(day):
        return [order["product"] for order in sales_report.extract.function(day)]

    assert products("2026-06-01") == products("2026-06-01")
    assert products("2026-06-01") != products("2026-06-02")


@pytest.mark.parametrize("day", ["2026-06-01", "2026-12-31"])
def test_gets_through_a_day(day):
    orders = sales_report.extract.function(day)
    checked = validate(orders)
    totals = sales_report.aggregate.function(checked["accepted"])
    text = sales_report.report.function(day, totals, checked["rejected"])
    assert text.startswith(f"Sales of {day}\n")
    assert text.endswith(f"left out: {day}-040: quantity 0 is not a positive whole number")
    assert sum(total["quantity"] for total in totals.values()) == sum(o["quantity"] for o in orders)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (order(product="gin"), "1: unknown product 'gin'"),
        (order(quantity=0), "1: quantity 0 is not a positive whole number"),
        (order(quantity="2"), "1: quantity '2' is not a positive whole number"),
        (order(quantity=True), "1: quantity True is not a positive whole number"),
        ({"product": "tea"}, "no number: no number, no quantity"),
        (order(number="good-3"), "good-3: number seen before"),
    ],
)
def test_leaves_out_a_bad_order_and_says_why(bad, reason):
    good = [order(number=f"good-{count}") for count in range(9)]
    assert validate([*good, bad]) == {"accepted": good, "rejected": [reason]}


def test_fails_rather_than_report_when_more_than_one_order_in_ten_is_bad():
    good = [order(number=f"good-{count}") for count in range(8)]
    with pytest.raises(AirflowFailException, match=r"1 of 9 orders .* 1: unknown product 'gin'"):
        validate([*good, order(product="gin")])


def test_logs_and_returns_revenue_per_product_and_in_total(caplog):
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


def test_of_a_day_without_orders_is_zero():
    checked = validate([])
    totals = sales_report.aggregate.function(checked["accepted"])
    assert sales_report.report.function("2026-06-01", totals, checked["rejected"]).splitlines() == [
        "Sales of 2026-06-01",
        "total          0      0.00",
    ]
