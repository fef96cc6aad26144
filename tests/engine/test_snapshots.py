"""Snapshots and restores of RDS: the calls of the provider, and the content of the servers."""

import itertools
from collections import defaultdict
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.postgres import Postgres
from tests.engine.simulator.cloud import SECOND_REGION, Cloud
from tests.engine.simulator.resources.databases import INSTANCE

NUMBERS = itertools.count()
ROLES = "CREATE ROLE airflow;\nALTER ROLE airflow PASSWORD 'hash';\nCREATE ROLE airflow_keda;\n"
INPUTS = {
    "instanceClass": "db.t4g.medium",
    "engine": "postgres",
    "engineVersion": "16",
    "maxAllocatedStorage": 100,
    "backupRetentionPeriod": 9,
    "password": "correct-horse",
    "storageEncrypted": True,
    "tagsAll": {"stack": "dev"},
}
EMPTY = {"allocatedStorage": 20, "username": "airflow", "dbName": "airflow"}


class Servers:
    """The server of each instance, as SQL: kubectl is a fake."""

    def __init__(self):
        self.content = defaultdict(list)
        self.kubectl = Mock()
        self.kubectl.get.return_value = {"spec": {"clusterIP": "10.96.0.1"}}
        self.kubectl.run.side_effect = self._run
        hooks = {
            "on_instance": lambda *given: self.postgres.create(*given),
            "on_instance_changed": lambda name, password: self.content[name].append(password),
            "on_snapshot": lambda *names: self.postgres.snapshot(*names),
            "on_restored": lambda *names: self.postgres.restore(*names),
            "on_copied": lambda *names: self.postgres.copy(*names),
        }
        self.cloud = Cloud(**hooks)
        self.postgres = Postgres(self.cloud, self.kubectl, Authority(), {})
        self.postgres._parameters = lambda identifier: {}

    def _run(self, verb, *words, stdin=None):
        if verb == "wait":
            return ""
        server, (tool, *_) = words[3], words[5:]
        if tool == "pg_dumpall":
            return ROLES
        if tool == "pg_dump":
            return "\n".join(self.content[server])
        self.content[server].append(stdin)
        return ""

    def create(self, in_=None, **inputs):
        name = f"database-{next(NUMBERS)}"
        INSTANCE.create(in_ or self.cloud, {**INPUTS, **inputs, "identifier": name})
        return name


@pytest.fixture(scope="module")
def servers():
    found = Servers()
    yield found
    found.cloud.stop()


@pytest.fixture
def source(servers):
    """An instance with a table of which its snapshot is taken; another table is newer."""
    name = servers.create(**EMPTY)
    servers.content[name].append("table")
    servers.cloud.client("rds").create_db_snapshot(
        DBSnapshotIdentifier=f"of-{name}", DBInstanceIdentifier=name
    )
    servers.content[name].append("newer table")
    return name


def test_a_restore_has_the_content_of_the_snapshot(servers, source):
    (loaded, password) = servers.content[servers.create(snapshotIdentifier=f"of-{source}")]

    assert loaded.endswith("\ntable")
    assert "newer" not in loaded
    assert "CREATE ROLE airflow;" not in loaded, "the new server has it"
    assert "ALTER ROLE airflow PASSWORD 'hash'" in loaded, "RDS restores the former password"
    assert "CREATE ROLE airflow_keda;" in loaded
    assert password == "correct-horse", "the provider sets it after the restore"


def test_an_arn_names_a_snapshot_too(servers, source):
    rds = servers.cloud.client("rds")
    (found,) = rds.describe_db_snapshots(DBSnapshotIdentifier=f"of-{source}")["DBSnapshots"]

    restored = servers.create(snapshotIdentifier=found["DBSnapshotArn"])
    assert "table" in servers.content[restored][0]


def test_a_point_in_time_is_what_the_source_has_now(servers, source):
    point = {"sourceDbInstanceIdentifier": source, "restoreTime": f"{datetime.now(UTC):%FT%T.%fZ}"}

    (loaded, _) = servers.content[servers.create(restoreToPointInTime=point)]
    assert loaded.endswith("\ntable\nnewer table")


