"""Stack files of a temporary checkout, and `make plan` on them."""

import shutil
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from ops import stack_files
from ops.__main__ import main

ROOT = Path(__file__).parents[4]


SETTINGS = "airflow-platform:settings"


run_stack = stack_files.run_stack


@cache
def _run_mine(program, stack_file):
    """Tests with the same stack file share one run of the program."""
    return run_stack("mine")


@pytest.fixture
def plan(monkeypatch, capsys):
    """Run `make plan`. Returns exit code, output and error output."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ops", "plan", *arguments])
        code = main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def committed_plan(plan, stack, monkeypatch):
    """Run `make plan` on a committed stack; all tests share one run of its program."""

    def run(name, *form):
        result = stack(name)
        monkeypatch.setattr(stack_files, "run_stack", {name: result}.__getitem__)
        return plan("--stack", name, *form)

    return run


@pytest.fixture
def stack_file(monkeypatch, tmp_path):
    """A checkout with one stack, `mine`. Returns a function that writes its stack file."""
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(stack_files, "ROOT", tmp_path)
    path, program = tmp_path / "Pulumi.mine.yaml", tmp_path / "__main__.py"

    def run_mine(stack):
        return _run_mine(program.read_text(), path.read_bytes())

    monkeypatch.setattr(stack_files, "run_stack", run_mine)

    def write(given):
        if isinstance(given, bytes):
            path.write_bytes(given)
        else:
            path.write_text(given if isinstance(given, str) else yaml.safe_dump(given))
        return path

    return write


def config_of(stack):
    return yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]


@pytest.fixture
def with_queues(stack_file):
    """Write the stack file of `mine`: a committed stack with other queues."""

    def write(stack, queues):
        config = config_of(stack)
        config[SETTINGS]["queues"] = queues
        if "aws:defaultTags" in config:
            config["aws:defaultTags"]["tags"]["stack"] = "mine"
        stack_file({"config": config})

    return write
