"""What a stack has in a second Region, and the account after the loss of the first one."""

import pytest
from botocore.exceptions import ClientError

from ops.recovery.aws import Aws
from tests.engine.aws_cli import in_process
from tests.engine.simulator.cloud import SECOND_REGION, Cloud
from tests.engine.simulator.resources import RESOURCES

HOME = "eu-west-1"
KEY = "aws:kms/key:Key"
INSTANCE = "aws:rds/instance:Instance"
BACKUPS = "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication"
SECRET = "aws:secretsmanager/secret:Secret"
REPLICATION = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
TAGS = {"stack": "dev"}
DATABASE = {
    "identifier": "airflow-dev",
    "instanceClass": "db.t4g.medium",
    "engine": "postgres",
    "engineVersion": "16",
    "allocatedStorage": 20,
    "username": "airflow",
    "dbName": "airflow",
    "password": "correct-horse",
    "storageEncrypted": True,
    "backupRetentionPeriod": 9,
    "tagsAll": TAGS,
}


class Account:
    """Resources by type, each with its inputs, in the Region of these."""

    def __init__(self):
        self.cloud = Cloud()
        self.second = self.cloud.in_region(SECOND_REGION)

    def create(self, kind, **inputs):
        where = self.cloud.in_region(inputs.get("region"))
        id_, outputs = RESOURCES[kind].create(where, inputs)
        return id_, {**inputs, **outputs}

    def read(self, kind, id_, state):
        return RESOURCES[kind].current(self.cloud.in_region(state.get("region")), id_, state)

    def delete(self, kind, id_, state):
        RESOURCES[kind].remove(self.cloud.in_region(state.get("region")), id_, state)

    def replicated(self):
        """A database with backups in the second Region: ID and state of the replication."""
        _, database = self.create(INSTANCE, **DATABASE)
        _, key = self.create(KEY, region=SECOND_REGION, tagsAll={**TAGS, "Name": "k"})
        inputs = {"kmsKeyId": key["arn"], "retentionPeriod": 9, "region": SECOND_REGION}
        return self.create(BACKUPS, sourceDbInstanceArn=database["arn"], **inputs)

    def secret(self, **inputs):
        replicas = [{"region": SECOND_REGION}]
        id_, state = self.create(SECRET, name="fernet", replicas=replicas, tagsAll=TAGS, **inputs)
        self.create(VERSION, secretId=id_, secretString="one,two")
        return id_, state


@pytest.fixture(scope="module")
def opened():
    found = Account()
    yield found
    found.cloud.stop()


@pytest.fixture
def account(opened):
    yield opened
    opened.cloud.reset()


def test_a_resource_is_in_the_region_of_its_input(account):
    _, key = account.create(KEY, region=SECOND_REGION, enableKeyRotation=True)

    assert key["arn"].startswith(f"arn:aws:kms:{SECOND_REGION}:")
    assert account.cloud.client("kms").list_keys()["Keys"] == []
    assert len(account.second.client("kms").list_keys()["Keys"]) == 1


def test_replicated_backups_have_no_drift(account):
    id_, state = account.replicated()

    assert id_.startswith(f"arn:aws:rds:{SECOND_REGION}:123456789012:auto-backup:ab-")
    seen = account.read(BACKUPS, id_, state)
    assert seen == {key: state[key] for key in seen}
    assert any("replicated backup of" in line for line in account.cloud.inventory())


def test_a_stopped_replication_leaves_its_backups(account):
    id_, state = account.replicated()
    account.delete(BACKUPS, id_, state)

    assert account.read(BACKUPS, id_, state) is None
    rds = account.second.client("rds")
    (kept,) = rds.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
    assert (kept["Status"], kept["BackupRetentionPeriod"]) == ("retained", 9)
    assert not any("replicated backup of" in line for line in account.cloud.inventory())