@pytest.fixture
def replicated(servers, source):
    """The ARN of the replicated backup of `source`, and the clients of its Region."""
    second = servers.cloud.in_region(SECOND_REGION)
    key = second.client("kms").create_key()["KeyMetadata"]["Arn"]
    started = second.client("rds").start_db_instance_automated_backups_replication(
        SourceDBInstanceArn=f"arn:aws:rds:eu-west-1:123456789012:db:{source}", KmsKeyId=key
    )
    return started["DBInstanceAutomatedBackup"]["DBInstanceAutomatedBackupsArn"], second


def test_a_replicated_backup_is_what_the_source_has_now(servers, replicated):
    backup, second = replicated
    point = {"sourceDbInstanceAutomatedBackupsArn": backup, "useLatestRestorableTime": True}

    name = servers.create(in_=second, restoreToPointInTime=point)

    (loaded, password) = servers.content[name]
    assert loaded.endswith("\ntable\nnewer table")
    assert password == "correct-horse"
    (found,) = second.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    assert (found["DBName"], found["StorageEncrypted"]) == ("airflow", True)
    assert found["DBInstanceArn"].startswith(f"arn:aws:rds:{SECOND_REGION}:")
    assert found["AvailabilityZone"].startswith(SECOND_REGION)


def test_a_stopped_replication_keeps_its_content(servers, source, replicated):
    backup, second = replicated
    second.client("rds").stop_db_instance_automated_backups_replication(
        SourceDBInstanceArn=f"arn:aws:rds:eu-west-1:123456789012:db:{source}"
    )
    servers.content[source].append("too late")
    servers.cloud.client("rds").delete_db_instance(
        DBInstanceIdentifier=source, SkipFinalSnapshot=True
    )
    point = {"sourceDbInstanceAutomatedBackupsArn": backup, "useLatestRestorableTime": True}

    (loaded, _) = servers.content[servers.create(in_=second, restoreToPointInTime=point)]
    assert loaded.endswith("\ntable\nnewer table")


def test_a_lost_region_ends_its_servers(servers, source, replicated):
    backup, _ = replicated
    servers.postgres.lose_region()
    servers.cloud.lose_region()
    try:
        point = {"sourceDbInstanceAutomatedBackupsArn": backup, "useLatestRestorableTime": True}
        name = servers.create(restoreToPointInTime=point)

        deleted = {call.args[1] for call in servers.kubectl.delete.call_args_list}
        assert source in deleted
        assert servers.content[name][0].endswith("\ntable\nnewer table")
    finally:
        servers.cloud.reset()


def test_a_restored_instance_has_its_own_settings(servers, source):
    name = servers.create(snapshotIdentifier=f"of-{source}")

    rds = servers.cloud.client("rds")
    (found,) = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    kept = ("AllocatedStorage", "DBName", "MasterUsername", "StorageEncrypted")
    assert [found[key] for key in kept] == [20, "airflow", "airflow", True]
    assert (found["BackupRetentionPeriod"], found["MaxAllocatedStorage"]) == (9, 100)
    assert found["TagList"] == [{"Key": "stack", "Value": "dev"}]


def test_a_final_snapshot_is_taken_before_the_server_ends(servers, source):
    servers.cloud.client("rds").delete_db_instance(
        DBInstanceIdentifier=source, FinalDBSnapshotIdentifier=f"final-{source}"
    )

    (loaded, _) = servers.content[servers.create(snapshotIdentifier=f"final-{source}")]
    assert loaded.endswith("newer table")


def test_a_missing_snapshot_is_refused(servers):
    with pytest.raises(ClientError, match="DBSnapshotNotFound"):
        servers.create(snapshotIdentifier="missing")


def test_a_smaller_storage_than_of_the_snapshot_is_refused(servers, source):
    rds = servers.cloud.client("rds")
    with pytest.raises(ClientError, match="can't be less than the source"):
        rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier="smaller",
            DBSnapshotIdentifier=f"of-{source}",
            AllocatedStorage=10,
        )


def test_another_source_replaces_the_instance():
    assert {"snapshotIdentifier", "restoreToPointInTime"} <= INSTANCE.replaces
