"""Another generation of RDS: what is refused, the order of the steps, and a second run after a kill."""

import json
import os
import re
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pulumi
import pytest

from ops import generations, rds, restore, stack_files, upgrade, versions
from ops.kubernetes import Kubernetes
from ops.recovery.aws import Aws
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from settings.database import ContainerDatabaseSettings
from settings.versions import AIRFLOW
from tests.unit.ops.fake_lease import REFUSAL

CLUSTER = Kubernetes(name="c", namespace="airflow", arguments=[])
SNAPSHOT = "airflow-prod-3-2-2-20261129-091500"
ARN = f"arn:aws:rds:eu-west-1:111122223333:snapshot:{SNAPSHOT}"
FORMER = "urn::database-instance"
NOTHING = "Nothing was changed"


def tagged(**tags):
    return [{"Key": key.replace("_", "-"), "Value": value} for key, value in tags.items()]


class Platform:
    """The stack prod: `steps` are what happens to it, `file` is its stack file."""

    def __init__(self, stack, opened, file):
        self.settings, self.stack, self.file = stack("prod")[1], opened, file
        self.steps = []
        self.deployed, self.paused, self.status = AIRFLOW, False, 0
        self.counts = CompletedProcess([], 0, "INFO\nsince: [7, 9]\n", "")
        self.mistake = None
        self.snapshot = {
            "DBSnapshotIdentifier": SNAPSHOT,
            "DBInstanceIdentifier": "airflow-prod",
            "Status": "available",
            "SnapshotCreateTime": "2026-11-29T09:15:00.123000+00:00",
            "TagList": tagged(stack="prod", airflow_version="3.2.2"),
        }
        now = datetime.now(UTC)
        self.instance = {
            "DBInstanceIdentifier": "airflow-prod",
            "InstanceCreateTime": (now - timedelta(days=2)).isoformat(),
            "LatestRestorableTime": (now - timedelta(minutes=5)).isoformat(),
            "BackupRetentionPeriod": 14,
        }
        self.instances = ["database-instance"]

    @property
    def values(self):
        return json.loads(self.file.read_text())

    def session(self):
        changed = self.settings
        for path, value in self.values.items():
            section, key = path.split(".")
            update = {key: value}
            changed = changed.model_copy(
                update={section: getattr(changed, section).model_copy(update=update)}
            )
        account = Aws(region="eu-west-1", tags={"stack": "prod"})
        return Session(settings=changed, stack=self.stack, account=account)

    def restore(self, **arguments):
        given = arguments if {"time", "dump"} & arguments.keys() else {"snapshot": SNAPSHOT}
        return generations.restore("prod", **{"yes": True, **given, **arguments})

    def rollback(self, **arguments):
        return upgrade.rollback("prod", **{"yes": True, **arguments})

    def upgraded(self, **changes):
        journal = versions.Journal(before="3.2.2", after=AIRFLOW, backup=ARN, finished=True)
        replace(journal, **changes).write("prod")

    def is_of(self, version):
        self.snapshot["TagList"] = tagged(stack="prod", airflow_version=version)


