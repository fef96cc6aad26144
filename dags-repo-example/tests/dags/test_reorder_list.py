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


def test_the_schedule_is_the_asset_stock_levels():
    assert list(DAG.schedule) == [STOCK_LEVELS]


def test_the_latest_event_is_used_in_any_order():
    found = reorder_list.latest.function(events("2026-03-01T10", "2026-03-01T11", "2026-03-01T09"))
    assert found["hour"] == "2026-03-01T11"


def test_a_run_without_asset_event_fails_with_instructions():
    with pytest.raises(AirflowFailException, match="trigger stock_levels"):
        reorder_list.latest.function({})


def test_only_products_below_the_target_level_are_reordered(caplog):
    counted = {"hour": "2026-03-01T09", "levels": {"tea": 3, "cup": 10, "coffee": 0}}
    assert reorder_list.choose.function(counted) == {"tea": 7, "coffee": 10}
    assert caplog.messages == [
        "To reorder, by the stock levels of 2026-03-01T09:\ncoffee      10\ntea          7"
    ]


def test_an_empty_reorder_list_is_logged_as_nothing(caplog):
    counted = {"hour": "2026-03-01T09", "levels": {"tea": 30}}
    assert reorder_list.choose.function(counted) == {}
    assert caplog.messages == ["To reorder, by the stock levels of 2026-03-01T09:\nnothing"]
