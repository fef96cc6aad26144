from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import stock_levels
from _assets import STOCK_LEVELS
from airflow.sdk import CronDataIntervalTimetable
from airflow.sdk.execution_time.context import OutletEventAccessors

DAG = stock_levels.stock_levels()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(stock_levels, "FOLDER", tmp_path / "stock")
    return tmp_path / "stock"


def write(hour, levels):
    events = OutletEventAccessors()
    path = Path(stock_levels.write.function(hour, levels, events))
    return path, events[STOCK_LEVELS].extra


def test_runs_are_hourly_with_a_data_interval():
    assert isinstance(DAG.timetable, CronDataIntervalTimetable)
    assert DAG.timetable.expression == "0 * * * *"


@pytest.mark.parametrize(
    ("start", "hour"),
    [
        (datetime(2026, 3, 1, 9, tzinfo=UTC), "2026-03-01T09"),
        (None, "2026-07-01T23"),
    ],
    ids=["scheduled", "manual"],
)
def test_the_hour_is_the_data_interval_start_or_the_run_time(start, hour):
    run = SimpleNamespace(
        data_interval_start=start, run_after=datetime(2026, 7, 1, 23, 59, tzinfo=UTC)
    )
    assert stock_levels.choose_hour.function(run) == hour


def test_only_the_same_hour_has_the_same_stock_levels():
    first = stock_levels.count.function("2026-03-01T09")
    assert first == stock_levels.count.function("2026-03-01T09")
    assert first != stock_levels.count.function("2026-03-01T10")
    assert sorted(first) == sorted(stock_levels.PRODUCTS)


def test_a_second_run_for_an_hour_produces_the_same_single_file(folder):
    levels = {"tea": 4, "cup": 12}
    path, _ = write("2026-03-01T09", levels)
    before = path.read_text()
    assert before == "product,level\ncup,12\ntea,4\n"

    again, _ = write("2026-03-01T09", levels)

    assert again == path
    assert path.read_text() == before
    assert list(folder.iterdir()) == [path]


def test_every_hour_has_its_own_file(folder):
    for hour in ("2026-03-01T09", "2026-03-01T10"):
        write(hour, {"tea": 4})
    assert len(list(folder.iterdir())) == 2


def test_an_interrupted_write_keeps_the_old_file(folder, monkeypatch):
    path, _ = write("2026-03-01T09", {"tea": 4})

    def interrupt(self, target):
        raise OSError("disk failure")

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(OSError, match="disk failure"):
        write("2026-03-01T09", {"tea": 5})

    assert path.read_text() == "product,level\ntea,4\n"
    assert list(folder.iterdir()) == [path], "delete the temporary file when the write fails"


def test_the_asset_event_carries_the_stock_levels(folder):
    _, extra = write("2026-03-01T09", {"tea": 4})
    assert extra == {"hour": "2026-03-01T09", "levels": {"tea": 4}}
    assert DAG.get_task("write").outlets == [STOCK_LEVELS]
