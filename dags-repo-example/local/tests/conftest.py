"""A copy of this repository for each start, so that the real one keeps its data and its .env."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(
    ".airflow", ".env", ".git", ".venv", "logs", "__pycache__", ".*_cache"
)


def pytest_addoption(parser):
    parser.addoption(
        "--runs-in",
        choices=["processes", "compose"],
        default="processes",
        help="local/tests/running: what starts the Airflow under test",
    )


@pytest.fixture(scope="session")
def copy_of_the_repository(tmp_path_factory):
    def copy() -> Path:
        folder = tmp_path_factory.mktemp("copy") / "dags-repo"
        shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
        # Its programs name their interpreter, so they work from wherever they are linked.
        (folder / ".venv").symlink_to(ROOT / ".venv")
        return folder

    return copy
