"""Another version of Airflow: the order of the steps, refusals, and a second run after a kill."""

import os
import re
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ops import stack_files, upgrade, versions
from ops.kubernetes import Kubernetes
from ops.queue_status import Tasks
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from settings.database import ExistingDatabaseSettings
from settings.versions import AIRFLOW
from tests.unit.ops.fake_lease import REFUSAL

CLUSTER = Kubernetes(name="c", namespace="airflow", arguments=[])
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = (stack_files.ROOT / "Pulumi.local.yaml").read_text()
PARSED = upgrade.Parsed(errors=("old.py",), oldest=None)


@pytest.fixture
def platform(monkeypatch, tmp_path, stack, lease):
    """The stack local: what happens to it is recorded in `steps`."""

    class Platform:
        def __init__(self):
            self.steps = []
            self.deployed, self.paused, self.status = "3.2.2", False, 0
            self.tasks, self.parsed = [{}], [PARSED]
            self.rehearsal_fails = False

        def run(self, **arguments):
            return upgrade.upgrade("local", **arguments)

    found = Platform()
    opened = Stack(name="local", file=tmp_path / "Pulumi.local.yaml", env=dict(os.environ))
    session = Session(settings=stack("local")[1], stack=opened, account=None)

    def stop_scheduler(*_):
        found.steps.append("stop schedulers")
        found.paused = True

    def apply(session, *, upgrade):
        found.steps.append("update")
        return found.status

    def answer(values):
        return values.pop(0) if len(values) > 1 else values[0]

    def make(session, cluster, label):
        found.steps.append(f"backup {label}")
        return "/backups/local.dump"

    for name, replacement in {
        "POLL_SECONDS": 0,
        "checked_settings": lambda name: session.settings,
        "open_or_create": lambda name, settings: session,
        "unlock": lambda stack: None,
        "recover": lambda session: None,
        "reachable": lambda session, caller: nullcontext(session),
        "deployed_version": lambda stack: found.deployed,
        "_cluster": lambda session: CLUSTER,
        "_parsed": lambda cluster: answer(found.parsed),
    }.items():
        monkeypatch.setattr(upgrade, name, replacement)
    monkeypatch.setattr(versions, "STATE", tmp_path)
    monkeypatch.setattr(upgrade.lifecycle, "check", lambda session, *, upgrade: None)
    monkeypatch.setattr(upgrade.lifecycle, "apply", apply)
    monkeypatch.setattr(upgrade.maintenance, "is_paused", lambda cluster: found.paused)
    monkeypatch.setattr(upgrade.maintenance, "stop_scheduler", stop_scheduler)
    monkeypatch.setattr(upgrade.maintenance, "drain", lambda *_: found.steps.append("drain"))
    monkeypatch.setattr(upgrade.maintenance, "start", lambda *_: found.steps.append("resume"))
    monkeypatch.setattr(upgrade.queue_status, "read", lambda *_: [])
    monkeypatch.setattr(upgrade.queue_status, "count_tasks", lambda cluster: answer(found.tasks))
    monkeypatch.setattr(Kubernetes, "wait_healthy", lambda self: None)
    pods = [{"status": {"startTime": f"{STARTED:%Y-%m-%dT%H:%M:%SZ}"}}]
    monkeypatch.setattr(Kubernetes, "items", lambda self, kind, selector: pods)
    monkeypatch.setattr(upgrade.backup, "make", make)

    def rehearse(session, cluster, before):
        found.steps.append(f"rehearse {before}")
        if found.rehearsal_fails:
            raise OperationError("the migration of a copy failed")

    monkeypatch.setattr(upgrade, "rehearse", rehearse)
    found.session = session
    return found


ALL = ["stop schedulers", "drain", "backup 3.2.2", "update", "resume"]