@pytest.fixture
def platform(monkeypatch, tmp_path, stack, lease):
    opened = Stack(name="prod", file=tmp_path / "Pulumi.prod.yaml", env=dict(os.environ))
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text("{}")
    found = Platform(stack, opened, file)

    def record(step):
        return lambda *_, **__: found.steps.append(step)

    def set_in_file(self, values, *, copy):
        assert copy, "`make rollback FROM=` uses a copy of the stack file"
        file.write_text(json.dumps({**found.values, **values}))

    def remove_from_file(self, path):
        file.write_text(json.dumps({k: v for k, v in found.values.items() if k != path}))

    def checked(name):
        if found.mistake is not None:
            raise pulumi.RunError(found.mistake)
        return found.session().settings

    def apply(session, *, upgrade=False, deletes=()):
        database, version = session.settings.database, session.settings.airflow.version
        kept = database.kept_generation or ""
        what = f"update to {version}, database {database.generation} beside {kept}".rstrip()
        found.steps.append(" ".join([what.removesuffix(" beside"), *sorted(deletes)]))
        assert upgrade is (version != found.deployed), "the other versions are refused by `make up`"
        return found.status

    def call(self, *words, seconds=60):
        if words[1] == "describe-db-snapshots":
            if found.snapshot is None or words[3] != SNAPSHOT:
                raise OperationError("An error occurred (DBSnapshotNotFound)")
            return {"DBSnapshots": [found.snapshot]}
        if words[1] == "describe-db-instances":
            return {"DBInstances": [{**found.instance, "DBInstanceIdentifier": words[3]}]}
        found.steps.append(" ".join(words))
        return {}

    def resources(self):
        return [{"type": rds.TYPE, "urn": f"urn::{name}"} for name in found.instances]

    for target, name, replacement in (
        (generations, "STATE", tmp_path),
        (versions, "STATE", tmp_path),
        (stack_files, "stack_path", lambda name: file),
        (generations, "checked_settings", checked),
        (generations.lifecycle, "apply", apply),
        (generations.lifecycle, "check", lambda session: None),
        (generations.maintenance, "stop", record("pause")),
        (upgrade.maintenance, "start", record("resume")),
        (upgrade.queue_status, "read", lambda *_: []),
        (restore, "empty_redis", record("empty Redis")),
        (Stack, "set_in_file", set_in_file),
        (Stack, "remove_from_file", remove_from_file),
        (Stack, "resources", resources),
        (Stack, "output", lambda self, *words: found.steps.append(" ".join(words[:3]))),
        (Aws, "call", call),
        (Kubernetes, "run_in_airflow", lambda self, program, *, seconds: found.counts),
        (Kubernetes, "wait_healthy", lambda self: None),
    ):
        monkeypatch.setattr(target, name, replacement)
    for module in (generations, upgrade):
        for name, replacement in {
            "open_deployed": lambda name: (found.session(), CLUSTER, found.deployed),
            "unlock": lambda stack: None,
            "recover": lambda session: None,
            "reachable": lambda session, caller: nullcontext(session),
        }.items():
            monkeypatch.setattr(module, name, replacement)
    return found


CHANGES = {
    "database.generation": 2,
    "database.restore_from": SNAPSHOT,
    "database.kept_generation": 1,
}
BACK = "update to 3.2.2, database 2 beside 1"
STEPS = ["pause", BACK, "empty Redis"]


@pytest.mark.parametrize(
    ("command", "version"), [(Platform.restore, AIRFLOW), (Platform.rollback, "3.2.2")]
)
def test_a_second_command_changes_nothing(platform, lease, command, version):
    platform.upgraded()
    platform.is_of(version)
    lease.hold_and_renew()

    with pytest.raises(OperationError, match=re.escape(REFUSAL)):
        command(platform)

    assert (platform.steps, platform.values) == ([], {})


# --- rollback


def test_a_rollback_creates_the_database_of_the_snapshot(platform, capsys):
    platform.upgraded()

    assert platform.rollback() == 0

    assert platform.steps == [*STEPS, "resume"]
    assert platform.values == {**CHANGES, "airflow.version": "3.2.2"}
    out = capsys.readouterr().out
    assert "of 2026-11-29 09:15:00 UTC. Airflow loses" in out
    assert "(DAG runs: 7, task instances: 9)" in out
    assert "Airflow uses airflow-prod-g2, restored from" in out
    assert "kept as airflow-prod: `make forget-database STACK=prod`" in out
    assert versions.Journal.of("prod") is None
    assert generations.Begun.of("prod") is None


def test_the_loss_is_confirmed_before_any_change(platform, monkeypatch):
    platform.upgraded()
    monkeypatch.setattr(generations, "confirmed", lambda question: False)

    assert platform.rollback(yes=False) == 1
    assert (platform.steps, platform.values) == ([], {})


def test_a_failed_api_server_does_not_stop_the_way_back(platform, capsys):
    platform.upgraded(finished=False)
    platform.counts = CompletedProcess([], 1, "", "no pod")

    assert platform.rollback() == 0
    assert "DAG runs: unknown" in capsys.readouterr().out


def test_a_stack_that_was_paused_is_not_resumed(platform):
    platform.upgraded(was_paused=True)

    assert platform.rollback() == 0
    assert platform.steps == STEPS


def test_a_repeated_rollback_makes_no_third_generation(platform, monkeypatch):
    platform.upgraded()
    platform.status = 5
    assert platform.rollback() == 5
    assert platform.steps == STEPS[:-1]
    journal = versions.Journal.of("prod")
    assert journal is not None
    assert journal.finished is False, "a restore would take the place of the rollback"

    platform.status, platform.deployed = 0, AIRFLOW
    monkeypatch.setattr(generations, "confirmed", lambda question: pytest.fail(question))
    assert platform.rollback(yes=False) == 0
    assert platform.steps == [*STEPS[:-1], *STEPS, "resume"]
    assert platform.values["database.generation"] == 2


