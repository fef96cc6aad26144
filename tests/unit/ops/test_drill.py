"""`make drill`: which backup, what is checked, and that nothing is left behind."""

import json
import os
import re
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from subprocess import CompletedProcess
from types import ModuleType, SimpleNamespace

import pytest

from ops import backup, drill, generations, nightly, versions
from ops.kubernetes import Kubernetes
from ops.recovery.aws import Aws
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from settings.database import drill_identifier
from settings.versions import AIRFLOW
from tests.unit.ops.fake_lease import REFUSAL

ROWS = {"dag": 3, "dag_run": 200, "task_instance": 10000, "connection": 4, "variable": 5}
URL = "postgresql+psycopg2://airflow:a%40b@airflow-prod.rds:5432/airflow?sslmode=verify-full"


class FakeVolume:
    """The nightly dumps."""

    def __init__(self):
        self.names, self.copies = [], []

    def dumps(self):
        return dict.fromkeys(self.names, 7)

    def copy(self, name, folder):
        self.copies.append(folder / name)
        (folder / name).touch()
        return folder / name


class Platform:
    def __init__(self, stack, folder):
        self.name, self.stack, self.folder = "prod", stack, folder
        self.steps, self.programs = [], []
        self.answer = CompletedProcess(
            [], 0, f"INFO\ncopy: {json.dumps({'rows': ROWS, 'decrypted': True})}\n", ""
        )
        self.left_behind = False
        self.volume = FakeVolume()
        self.instance = {
            "DBInstanceIdentifier": "airflow-prod",
            "LatestRestorableTime": (datetime.now(UTC) - timedelta(minutes=4)).isoformat(),
            "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1"}],
            "DBSubnetGroup": {"DBSubnetGroupName": "airflow-prod"},
        }

    def open(self, name):
        file = self.folder / f"Pulumi.{name}.yaml"
        opened = Stack(name=name, file=file, env=dict(os.environ))
        account = Aws(region="eu-west-1", tags={"stack": "prod"}) if name == "prod" else None
        session = Session(settings=self.stack(name)[1], stack=opened, account=account)
        return session, Kubernetes(name="c", namespace="airflow", arguments=[]), AIRFLOW

    def call(self, *words, seconds=60):
        verb = words[1]
        if verb == "describe-db-instances":
            if words[3] == "airflow-prod":
                return {"DBInstances": [self.instance]}
            if not self.left_behind:
                raise OperationError("An error occurred (DBInstanceNotFound)")
            return {"DBInstances": [{"Endpoint": {"Address": "airflow-prod-drill.rds"}}]}
        self.steps.append(" ".join(words))
        self.left_behind = {"delete-db-instance": False}.get(verb, self.left_behind)
        self.left_behind = verb.startswith("restore-") or self.left_behind
        return {}


@pytest.fixture
def platform(monkeypatch, tmp_path, stack, lease):
    found = Platform(stack, tmp_path)

    def run(cluster, program, *, seconds):
        found.programs.append(program)
        return found.answer

    for target, name, replacement in (
        (drill, "open_deployed", found.open),
        (drill, "reachable", lambda session, caller: nullcontext(session)),
        (nightly, "mounted", lambda cluster: nullcontext(found.volume)),
        (generations, "STATE", tmp_path),
        (versions, "STATE", tmp_path),
        (backup, "FOLDER", tmp_path),
        (
            backup,
            "load",
            lambda cluster, dump, as_: found.steps.append(f"load {dump.name} as {as_}"),
        ),
        (backup, "sql", lambda cluster, statement: found.steps.append(statement)),
        (Aws, "call", lambda self, *words, seconds=60: found.call(*words)),
        (Kubernetes, "run_in_airflow", run),
    ):
        monkeypatch.setattr(target, name, replacement)
    return found


def verbs(platform):
    return [step.split()[1] for step in platform.steps]


def test_rds_is_restored_checked_and_deleted(platform, capsys):
    assert drill.drill("prod") == 0

    restore, _, delete, _ = platform.steps
    assert "--use-latest-restorable-time --source-db-instance-identifier airflow-prod" in restore
    assert "--target-db-instance-identifier airflow-prod-drill" in restore
    assert "--vpc-security-group-ids sg-1" in restore
    assert "--tags Key=stack,Value=prod" in restore
    assert "airflow-prod-drill --skip-final-snapshot --delete-automated-backups" in delete
    assert not platform.left_behind
    out = capsys.readouterr().out
    assert "rows        dag 3, dag_run 200, task_instance 10000" in out
    assert "Fernet key  decrypts" in out
    assert "RPO         0:04:0" in out
    assert "RTO         0:00:0" in out


def test_a_second_drill_leaves_the_copy_of_the_first(platform, lease):
    lease.hold_and_renew()
    platform.left_behind = True

    with pytest.raises(OperationError, match=re.escape(REFUSAL)):
        drill.drill("prod")

    assert (platform.steps, platform.left_behind) == ([], True)


