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


def test_every_hour_has_a_run_with_that_hour_as_its_data_interval():
    assert isinstance(DAG.timetable, CronDataIntervalTimetable)
    assert DAG.timetable.expression == "@hourly"


@pytest.mark.parametrize(
    ("begin", "hour"),
    [
        (datetime(2026, 3, 1, 9, tzinfo=UTC), "2026-03-01T09"),
        (None, "2026-07-01T23"),
    ],
    ids=["scheduled", "by hand"],
)
def test_names_the_hour_by_the_data_interval_or_by_the_time_of_the_run(begin, hour):
    run = SimpleNamespace(
        data_interval_start=begin, run_after=datetime(2026, 7, 1, 23, 59, tzinfo=UTC)
    )
    assert stock_levels.choose_hour.function(run) == hour


def test_counts_the_same_again_for_the_same_hour_only():
    first = stock_levels.count.function("2026-03-01T09")
    assert first == stock_levels.count.function("2026-03-01T09")
    assert first != stock_levels.count.function("2026-03-01T10")
    assert sorted(first) == sorted(stock_levels.PRODUCTS)


def test_a_second_run_of_an_hour_leaves_one_file_with_the_same_text(folder):
    levels = {"tea": 4, "cup": 12}
    path, _ = write("2026-03-01T09", levels)
    before = path.read_text()
    assert before == "product,level\ncup,12\ntea,4\n"

    again, _ = write("2026-03-01T09", levels)

    assert again == path
    assert path.read_text() == before
    assert list(folder.iterdir()) == [path]


def test_every_hour_has_a_file_of_its_own(folder):
    for hour in ("2026-03-01T09", "2026-03-01T10"):
        write(hour, {"tea": 4})
    assert len(list(folder.iterdir())) == 2


def test_a_write_that_is_cut_short_leaves_the_old_file_whole(folder, monkeypatch):
    path, _ = write("2026-03-01T09", {"tea": 4})

    def cut_short(self, target):
        raise OSError("the disk went away")

    monkeypatch.setattr(Path, "replace", cut_short)
    with pytest.raises(OSError, match="the disk went away"):
        write("2026-03-01T09", {"tea": 5})

    assert path.read_text() == "product,level\ntea,4\n"
    assert list(folder.iterdir()) == [path], "a draft stayed behind"


def test_tells_those_who_wait_for_it_what_was_counted(folder):
    _, extra = write("2026-03-01T09", {"tea": 4})
    assert extra == {"hour": "2026-03-01T09", "levels": {"tea": 4}}
    assert DAG.get_task("write").outlets == [STOCK_LEVELS]