def test_a_rollback_killed_before_resume_continues(platform, monkeypatch):
    platform.upgraded()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(upgrade.queue_status, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            platform.rollback()

    assert platform.rollback() == 0
    assert platform.steps[-1] == "resume"
    assert platform.values["database.generation"] == 2


def test_a_stack_file_with_a_mistake_is_restored(platform):
    platform.upgraded()
    platform.mistake = "a rule"

    with pytest.raises(pulumi.RunError, match="a rule"):
        platform.rollback()
    assert platform.values == {}
    assert generations.Begun.of("prod") is None


def test_a_mistake_does_not_end_a_restore_that_has_begun(platform):
    platform.status = 5
    platform.upgraded()
    platform.rollback()
    platform.mistake = "a rule"

    with pytest.raises(pulumi.RunError, match="a rule"):
        platform.rollback()
    assert platform.values["database.generation"] == 2
    assert generations.Begun.of("prod") is not None


def test_no_upgrade_begins_beside_a_restore(platform):
    platform.status = 5
    platform.upgraded()
    platform.rollback()

    with pytest.raises(OperationError, match=f"the restore of {SNAPSHOT} has not finished"):
        upgrade.upgrade("prod", AIRFLOW)


# --- restore


def test_a_restore_keeps_the_version_and_stays_paused(platform, capsys):
    platform.is_of(AIRFLOW)

    assert platform.restore() == 0
    assert platform.steps == ["pause", f"update to {AIRFLOW}, database 2 beside 1", "empty Redis"]
    assert platform.values == CHANGES
    assert "Airflow is paused: `make resume STACK=prod`" in capsys.readouterr().out


def test_an_update_that_could_not_work_changes_nothing(platform, monkeypatch):
    platform.is_of(AIRFLOW)

    def check(session):
        raise OperationError("too few connections")

    monkeypatch.setattr(generations.lifecycle, "check", check)
    with pytest.raises(OperationError, match="too few connections"):
        platform.restore()
    assert (platform.steps, platform.values) == ([], {})


def test_the_next_restore_is_the_next_generation(platform):
    platform.is_of(AIRFLOW)
    assert platform.restore() == 0
    platform.stack.remove_from_file("database.kept_generation")
    platform.snapshot["DBInstanceIdentifier"] = "airflow-prod-g2"

    assert platform.restore() == 0
    assert platform.values == {
        **CHANGES,
        "database.generation": 3,
        "database.kept_generation": 2,
    }


def test_a_point_in_time_is_written_in_utc(platform):
    wanted = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    text = wanted.astimezone().isoformat()

    assert platform.restore(time=text) == 0
    assert platform.values["database.restore_from"] == f"{wanted:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("hours", [-1, 72], ids=["the future", "before its creation"])
def test_a_time_without_a_backup_is_refused(platform, hours):
    wanted = datetime.now(UTC) - timedelta(hours=hours)

    with pytest.raises(OperationError, match="which the backups of airflow-prod cover") as refused:
        platform.restore(time=wanted.isoformat())
    assert NOTHING in str(refused.value)
    assert platform.steps == []


def test_a_database_without_backups_has_no_times(platform):
    del platform.instance["LatestRestorableTime"]

    with pytest.raises(OperationError, match="no automated backup"):
        platform.restore(time="2026-11-28T10:00Z")


@pytest.mark.parametrize("time", ["yesterday", "2026-11-28T10:00"])
def test_a_time_needs_its_zone(platform, time):
    with pytest.raises(OperationError, match="such as 2026-11-28T10:00Z"):
        platform.restore(time=time)


@pytest.mark.parametrize("given", [{}, {"snapshot": "a", "time": "2026-11-28T10:00Z"}])
def test_a_restore_has_one_source(given):
    with pytest.raises(
        OperationError, match="pass one of BACKUP=<dump>, SNAPSHOT=<name> and TIME="
    ):
        generations.restore("prod", **given)


def test_a_dump_is_restored_as_before(monkeypatch):
    monkeypatch.setattr(restore, "restore", lambda *given: given)

    assert generations.restore("local", dump=Path("a.dump")) == ("local", Path("a.dump"), False)


# --- refusals


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Status": "creating"}, "is creating, not available"),
        ({"DBInstanceIdentifier": "other"}, "of the database other of another stack"),
        ({"TagList": tagged(stack="dev")}, "of another stack"),
        (
            {"TagList": tagged(stack="prod", airflow_version="3.1.0")},
            "is of Airflow 3.1.0, and the restored stack would have",
        ),
    ],
    ids=["not available", "another database", "tags of another stack", "another version"],
)
def test_a_snapshot_that_does_not_fit_is_refused(platform, change, reason):
    platform.snapshot |= change

    with pytest.raises(OperationError, match=reason) as refused:
        platform.restore()
    assert NOTHING in str(refused.value)
    assert (platform.steps, platform.values) == ([], {})