def test_a_copy_of_a_killed_drill_is_deleted_first(platform):
    platform.left_behind = True

    drill.drill("prod")

    assert verbs(platform)[:2] == ["delete-db-instance", "wait"]
    assert not platform.left_behind


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("Traceback\ncryptography.fernet.InvalidToken", "the Fernet key of the stack does not"),
        ("TimeoutError: There are still unapplied migrations", "unapplied migrations"),
        ("", "no answer"),
    ],
)
def test_an_unusable_backup_fails_and_leaves_nothing(platform, error, reason):
    platform.answer = CompletedProcess([], 1, "", error)

    with pytest.raises(OperationError, match=f"the backup is not usable: .*{reason}"):
        drill.drill("prod")

    assert not platform.left_behind


def test_a_clock_that_is_behind_gives_no_negative_age(platform, capsys):
    later = datetime.now(UTC) + timedelta(seconds=5)
    platform.instance["LatestRestorableTime"] = later.isoformat()

    drill.drill("prod")

    assert "RPO         0:00:00 " in capsys.readouterr().out


def test_a_backup_without_secrets_says_so(platform, capsys):
    found = {"rows": ROWS, "decrypted": False}
    platform.answer = CompletedProcess([], 0, f"copy: {json.dumps(found)}\n", "")

    drill.drill("prod")

    assert "Fernet key  not tried: nothing in the backup is encrypted" in capsys.readouterr().out


def test_the_newest_dump_is_restored_beside_the_database(platform, tmp_path):
    """Of the same version: after an upgrade the dump of before has another schema."""
    for name in (
        "local-3-3-2-20261101-000000",
        "local-3-3-2-20261102-000000",
        "local-3-2-2-20261103-000000",
        "local-two-3-3-2-20261201-000000",
    ):
        (tmp_path / f"{name}.dump").touch()

    assert drill.drill("local") == 0

    assert platform.steps == [
        "load local-3-3-2-20261102-000000.dump as airflow_drill",
        "DROP DATABASE IF EXISTS airflow_drill WITH (FORCE)",
    ], "a restore at the same time uses another database"


@pytest.mark.parametrize("night", ["20261102", "20261104"])
def test_the_newest_of_both_places_is_restored(platform, tmp_path, night):
    """A copy of a nightly dump is deleted after the drill: weekly drills leave no files."""
    (tmp_path / "local-3-3-2-20261103-000000.dump").touch()
    nightly_dump = f"local-3-3-2-{night}-020000.dump"
    platform.volume.names = [nightly_dump, "local-3-2-2-20261105-020000.dump"]

    assert drill.drill("local") == 0

    newest = max("local-3-3-2-20261103-000000.dump", nightly_dump)
    assert platform.steps[0] == f"load {newest} as airflow_drill"
    assert [file.name for file in platform.volume.copies] == [newest] * (newest == nightly_dump)
    assert not any(file.exists() for file in platform.volume.copies)


def test_a_stack_without_a_dump_is_told_how_to_make_one(platform):
    with pytest.raises(OperationError, match=r"no dump of stack 'local' with .*: run `make backup"):
        drill.drill("local")
    assert platform.steps == []


def test_a_database_without_backups_is_refused(platform):
    del platform.instance["LatestRestorableTime"]

    with pytest.raises(OperationError, match="no automated backup"):
        drill.drill("prod")
    assert platform.steps == []


def test_nothing_is_restored_during_an_upgrade(platform):
    versions.Journal(before="3.2.2", after=AIRFLOW).write("prod")

    with pytest.raises(OperationError, match="has not finished"):
        drill.drill("prod")
    assert platform.steps == []


def test_the_name_of_the_copy_fits():
    assert drill_identifier("a" * 63) == f"{'a' * 57}-drill"


@pytest.fixture
def program(platform, monkeypatch, capsys):
    """Runs the check with an Airflow whose database says what it is asked, and by which URL."""

    class FakeUrl(str):
        def set(self, host=None, database=None):
            return FakeUrl(self.replace("airflow-prod.rds", host))

        def render_as_string(self, *, hide_password):
            assert hide_password is False
            return str(self)

    class Session:
        def scalar(self, statement):
            return 7 if "count(*)" in statement else "encrypted"

    decrypted = []
    modules = {
        "sqlalchemy": {"text": str},
        "sqlalchemy.engine": {"make_url": FakeUrl},
        "airflow.models.crypto": {"get_fernet": lambda: SimpleNamespace(decrypt=decrypted.append)},
        "airflow.utils.db": {"check_migrations": lambda timeout: None},
        "airflow.utils.session": {"create_session": lambda: nullcontext(Session())},
    }
    for name in ("airflow", "airflow.models", "airflow.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", URL)
    drill.drill("prod")
    capsys.readouterr()
    exec(compile(platform.programs[0], "check", "exec"), {})  # noqa: S102
    return SimpleNamespace(
        url=os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"],
        decrypted=decrypted,
        output=capsys.readouterr().out,
    )


def test_the_check_asks_the_copy(program):
    assert program.url == URL.replace("airflow-prod.rds", "airflow-prod-drill.rds")
    assert program.decrypted == [b"encrypted"]
    answer = json.loads(program.output.removeprefix("copy: "))
    assert answer == {"rows": dict.fromkeys(ROWS, 7), "decrypted": True}
