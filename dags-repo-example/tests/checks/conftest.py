"""Copies of this repository, in which a test makes a mistake."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import compose_file, compose_rules
from tests.checks.compose_file import COMPOSE, ENV, PLATFORM

ROOT = Path(__file__).parents[2]
# The files of a clone, without generated ones such as .env and .venv.
CLONED = (
    *("checks", "dags", "include", "plugins"),
    *("platform.yaml", "pyproject.toml", "requirements.in"),
)


def clone(folder: Path) -> Path:
    for name in CLONED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    platform = folder / "platform.yaml"
    platform.write_text(installed_python(platform.read_text()))
    return folder


def installed_python(text: str) -> str:
    """Return platform.yaml with the Python of .venv: the machine may lack the image's."""
    return text.replace('python: "3.12"', 'python: "{}.{}"'.format(*sys.version_info))


def run_checks(folder: Path) -> tuple[int, list[str]]:
    """Return exit code and output of `python -m checks` in a repository."""
    process = subprocess.run(
        [sys.executable, "-m", "checks"],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not process.stderr, process.stderr
    return process.returncode, process.stdout.splitlines()


@pytest.fixture(scope="session")
def run() -> Callable[[Path], tuple[int, list[str]]]:
    return run_checks


@pytest.fixture
def repository(tmp_path) -> Path:
    return clone(tmp_path)


@pytest.fixture(scope="session")
def faulty(tmp_path_factory) -> Callable[..., list[str]]:
    """Return the output of one run in a copy with all of these mistakes."""

    def make(mistakes: dict, others: dict[str, str] | None = None) -> list[str]:
        folder = clone(tmp_path_factory.mktemp("faulty"))
        files = {path: text for path, text, _ in mistakes.values()} | (others or {})
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        status, output = run_checks(folder)
        assert status == 1, "expected mistakes: exit code 1"
        return output

    return make


@pytest.fixture
def mistakes(tmp_path):
    """Return the mistakes of compose.yaml after some changes, and of .env."""
    (tmp_path / "dags").mkdir()

    def check(*changes, env=ENV, name="compose.yaml", text=COMPOSE, platform=PLATFORM):
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} is not in the file once: correct the test"
            text = text.replace(old, new)
        if text:
            (tmp_path / name).write_text(text)
        if env is not None:
            (tmp_path / ".env").write_text(env)
        project, found = compose_file.read(tmp_path)
        return [str(m) for m in sorted({*found, *compose_rules.check(tmp_path, project, platform)})]

    return check