def test_a_missing_snapshot_is_refused(platform):
    with pytest.raises(OperationError, match="eu-west-1 has no snapshot another"):
        platform.restore(snapshot="another")


def test_a_snapshot_without_a_version_is_a_note(platform, capsys):
    platform.snapshot["TagList"] = []

    assert platform.restore() == 0
    assert f"it must be of Airflow {AIRFLOW}" in capsys.readouterr().out


def test_a_second_former_database_is_refused(platform):
    platform.is_of(AIRFLOW)
    platform.restore()

    with pytest.raises(OperationError, match="airflow-prod still exists") as refused:
        platform.restore()
    assert "`make forget-database STACK=prod`" in str(refused.value)


def test_an_unfinished_upgrade_is_finished_first(platform):
    platform.upgraded(finished=False)

    with pytest.raises(OperationError, match="has not finished"):
        platform.restore()


def test_another_restore_is_finished_first(platform):
    platform.is_of(AIRFLOW)
    platform.status = 5
    platform.restore()

    wanted = datetime.now(UTC) - timedelta(hours=3)
    for command in (
        lambda: platform.restore(time=wanted.isoformat()),
        lambda: generations.forget("prod"),
    ):
        with pytest.raises(OperationError, match=f"the restore of {SNAPSHOT} has not finished"):
            command()


def test_a_container_has_no_points_in_time(platform):
    container = ContainerDatabaseSettings(kind="container")
    platform.settings = platform.settings.model_copy(update={"database": container})

    with pytest.raises(OperationError, match="is container, not rds"):
        platform.restore(time="2026-11-28T10:00Z")


# --- forget


def test_the_former_database_is_deleted_after_its_name(platform, monkeypatch, capsys):
    platform.is_of(AIRFLOW)
    platform.restore()
    platform.steps.clear()
    platform.instances.append("database-instance-2")
    asked = []
    monkeypatch.setattr(generations, "confirmed", lambda question: not asked.append(question))

    assert generations.forget("prod") == 0

    assert asked == ["Delete airflow-prod?"]
    assert platform.steps == [
        "rds modify-db-instance --db-instance-identifier airflow-prod --no-deletion-protection",
        f"state unprotect {FORMER}",
        f"update to {AIRFLOW}, database 2 {FORMER}",
    ]
    assert "database.kept_generation" not in platform.values
    assert "AWS keeps a final snapshot. Airflow uses airflow-prod-g2" in capsys.readouterr().out


def test_a_repeated_deletion_continues(platform):
    """Killed after the change of the stack file: the state still has the instance."""
    platform.is_of(AIRFLOW)
    platform.restore()
    platform.stack.remove_from_file("database.kept_generation")
    platform.instances.append("database-instance-2")

    assert generations.forget("prod", yes=True) == 0
    assert platform.steps[-1] == f"update to {AIRFLOW}, database 2 {FORMER}"


def test_the_present_database_is_never_deleted(platform, capsys):
    assert generations.forget("prod", yes=True) == 0
    assert platform.steps == []
    assert "no former database: nothing to delete" in capsys.readouterr().out


def test_a_deletion_is_confirmed(platform, monkeypatch):
    platform.is_of(AIRFLOW)
    platform.restore()
    platform.steps.clear()
    platform.instances.append("database-instance-2")
    monkeypatch.setattr(generations, "confirmed", lambda question: False)

    assert generations.forget("prod") == 1
    assert platform.steps == []


def test_the_time_of_a_replicated_backup_ends_with_it(platform):
    platform.is_of(AIRFLOW)
    platform.file.write_text(json.dumps({"database.restore_time": "2026-11-28T10:00:00Z"}))

    assert platform.restore() == 0

    assert platform.values["database.restore_from"] == SNAPSHOT
    assert "database.restore_time" not in platform.values, "it would be a mistake beside a snapshot"
