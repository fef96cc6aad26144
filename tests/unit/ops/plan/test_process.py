"""`make plan` and all imports in another process."""

import json
import os
import subprocess
import sys

import pytest

from ops import stack_files
from tests.unit.ops.plan.conftest import ROOT

IMPORT_ALL = """
import importlib, json, os, sys
from pathlib import Path
import pulumi, pulumi_aws, pulumi_eks, pulumi_kubernetes, pulumi_random, pydantic, yaml
root, seen, names = Path.cwd(), [], []
OUTSIDE = (
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
    "subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork",
)
def watch(event, args):
    if event in OUTSIDE:
        seen.append(event)
    if event == "open" and isinstance(args[0], (str, os.PathLike)):
        path = Path(args[0])
        ours = path.is_relative_to(root) and not path.is_relative_to(root / ".venv")
        if args[2] & (os.O_WRONLY | os.O_RDWR) or ours and path.suffix not in (".py", ".pyc"):
            seen.append(f"open {path}")
sys.addaudithook(watch)
for path in sorted(root.glob("*.py")) + [
    path
    for folder in ("settings", "components", "policies", "ops")
    for path in sorted(root.glob(f"{folder}/**/*.py"))
]:
    # The policy pack has an environment of its own in policies/.venv. Only the image has Airflow
    # and FAB.
    of_image = ("relay_bundle.py", "webserver_config.py")
    if path.name not in ("__main__.py", *of_image) and ".venv" not in path.parts:
        names.append(".".join(path.relative_to(root).with_suffix("").parts))
        importlib.import_module(names[-1].removesuffix(".__init__"))
print(json.dumps([names, seen]))
"""


# One process for three tests: its start and imports take seconds.
PROGRAM = f"""{IMPORT_ALL}
import contextlib, io, runpy
from ops.docs import expected_plans
from ops.plan import policy_report
class Day(policy_report.date):
    today = classmethod(lambda cls: expected_plans.DAY)
policy_report.date = Day
for arguments in (["nowhere"], ["prod", "--json"]):
    sys.argv = ["ops", "plan", "--stack", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module("ops", run_name="__main__")
        except SystemExit as ended:
            print(json.dumps([ended.code, out.getvalue(), err.getvalue()]), file=sys.__stdout__)
"""


@pytest.fixture(scope="module")
def process():
    """Output of a process with other string hashes: one JSON document for each test."""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-B", "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    imported, nowhere, prod = map(json.loads, ended.stdout.splitlines())
    return {"imported": imported, "nowhere": nowhere, "prod": prod}


def test_importing_a_module_has_no_side_effects(process):
    names, seen = process["imported"]
    assert {"settings.loading", "components.platforms", "ops.lifecycle"} <= set(names)
    assert seen == [], "tests and editors import modules: no network access, process or file access"


def test_a_failing_command_has_an_exit_code_and_a_message(process):
    known = ", ".join(stack_files.stack_names())
    complaint = f"Pulumi.nowhere.yaml: no such stack file. Stacks: {known}\n"

    assert process["nowhere"] == [1, "", complaint]


def test_the_plan_is_the_same_in_another_process(process, committed_plan):
    """The text, too: another process wrote the expected plans."""
    code, out, err = process["prod"]

    assert (code, err) == (0, "")
    assert len(out) > 50_000, "the plan was printed"
    assert out == committed_plan("prod", "--json")[1], "a diff of two plans must show changes only"