def test_the_backup_is_made_when_no_task_runs(platform, capsys):
    platform.tasks = [{"default": Tasks(running=2)}, {}]

    assert platform.run() == 0

    assert platform.steps == ALL
    out = capsys.readouterr().out
    assert "running tasks: 2 in default" in out
    assert "No task was scheduled for 0 s" in out
    assert f"Airflow {AIRFLOW} runs. Backup of 3.2.2: /backups/local.dump" in out


@pytest.fixture
def file(platform, monkeypatch):
    """The stack file, into which a command writes the version."""
    path = platform.session.stack.file
    path.write_text(LOCAL)
    monkeypatch.setattr(stack_files, "stack_path", lambda name: path)
    monkeypatch.setattr(Stack, "set_in_file", lambda self, values: path.write_text(f"{values}"))
    return path


def test_a_second_upgrade_changes_nothing(platform, file, lease):
    lease.hold_and_renew()

    with pytest.raises(OperationError, match=re.escape(REFUSAL)):
        platform.run(version="3.2.2")

    assert (platform.steps, versions.Journal.of("local")) == ([], None)
    assert file.read_text() == LOCAL


def test_a_failed_rehearsal_leaves_airflow_running(platform):
    platform.rehearsal_fails = True

    with pytest.raises(OperationError, match="of a copy failed"):
        platform.run(rehearsal="yes")
    assert platform.steps == ["rehearse 3.2.2"]


def test_a_rehearsal_is_not_repeated_after_a_kill(platform):
    platform.status = 1
    assert platform.run(rehearsal="yes") == 1
    assert platform.steps == ["rehearse 3.2.2", *ALL[:-1]]

    platform.status, platform.deployed = 0, AIRFLOW
    assert platform.run(rehearsal="yes") == 0
    assert platform.steps.count("rehearse 3.2.2") == 1


@pytest.mark.parametrize(
    ("level", "arguments", "rehearsed"),
    [
        ("production", {}, True),
        ("production", {"rehearsal": "no"}, False),
        ("development", {}, False),
    ],
)
def test_production_rehearses_by_default(platform, monkeypatch, level, arguments, rehearsed):
    policies = platform.session.settings.policies.model_copy(update={"level": level})
    settings = platform.session.settings.model_copy(update={"policies": policies})
    monkeypatch.setattr(
        upgrade, "open_or_create", lambda *_: replace(platform.session, settings=settings)
    )

    assert platform.run(**arguments) == 0
    assert ("rehearse 3.2.2" in platform.steps) == rehearsed


def test_the_database_of_another_owner_needs_a_named_backup(platform, monkeypatch):
    database = ExistingDatabaseSettings(kind="existing", host="db.example.com", tls=False)
    policies = platform.session.settings.policies.model_copy(update={"level": "production"})
    sections = {"database": database, "policies": policies}
    settings = platform.session.settings.model_copy(update=sections)
    monkeypatch.setattr(
        upgrade, "open_or_create", lambda *_: replace(platform.session, settings=settings)
    )

    with pytest.raises(OperationError, match=r"pass BACKUP=<name of the backup>\. Nothing was"):
        platform.run()
    assert platform.steps == []

    assert platform.run(made_backup="of-tuesday") == 0
    assert "rehearse 3.2.2" not in platform.steps, "its owner can migrate a copy"


def test_a_paused_stack_stays_paused(platform, capsys):
    platform.paused = True

    assert platform.run() == 0
    assert platform.steps == ALL[:-1]
    assert "No task was scheduled" not in capsys.readouterr().out, "the user had paused it"


def test_tasks_that_do_not_end_stop_the_upgrade(platform):
    platform.tasks = [{"default": Tasks(running=1)}]

    with pytest.raises(OperationError, match="tasks still run after 0 minutes: 1 in default"):
        platform.run(wait_minutes=0)
    assert platform.steps == ["stop schedulers"], "a drain ends tasks after grace_seconds"

    platform.tasks = [{}]
    assert platform.run() == 0
    assert platform.steps == ["stop schedulers", *ALL], "paused by the upgrade, not by the user"


