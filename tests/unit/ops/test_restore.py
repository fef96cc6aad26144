"""A dump replaces the database only if Airflow can use it."""

import os
import re
from contextlib import nullcontext
from subprocess import CompletedProcess

import pytest

from ops import backup, generations, restore, versions
from ops.kubernetes import Kubernetes
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from tests.harness.waiting import wait_for
from tests.unit.ops.fake_lease import REFUSAL

CLUSTER = Kubernetes(name="c", namespace="airflow", arguments=[])
DUMP = "local-3-3-2-20261129-091500.dump"


@pytest.fixture
def platform(monkeypatch, tmp_path, stack, lease):
    """The stack local, and its databases. Each step is recorded."""

    class Platform:
        def __init__(self):
            self.steps = []
            self.schemas = {"airflow": "abc", "airflow_restored": "abc"}
            self.encrypted, self.decrypts = "gAAAA", True
            self.dump = tmp_path / DUMP
            self.dump.write_text("content")

        def run(self, **arguments):
            return restore.restore("local", **{"dump": self.dump, "yes": True, **arguments})

    found = Platform()
    opened = Stack(name="local", file=tmp_path / "Pulumi.local.yaml", env=dict(os.environ))
    monkeypatch.setattr(Stack, "exists", lambda self: True)
    session = found.session = Session(settings=stack("local")[1], stack=opened, account=None)
    monkeypatch.setattr(Session, "cluster", lambda self: CLUSTER)

    def sql(cluster, statement, database="postgres"):
        if statement == restore.SCHEMA:
            return found.schemas[database]
        return found.encrypted if statement == restore.ENCRYPTED else "7"

    def run_in_airflow(self, program, *, seconds):
        assert found.encrypted in program
        return CompletedProcess([], 0, "decrypted" if found.decrypts else "", "")

    def patch(self, name, change):
        found.steps.append(f"{name}: {change['spec']['replicas']}")

    monkeypatch.setattr(versions, "open_session", lambda name, settings: session)
    monkeypatch.setattr(versions, "deployed_version", lambda stack: "3.3.2")
    monkeypatch.setattr(restore, "reachable", lambda session, caller: nullcontext(session))
    monkeypatch.setattr(restore, "output", lambda command, seconds: found.steps.append(command[-1]))
    monkeypatch.setattr(restore.backup, "load", lambda *_: found.steps.append("load"))
    monkeypatch.setattr(restore.backup, "swap", lambda *_: found.steps.append("swap"))
    monkeypatch.setattr(restore.backup, "sql", sql)
    monkeypatch.setattr(restore.maintenance, "stop", lambda *_: found.steps.append("pause"))
    monkeypatch.setattr(Kubernetes, "run_in_airflow", run_in_airflow)
    monkeypatch.setattr(Kubernetes, "patch", patch)
    monkeypatch.setattr(Kubernetes, "wait_healthy", lambda self, ignore: None)
    monkeypatch.setattr(versions, "STATE", tmp_path)
    return found


def test_clients_are_stopped_while_the_database_is_replaced(platform, capsys):
    assert platform.run() == 0

    clients = ("api-server", "dag-processor", "triggerer")
    assert platform.steps == [
        "load",
        "pause",
        *(
            line
            for name in clients
            for line in (f"deployment/airflow-{name}: 0", f"--selector=component={name}")
        ),
        "swap",
        "flushall",
        *(f"deployment/airflow-{name}: 1" for name in clients),
    ]
    out = capsys.readouterr().out
    assert (
        "The backup is of 2026-11-29 09:15:00 UTC. Airflow loses what began since then (DAG runs: 7"
        in out
    )
    assert "`make resume STACK=local`" in out


def test_a_second_restore_changes_nothing(platform, lease):
    lease.hold_and_renew()

    with pytest.raises(OperationError, match=re.escape(REFUSAL)):
        platform.run()

    assert platform.steps == []


def test_a_nightly_dump_is_copied_and_restored(platform, monkeypatch, tmp_path):
    class Volume:
        def copy(self, name, folder):
            platform.steps.append(f"copy {name}")
            (tmp_path / name).write_text("content")
            return tmp_path / name

    monkeypatch.setattr(restore.nightly, "mounted", lambda cluster: nullcontext(Volume()))
    monkeypatch.setattr(generations, "open_deployed", versions.open_deployed)

    assert generations.restore("local", snapshot=DUMP, yes=True) == 0

    assert platform.steps[:3] == [f"copy {DUMP}", "load", "pause"]
    assert "swap" in platform.steps


@pytest.mark.parametrize("name", ["local", "Team.A_eu"])
def test_a_dump_of_the_stack_is_known_by_its_name(platform, name):
    dump = platform.dump.with_name(f"{backup.dump_prefix(name, '3.3.2')}-20261129-091500.dump")
    dump.touch()

    restore._check(name, platform.session, dump)


def test_without_encrypted_texts_no_key_is_needed(platform):
    platform.encrypted, platform.decrypts = "", False

    assert platform.run() == 0


def test_the_loss_is_confirmed_first(platform, monkeypatch):
    monkeypatch.setattr(restore, "confirmed", lambda question: False)

    assert platform.run(yes=False) == 1
    assert platform.steps == ["load"]


def test_another_fernet_key_changes_nothing(platform):
    platform.decrypts = False

    with pytest.raises(OperationError, match="Fernet key of the stack does not decrypt"):
        platform.run()
    assert platform.steps == ["load"]


def test_another_schema_changes_nothing(platform):
    platform.schemas["airflow_restored"] = "older"

    with pytest.raises(OperationError, match=r"another schema \(older\) than Airflow 3\.3\.2"):
        platform.run()
    assert platform.steps == ["load"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("local-none.dump", "no such file"), ("prod-3-3-2-20261129-091500.dump", "another stack")],
)
def test_another_file_is_refused(platform, tmp_path, name, reason):
    if reason == "another stack":
        (tmp_path / name).write_text("content")

    with pytest.raises(OperationError, match=reason):
        platform.run(dump=tmp_path / name)
    assert platform.steps == []


def test_an_open_upgrade_is_finished_first(platform):
    versions.Journal(before="3.2.2", after="3.3.2").write("local")

    with pytest.raises(OperationError, match=r"from 3.2.2 to 3.3.2 has not finished"):
        platform.run()
    assert platform.steps == []


def test_a_long_step_shows_its_minutes(monkeypatch, capsys):
    monkeypatch.setattr(restore, "PROGRESS_SECONDS", 0.01)
    shown = []

    with restore.step("restore the database"):
        wait_for("progress", lambda: shown.append(capsys.readouterr().out) or "min" in shown[-1])

    assert "\n== restore the database\n" in "".join(shown)
    assert "   0 min ...\n" in "".join(shown)
