"""Backups of the metadata database, with a fake kubectl and a fake AWS CLI."""

import json
import os
from contextlib import nullcontext

import pytest

from ops import backup
from ops.kubernetes import Kubernetes
from ops.recovery.aws import Aws
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack

CLUSTER = Kubernetes(name="c", namespace="flow", arguments=["--context", "c"])


@pytest.fixture
def session(stack, tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "FOLDER", tmp_path / "backups")

    def opened(name):
        account = Aws(region="eu-west-1", tags={"stack": name})
        opened = Stack(name=name, file=tmp_path / f"Pulumi.{name}.yaml", env=dict(os.environ))
        return Session(settings=stack(name)[1], stack=opened, account=account)

    return opened


def test_a_dump_is_readable_by_its_owner_only(session, tools):
    tools("kubectl", "echo dumped")

    made = backup.make(session("local"), CLUSTER, "3.2.2")

    (file,) = backup.FOLDER.iterdir()
    assert str(file) == made
    assert file.name.startswith("local-3-2-2-20")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("dumped\n", 0o600)
    (call,) = tools.calls()
    assert "--namespace flow database-0 --container database -- pg_dump" in call


def test_a_failed_dump_leaves_no_backup(session, tools):
    tools("kubectl", "echo half; echo no space left >&2; exit 1")

    with pytest.raises(OperationError, match="no space left"):
        backup.make(session("local"), CLUSTER, "3.2.2")
    assert list(backup.FOLDER.iterdir()) == []


def test_a_snapshot_has_the_tags_of_the_stack(session, tools):
    instance = {"DBInstances": [{"DBInstanceIdentifier": "airflow-prod"}]}
    made = {"DBSnapshot": {"DBSnapshotArn": "arn:snapshot"}}
    tools(
        "aws",
        f"""case "$*" in
*describe-db-instances*) echo '{json.dumps(instance)}' ;;
*create-db-snapshot*) echo '{json.dumps(made)}' ;;
esac""",
    )

    assert backup.make(session("prod"), CLUSTER, "3.2.2") == "arn:snapshot"

    _, created, waited = tools.calls()
    assert (
        "--db-instance-identifier airflow-prod --tags Key=stack,Value=prod Key=airflow-version,Value=3.2.2"
        in created
    )
    assert "--db-snapshot-identifier airflow-prod-3-2-2-20" in created
    assert "wait db-snapshot-available --db-snapshot-identifier airflow-prod-3-2-2-20" in waited


def test_without_an_own_database_the_owner_makes_the_backup(session, tools):
    tools("aws", "echo DBInstanceNotFound >&2; exit 254")

    with pytest.raises(OperationError, match="BACKUP="):
        backup.make(session("prod"), CLUSTER, "3.2.2")


def test_a_dump_is_loaded_beside_the_present_database(tools, tmp_path):
    tools("kubectl", "cat > /dev/null")
    dump = tmp_path / "a.dump"
    dump.write_text("content")

    backup.load(CLUSTER, dump)

    dropped, created, restored = tools.calls()
    assert "DROP DATABASE IF EXISTS airflow_restored WITH (FORCE)" in dropped
    assert "CREATE DATABASE airflow_restored" in created
    assert "pg_restore --username airflow --dbname=airflow_restored --exit-on-error" in restored


def test_a_dump_that_postgresql_refuses_is_reported(tools, tmp_path):
    tools("kubectl", 'case "$*" in *pg_restore*) echo not an archive >&2; exit 1 ;; esac')
    dump = tmp_path / "a.dump"
    dump.write_text("content")

    with pytest.raises(OperationError, match="pg_restore failed in database-0: not an archive"):
        backup.load(CLUSTER, dump)


@pytest.mark.parametrize(("present", "kept"), [("airflow", True), ("airflow_restored", False)])
def test_a_killed_swap_continues(tools, present, kept):
    tools("kubectl", f'case "$*" in *pg_database*) echo {present} ;; esac')

    backup.swap(CLUSTER, "airflow_until_now")

    calls = tools.calls()
    renamed = "ALTER DATABASE airflow RENAME TO airflow_until_now"
    assert any(renamed in call for call in calls) is kept
    assert "ALTER DATABASE airflow_restored RENAME TO airflow" in calls[-1]


class Volume:
    def __init__(self, dumps):
        self.dumps = lambda: dumps


def test_the_dumps_of_both_places_are_listed_newest_first(session, monkeypatch, capsys):
    opened = session("local")
    monkeypatch.setattr(backup.versions, "open_deployed", lambda name: (opened, CLUSTER, "3.3.2"))
    volume = Volume({"local-3-3-2-20261129-020000.dump": 5 * 2**20})
    monkeypatch.setattr(backup.nightly, "mounted", lambda cluster: nullcontext(volume))
    backup.FOLDER.mkdir()
    for name in (
        "local-3-2-2-20261128-101500.dump",
        "local-3-3-2-20261129-110000.dump",
        "local-two-3-3-2-20261129-110000.dump",
        "local-2-3-3-2-20261129-110000.dump",
        "local-3-3-2-20261129-120000.part",
    ):
        (backup.FOLDER / name).write_bytes(bytes(2**19))

    assert backup.backups("local") == 0

    assert capsys.readouterr().out.splitlines() == [
        "backup                            where           made (UTC)           size",
        "local-3-3-2-20261129-110000.dump  .state/backups  2026-11-29 11:00:00  0.5 MiB",
        "local-3-3-2-20261129-020000.dump  volume          2026-11-29 02:00:00  5.0 MiB",
        "local-3-2-2-20261128-101500.dump  .state/backups  2026-11-28 10:15:00  0.5 MiB",
    ]


def test_the_snapshots_of_rds_are_listed(session, monkeypatch, capsys):
    opened = session("prod")
    monkeypatch.setattr(backup.versions, "open_deployed", lambda name: (opened, CLUSTER, "3.3.2"))
    instance = {"DBInstanceIdentifier": "airflow-prod"}
    complete = {
        "DBSnapshotIdentifier": "rds:airflow-prod-2026-11-29-03-00",
        "SnapshotCreateTime": "2026-11-29T03:00:12.123000+00:00",
        "AllocatedStorage": 20,
    }
    asked = []

    def call(self, *words):
        asked.append(words)
        return {"DBSnapshots": [complete, {"DBSnapshotIdentifier": "s", "Status": "creating"}]}

    monkeypatch.setattr(backup.rds, "describe", lambda session: instance)
    monkeypatch.setattr(Aws, "call", call)

    assert backup.backups("prod") == 0

    assert asked == [("rds", "describe-db-snapshots", "--db-instance-identifier", "airflow-prod")]
    assert capsys.readouterr().out.splitlines()[1:] == [
        "rds:airflow-prod-2026-11-29-03-00  AWS    2026-11-29 03:00:12  20 GiB"
    ]


def test_a_database_of_another_owner_has_no_list(session, monkeypatch):
    opened = session("prod")
    monkeypatch.setattr(backup.versions, "open_deployed", lambda name: (opened, CLUSTER, "3.3.2"))
    monkeypatch.setattr(backup.rds, "describe", lambda session: None)

    with pytest.raises(OperationError, match="its owner has the backups"):
        backup.backups("prod")
