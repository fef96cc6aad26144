"""Fake tools on PATH: shell scripts that record their command lines."""

import shutil
import sys
from functools import cache
from types import SimpleNamespace

import pytest

from ops import exclusive, kubernetes, stack_files
from ops import stack as stack_module
from ops.__main__ import main
from tests.unit.ops.fake_lease import FakeLease
from tests.unit.ops.fake_platform import FakePlatform

PULUMI_VARIABLES = ("BACKEND_URL", "CONFIG_PASSPHRASE", "CONFIG_PASSPHRASE_FILE")
run_stack = stack_files.run_stack


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Create tools from shell scripts. `tools.calls()` lists their command lines."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    log = tmp_path / "calls"
    log.touch()

    def create(name, script):
        path = folder / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "${{0##*/}} $*" >> {log}\n{script}\n')
        path.chmod(0o755)

    create.calls = lambda: log.read_text().splitlines()
    return create


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one stack file, and no Pulumi variables in the environment."""
    for module in (stack_module, stack_files):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(stack_module, "STATE", tmp_path / ".state")
    for variable in PULUMI_VARIABLES:
        monkeypatch.delenv(f"PULUMI_{variable}", raising=False)
    (tmp_path / "Pulumi.local.yaml").write_text("config:\n  a: b\n")
    return tmp_path


@pytest.fixture
def no_sleep(monkeypatch):
    monkeypatch.setattr(kubernetes.time, "sleep", lambda seconds: None)


@pytest.fixture
def lease(monkeypatch):
    """The Lease of the database, in a cluster in which no time passes while a command waits."""
    fake = FakeLease()
    passed = iter(range(10_000))
    monkeypatch.setattr(exclusive, "attempt", fake.kubectl)
    monkeypatch.setattr(exclusive, "output", lambda *a, **k: fake.kubectl(*a, **k).stdout)
    clock = SimpleNamespace(sleep=lambda seconds: None, monotonic=lambda: next(passed))
    monkeypatch.setattr(exclusive, "time", clock)
    return fake


@cache
def _run_local(text):
    """Tests with the same stack file share one run of the program."""
    return run_stack("local")


# Like the real command, apart from comments and layout.
SET_ALL = """
import sys, yaml
words = sys.argv[1:]
path = words[words.index("--config-file") + 1]
content = yaml.safe_load(open(path))
for pair in (after for before, after in zip(words, words[1:]) if before == "--plaintext"):
    keys, _, number = pair.partition("=")
    key, *inner, last = keys.split(".")
    section = content["config"][key]
    for name in inner:
        section = section[name]
    section[last] = int(number)
open(path, "w").write(yaml.safe_dump(content))
"""


@pytest.fixture
def platform(tools, checkout, monkeypatch):
    """The stack `local` with three queues, on a fake cluster with a fake Pulumi CLI."""
    root = stack_files.Path(__file__).parents[3]
    for name in ("Pulumi.yaml", "__main__.py", "Pulumi.local.yaml"):
        shutil.copy(root / name, checkout)
    fake = FakePlatform(checkout, tools.calls)
    monkeypatch.setattr(stack_files, "run_stack", lambda name: _run_local(fake.file.read_text()))
    (checkout / "set_all.py").write_text(SET_ALL)
    fails = f"""cd {checkout}
    [ -e fails ] && case "$*" in *"$(cat fails)"*) echo no >&2; exit 1 ;; esac
    case "$*" in"""
    tools(
        "kubectl",
        fails
        + """
        *"version --client"*) echo Client Version: v1.35.0 ;;
        *get-contexts*) echo kind-airflow ;;
        *" get storageclasses "*) echo '{"items": [{"metadata": {"name": "standard",
          "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}]}' ;;
        *" get deployments "*) cat workers ;;
        *" get scaledobjects.keda.sh "*) cat scaled ;;
        *" get deployment/airflow-scheduler "*) cat scheduler ;;
        *--stdin*) cat > script; cat tasks ;;
        *"--container dag-relay "*) cat relay ;;
        *" exec "*) cat health ;;
        *" get secret "*|*" get job "*|*" get pods "*) echo '{"items": []}' ;;
        esac""",
    )
    tools(
        "pulumi",
        fails
        + f"""
        version) echo v3.259.0 ;;
        *"config set-all"*) {sys.executable} set_all.py "$@" ;;
        *"stack ls"*) cat stacks ;;
        *"stack export"*) echo '{{"deployment": {{}}}}' ;;
        esac""",
    )
    return fake


@pytest.fixture
def operate(monkeypatch, capfd, platform):
    """Run a command. Returns its exit code and its output."""

    def run(command, *words):
        monkeypatch.setattr(sys, "argv", ["ops", command, "--stack", "local", *words])
        status = main()
        captured = capfd.readouterr()
        return status, captured.out + captured.err

    return run