def test_the_second_region_reads_the_secret(account):
    id_, state = account.secret()

    there = account.second.client("secretsmanager")
    assert there.get_secret_value(SecretId="fernet")["SecretString"] == "one,two"
    account.create(VERSION, secretId=id_, secretString="two,three")
    assert there.get_secret_value(SecretId="fernet")["SecretString"] == "two,three"
    seen = account.read(SECRET, id_, state)
    assert (seen["name"], seen["tagsAll"]) == ("fernet", TAGS)
    assert "replicas" not in seen or seen["replicas"] == state["replicas"]


def test_a_deleted_secret_keeps_its_name(account):
    id_, state = account.secret()
    account.delete(SECRET, id_, state)

    assert account.read(SECRET, id_, state) is None
    assert not any("secret" in line for line in account.cloud.inventory())
    with pytest.raises(ClientError, match="CreateSecret"):
        account.secret()


def _bucket(account, name, **where):
    account.create("aws:s3/bucket:Bucket", bucket=name, **where)
    enabled = {"bucket": name, "versioningConfiguration": {"status": "Enabled"}}
    return account.create("aws:s3/bucketVersioning:BucketVersioning", **enabled, **where)


def test_a_log_bucket_and_its_replica_have_no_drift(account):
    id_, versions = _bucket(account, "logs")
    _bucket(account, "replica", region=SECOND_REGION)
    where = account.second.client("s3").get_bucket_location(Bucket="replica")
    assert where["LocationConstraint"] == SECOND_REGION
    trust = '{"Version": "2012-10-17", "Statement": []}'
    role = account.cloud.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)
    rule = {
        "id": "replica",
        "status": "Enabled",
        "deleteMarkerReplication": {"status": "Disabled"},
        "destination": {"bucket": "arn:aws:s3:::replica"},
    }
    inputs = {"bucket": "logs", "role": role["Role"]["Arn"], "rules": [rule]}
    replication, state = account.create(REPLICATION, **inputs)

    assert account.read(REPLICATION, replication, state).items() <= inputs.items()
    kind = "aws:s3/bucketVersioning:BucketVersioning"
    assert account.read(kind, id_, versions).items() <= versions.items()
    account.delete(REPLICATION, replication, state)
    assert account.read(REPLICATION, replication, state) is None
    account.delete(kind, id_, versions)
    assert account.cloud.client("s3").get_bucket_versioning(Bucket="logs")["Status"] == "Suspended"


@pytest.mark.parametrize("kind", [KEY, BACKUPS, SECRET])
def test_an_unrecorded_resource_is_found(account, kind, monkeypatch):
    in_process(monkeypatch, account.cloud)
    backups, replication = account.replicated()
    secret, of_secret = account.secret()
    inputs = {
        KEY: {"region": SECOND_REGION, "tags": {"Name": "k"}},
        BACKUPS: replication,
        SECRET: of_secret,
    }

    found = Aws(region=HOME, tags=TAGS).identify({"type": kind, "inputs": inputs[kind]})

    key = replication["kmsKeyId"].rpartition("/")[2]
    assert found == {KEY: key, BACKUPS: backups, SECRET: secret}[kind]


def test_a_lost_region_answers_no_request(account):
    account.replicated()
    account.secret()
    former = account.cloud.client("rds")
    account.cloud.lose_region()

    with pytest.raises(ClientError, match="503"):
        former.describe_db_instances()
    with pytest.raises(ClientError, match="503"):
        account.cloud.in_region(HOME).client("s3").list_buckets()
    assert account.cloud.region == SECOND_REGION
    value = account.cloud.client("secretsmanager").get_secret_value(SecretId="fernet")
    assert value["SecretString"] == "one,two"


def test_a_reset_account_is_empty_with_all_its_regions(account):
    account.replicated()
    account.cloud.lose_region()
    account.cloud.reset()

    assert account.cloud.region == HOME
    assert account.cloud.inventory() == []
