"""Backups of the metadata database, with a fake kubectl and a fake AWS CLI."""

import json
import os

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
