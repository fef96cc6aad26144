import pulumi
import pytest

from components.aws.recovery_region import RecoveryRegion, RecoveryRegionArgs
from ops.plan.mock_engine import Secret

KEY = "aws:kms/key:Key"
BACKUPS = "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication"
SECRET = "aws:secretsmanager/secret:Secret"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
DATABASE = "arn:aws:rds:eu-west-1:111122223333:db:airflow-test"


@pytest.fixture
def recovery(deploy):
    """Deploy the component. Its keys may be in plain text, as in `pulumi config set` without a flag."""

    def run(*, protect=True):
        args = {
            "region": "eu-central-1",
            "database_arn": DATABASE,
            "database_name": "airflow-test",
            "backup_days": 14,
            "protect": protect,
        }

        def program():
            keys = pulumi.Output.from_input("present,next")
            RecoveryRegion("second", RecoveryRegionArgs(**args, fernet_keys=keys))

        return deploy(program)

    return run


def test_the_backups_are_replicated_to_the_second_region(recovery):
    backups = recovery().one(BACKUPS)

    assert backups.inputs == {
        "region": "eu-central-1",
        "sourceDbInstanceArn": DATABASE,
        "retentionPeriod": 14,
        "kmsKeyId": "arn:aws:kms:eu-central-1:111122223333:key/second-key",
    }, "an encrypted database needs a key of the second Region"


def test_a_new_replication_waits_for_the_end_of_the_old(recovery):
    assert recovery().one(BACKUPS).delete_before_replace is True, (
        "AWS refuses a second replication of an instance"
    )


def test_the_first_copy_of_a_large_database_has_time(recovery, wire):
    recovery()

    assert wire["second-backups"].customTimeouts.create == "12h", "the provider waits 75 minutes"


@pytest.mark.parametrize("protect", [True, False])
def test_the_key_is_protected_with_the_database(recovery, protect):
    key = recovery(protect=protect).one(KEY)

    assert key.protect is protect
    assert key.inputs["region"] == "eu-central-1"
    assert key.inputs["enableKeyRotation"] is True
    assert key.inputs["tags"] == {"Name": "second-key"}, "`make up` finds an unrecorded key by it"


def test_the_key_outlives_the_stack(recovery, wire):
    recovery()

    assert wire["second-key"].retainOnDelete is True, (
        "without it, retained backups and a database restored from them cannot be decrypted"
    )


def test_the_second_region_has_a_copy_of_the_fernet_keys(recovery):
    snapshot = recovery()

    secret = snapshot.one(SECRET)
    assert secret.inputs["replicas"] == [{"region": "eu-central-1"}]
    version = snapshot.one(VERSION)
    assert version.inputs["secretId"] == "second-fernet-id"
    assert version.inputs["secretString"] == Secret("present,next"), "encrypted in the state"


def test_each_fernet_secret_has_a_unique_name(recovery):
    snapshot = recovery()

    assert snapshot.one(SECRET).inputs["name"] == "airflow-test-fernet-0a1b2c3d", (
        "AWS keeps the name of a deleted secret for 30 days: `make up` after `make down` would fail"
    )
    assert snapshot.one("random:index/randomId:RandomId").inputs["byteLength"] == 4
