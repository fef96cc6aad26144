"""Tests run in copies of this repository: its data and its .env stay untouched."""

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
        help="local/tests/running: how to run Airflow",
    )


@pytest.fixture(scope="session")
def copy_repository(tmp_path_factory):
    def copy() -> Path:
        folder = tmp_path_factory.mktemp("copy") / "dags-repo"
        shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
        # Scripts in .venv have absolute shebangs and work through a symbolic link.
        (folder / ".venv").symlink_to(ROOT / ".venv")
        return folder

    return copy