def test_a_failed_update_stays_paused_and_keeps_its_backup(platform, capsys):
    platform.status = 1
    assert platform.run() == 1
    out = capsys.readouterr().out
    assert "`make upgrade STACK=local`" in out
    assert "`make rollback STACK=local`" in out

    platform.status, platform.deployed = 0, AIRFLOW
    assert platform.run() == 0
    assert platform.steps == [*ALL[:-1], "update", "resume"], "one backup"


def test_a_new_import_error_leaves_airflow_paused(platform):
    platform.parsed = [PARSED, PARSED, replace(PARSED, errors=("new.py", "old.py"))]
    platform.parsed[1] = replace(PARSED, oldest=STARTED - timedelta(seconds=1))

    with pytest.raises(OperationError, match=r"only:\n  new.py\n") as refused:
        platform.run()
    assert "old.py" not in str(refused.value)
    assert platform.steps == ALL[:-1]


def test_the_backup_of_another_database_has_a_name(platform, capsys):
    assert platform.run(made_backup="of-tuesday") == 0
    assert "backup 3.2.2" not in platform.steps
    assert "Backup of 3.2.2: of-tuesday" in capsys.readouterr().out


def test_the_same_version_is_nothing_to_upgrade(platform, capsys):
    platform.deployed = AIRFLOW

    assert platform.run() == 0
    assert platform.steps == []
    assert "nothing to upgrade" in capsys.readouterr().out


@pytest.mark.parametrize("deployed", ["3.10.0", f"{AIRFLOW}.post1"])
def test_an_older_version_is_refused(platform, deployed):
    platform.deployed = deployed

    with pytest.raises(OperationError, match=rf"Airflow {deployed} is deployed, and .* is older"):
        platform.run()
    assert platform.steps == []


def test_a_stack_that_is_not_deployed_is_refused(platform):
    platform.deployed = None

    with pytest.raises(OperationError, match="run `make up STACK=local` first"):
        platform.run()


def test_another_upgrade_must_finish_first(platform):
    upgrade.Journal(before="3.1.0", after="3.2.2").write("local")

    with pytest.raises(OperationError, match=r"from 3.1.0 to 3.2.2 has not finished"):
        platform.run()


@pytest.fixture
def journal(tmp_path):
    """An upgrade with a dump."""
    dump = tmp_path / "local.dump"
    dump.touch()
    return versions.Journal(before="3.2.2", after=AIRFLOW, backup=str(dump)).write("local")


def test_a_second_rollback_changes_nothing(platform, file, lease, journal):
    lease.hold_and_renew()

    with pytest.raises(OperationError, match=re.escape(REFUSAL)):
        upgrade.rollback("local", yes=True)

    assert (platform.steps, versions.Journal.of("local")) == ([], journal)
    assert file.read_text() == LOCAL


def test_a_rollback_is_confirmed_before_any_change(platform, file, lease, journal, monkeypatch):
    monkeypatch.setattr(upgrade.restore, "lost", lambda cluster, dump: "7 DAG runs")
    monkeypatch.setattr(upgrade, "confirmed", lambda question: False)

    with pytest.raises(OperationError, match="Nothing was changed"):
        upgrade.rollback("local")

    assert (platform.steps, file.read_text(), lease.present) == ([], LOCAL, None)


@pytest.mark.parametrize(
    ("journal", "reason"),
    [
        (None, "names no backup"),
        (upgrade.Journal(before="3.2.2", after="3.3.2"), "names no backup"),
        (upgrade.Journal(before="3.2.2", after="3.3.2", backup="/no/file"), "is missing"),
        (upgrade.Journal(before="2.9.0", after="3.3.2", backup="arn"), "not support Airflow 2.9.0"),
    ],
    ids=["no upgrade", "no backup yet", "a file that is gone", "an old release"],
)
def test_a_rollback_needs_its_backup(platform, journal, reason):
    if journal is not None:
        journal.write("local")

    with pytest.raises(OperationError, match=reason) as refused:
        upgrade.rollback("local", yes=True)
    assert "Nothing was changed" in str(refused.value)
