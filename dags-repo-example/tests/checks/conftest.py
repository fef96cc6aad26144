"""Copies of this repository, in which a test commits a mistake for real."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a clone has; not what this machine has made of it, such as .env and .venv.
CLONED = ("checks", "dags", "include", "plugins", "platform.yaml", "requirements.in")


def _clone(folder: Path) -> Path:
    for name in CLONED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def _check(folder: Path) -> tuple[int, list[str]]:
    """Return what `python -m checks` says in a repository, and its exit status."""
    ran = subprocess.run(
        [sys.executable, "-m", "checks"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not ran.stderr, ran.stderr
    return ran.returncode, ran.stdout.splitlines()


@pytest.fixture(scope="session")
def run() -> Callable[[Path], tuple[int, list[str]]]:
    return _check


@pytest.fixture(scope="session")
def clone() -> Callable[[Path], Path]:
    return _clone


@pytest.fixture
def repository(tmp_path) -> Path:
    return _clone(tmp_path)
