import os
from pathlib import Path

import pytest

from local.dag_folder import DagFolder, affected, referenced
from local.services import DAG_BUNDLE

RATES = Path("dags/team/_rates.py")
TABLES = Path("include/tables.yaml")


def parsed(changed, **sources):
    """Names of the files in dags/ that are parsed after a change."""
    files = {Path(f"dags/{name}.py"): referenced(text.encode()) for name, text in sources.items()}
    return {path.stem for path in affected([changed], files)}


@pytest.mark.parametrize(
    "text",
    [
        "from _rates import rate",
        "import team._rates as rates",
        "from team import _rates",
        "from .team._rates import rate",
        "from . import (\n    first,\n    _rates as rates,  # why\n)",
        "def task():\n    from team._rates import rate",
        "importlib.import_module('team._rates')",
    ],
)
def test_files_that_import_a_changed_module_are_parsed(text):
    assert parsed(RATES, reader=text, other="# _rates\nprint('_rates')") == {"reader"}


@pytest.mark.parametrize(
    "text",
    [
        "Path(__file__).with_name('tables.yaml')",
        'open("../include/tables.yaml")',
        "(Path(__file__).parents[1] / 'include').iterdir()",
        "glob('**/*.yaml')",
    ],
)
def test_files_that_read_a_changed_data_file_are_parsed(text):
    assert parsed(TABLES, reader=text, other="'tables'") == {"reader"}


def test_modules_between_a_change_and_a_dag_are_followed():
    package = Path("dags/team/__init__.py")
    files = {
        package: referenced(b"from ._rates import rate"),
        Path("dags/reader.py"): referenced(b"from team import rate"),
        Path("dags/other.py"): referenced(b"from airflow.sdk import team"),
    }
    assert affected([RATES], files) == {package, Path("dags/reader.py")}


def test_a_file_with_a_syntax_error_is_skipped():
    assert referenced(b"def x(:") == set()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A DAG folder; `requested` are the files that the last refresh requested."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "include").mkdir()
    made = DagFolder(name="dags-folder", path=str(tmp_path / "dags"))
    made.requested = []
    monkeypatch.setattr(made, "_request", made.requested.append)
    return made


def write(folder, path, text, time):
    file = folder.path.parent / path
    file.write_text(text)
    os.utime(file, (time, time))


def test_a_saved_module_requests_its_importers(folder):
    write(folder, "dags/_rates.py", "RATE = 1", 1)
    write(folder, "dags/reader.py", "from _rates import RATE # airflow dag", 1)
    folder.refresh()
    assert folder.requested == [], "Airflow parses every file when it starts"

    write(folder, "dags/_rates.py", "RATE = 2", 2)
    for _ in range(9):
        folder.refresh()

    assert folder.requested == 3 * ["reader.py"], "again, in case Airflow was parsing the file"


def test_a_deleted_data_file_requests_its_readers(folder):
    write(folder, "include/tables.yaml", "a: 1", 1)
    write(folder, "dags/reader.py", "open('include/tables.yaml') # airflow dag", 1)
    folder.refresh()
    (folder.path.parent / "include" / "tables.yaml").unlink()
    folder.refresh()

    assert folder.requested == ["reader.py"]


def test_modules_that_airflow_ignores_are_not_requested(folder):
    write(folder, "dags/.airflowignore", "_*.py", 1)
    write(folder, "dags/_rates.py", "RATE = 1", 1)
    write(folder, "dags/_more.py", "from _rates import RATE # airflow dag", 1)
    folder.refresh()
    write(folder, "dags/_rates.py", "RATE = 2", 2)
    folder.refresh()

    assert folder.requested == []


def test_the_configured_class_is_this_one():
    assert f"{DagFolder.__module__}.{DagFolder.__name__}" in DAG_BUNDLE
