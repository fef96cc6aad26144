from types import SimpleNamespace

import pytest
import reorder_list
from _assets import STOCK_LEVELS
from airflow.sdk.exceptions import AirflowFailException

DAG = reorder_list.reorder_list()


def events(*hours):
    return {
        STOCK_LEVELS: [
            SimpleNamespace(extra={"hour": hour, "levels": {"tea": 1}}) for hour in hours
        ]
    }


def test_runs_when_the_stock_was_counted():
    assert list(DAG.schedule) == [STOCK_LEVELS]


def test_goes_by_the_latest_count_in_whatever_order_they_come():
    found = reorder_list.latest.function(events("2026-03-01T10", "2026-03-01T11", "2026-03-01T09"))
    assert found["hour"] == "2026-03-01T11"


def test_says_what_to_do_when_no_count_started_it():
    with pytest.raises(AirflowFailException, match="trigger stock_levels"):
        reorder_list.latest.function({})


def test_orders_what_is_short_up_to_enough_and_nothing_else(caplog):
    counted = {"hour": "2026-03-01T09", "levels": {"tea": 3, "cup": 10, "coffee": 0}}
    assert reorder_list.choose.function(counted) == {"tea": 7, "coffee": 10}
    assert caplog.messages == [
        "To order, by the count of 2026-03-01T09:\ncoffee      10\ntea          7"
    ]


def test_says_so_when_there_is_nothing_to_order(caplog):
    counted = {"hour": "2026-03-01T09", "levels": {"tea": 30}}
    assert reorder_list.choose.function(counted) == {}
    assert caplog.messages == ["To order, by the count of 2026-03-01T09:\nnothing"]
