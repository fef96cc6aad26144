"""Copies of this repository, in which a test commits a mistake for real."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import compose, local
from tests.checks.compose_file import COMPOSE, ENV, PLATFORM

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
        timeout=300,
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


@pytest.fixture(scope="session")
def faulty(tmp_path_factory) -> Callable[..., list[str]]:
    """Return what one run says about a copy in which all of these mistakes were made."""

    def make(mistakes: dict, others: dict[str, str] | None = None) -> list[str]:
        folder = _clone(tmp_path_factory.mktemp("faulty"))
        files = {path: text for path, text, _ in mistakes.values()} | (others or {})
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        status, lines = _check(folder)
        assert status == 1
        return lines

    return make


@pytest.fixture
def told(tmp_path):
    """Return what is said about compose.yaml after some changes, and about .env."""
    (tmp_path / "dags").mkdir()

    def check(*changes, env=ENV, name="compose.yaml", text=COMPOSE, platform=PLATFORM):
        for old, new in changes:
            assert text.count(old) == 1, f"the change of {old!r} would change nothing"
            text = text.replace(old, new)
        if text:
            (tmp_path / name).write_text(text)
        if env is not None:
            (tmp_path / ".env").write_text(env)
        found, mistakes = compose.read(tmp_path)
        return [str(m) for m in sorted({*mistakes, *local.check(tmp_path, found, platform)})]

    return check
