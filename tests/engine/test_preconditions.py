"""The checks before `make up`, against the simulated account and with the AWS CLI."""

import re

import pytest

from ops import preconditions, stack_files
from ops.shell import OperationError
from settings.workers import WorkerSettings
from tests.engine.aws_cli import in_process
from tests.engine.simulator import moto_backups
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.moto_patches import quotas

BUCKET = "my-pulumi-state"
KEY = "awskms://alias/pulumi?region=eu-west-1"


@pytest.fixture(scope="module")
def cloud():
    """An account after `make bootstrap`."""
    with Cloud() as cloud, pytest.MonkeyPatch.context() as patch:
        in_process(patch, cloud)
        where = {"LocationConstraint": "eu-west-1"}
        cloud.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        kms = cloud.client("kms")
        cloud.key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName="alias/pulumi", TargetKeyId=cloud.key)
        cloud.client("iam").create_service_linked_role(AWSServiceName="spot.amazonaws.com")
        _versioning(cloud, "Enabled")
        yield cloud


def _versioning(cloud, status):
    cloud.client("s3").put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": status}
    )


@pytest.fixture
def stack(cloud, tmp_path, monkeypatch):
    """Check a committed stack with a secrets provider; changes of it are for one test."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"s3://{BUCKET}?region=eu-west-1")
    settings = {name: stack_files.read_settings(name) for name in ("dev", "prod")}
    text = {name: stack_files.stack_path(name).read_text() for name in settings}
    monkeypatch.setattr(stack_files, "ROOT", tmp_path)

    def check(name, provider=KEY, **changes):
        file = tmp_path / f"Pulumi.{name}.yaml"
        file.write_text(f"secretsprovider: {provider}\n{text[name]}")
        preconditions.check(name, settings[name].model_copy(update=changes))

    check.settings = settings
    yield check
    quotas.changed.clear()


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_bootstrapped_account_is_ready_without_a_word(stack, capsys, name):
    stack(name)

    assert capsys.readouterr().out == ""


def test_a_missing_state_bucket_is_named(stack, monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://elsewhere/airflow?region=eu-west-1")

    with pytest.raises(OperationError, match=r"elsewhere.*does not exist: run `make bootstrap"):
        stack("dev")


def test_a_state_bucket_without_versions_is_a_warning(stack, cloud, capsys):
    _versioning(cloud, "Suspended")
    try:
        stack("dev")
    finally:
        _versioning(cloud, "Enabled")

    assert "warning: state bucket my-pulumi-state has no versioning" in capsys.readouterr().out


def test_a_missing_key_is_named_with_its_region(stack):
    with pytest.raises(OperationError, match=r"alias/other.*does not exist in eu-west-3"):
        stack("dev", "awskms://alias/other?region=eu-west-3")


def test_a_disabled_key_stops_the_update(stack, cloud):
    kms = cloud.client("kms")
    kms.disable_key(KeyId=cloud.key)
    try:
        with pytest.raises(OperationError, match=r"alias/pulumi.*is Disabled.*enable-key"):
            stack("dev")
    finally:
        kms.enable_key(KeyId=cloud.key)


def test_spot_workers_need_the_role_of_the_account(stack, cloud):
    iam = cloud.client("iam")
    iam.delete_service_linked_role(RoleName="AWSServiceRoleForEC2Spot")
    try:
        stack("prod")
        with pytest.raises(OperationError, match="no spot node of default can start"):
            stack("dev")
    finally:
        iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")


def test_elastic_ips_of_others_count_and_own_do_not(stack, cloud):
    ec2 = cloud.client("ec2")
    tags = {"project": "airflow-platform", "stack": "prod", "managed-by": "pulumi"}
    own = [{"Key": key, "Value": value} for key, value in tags.items()]
    specification = {"ResourceType": "elastic-ip", "Tags": own}
    ids = [ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(2)]
    ids.append(
        ec2.allocate_address(Domain="vpc", TagSpecifications=[specification])["AllocationId"]
    )
    try:
        stack("prod")
        quotas.changed[quotas.ELASTIC_IPS] = 4
        with pytest.raises(
            OperationError, match=r"L-0263D0A3.*is 4, and 2 are in use.*need 3.*--desired-value 5"
        ):
            stack("prod")
    finally:
        for id_ in ids:
            ec2.release_address(AllocationId=id_)


def test_a_new_account_has_too_few_vcpus_for_prod(stack):
    quotas.changed[quotas.ON_DEMAND_VCPUS] = 5

    with pytest.raises(
        OperationError, match=r"L-1216C47A.*is 5; prod needs about 9 .*desired-value 45"
    ):
        stack("prod")


def test_vcpus_for_all_workers_are_a_warning(stack, capsys):
    quotas.changed.update({quotas.ON_DEMAND_VCPUS: 16, quotas.SPOT_VCPUS: 2})

    stack("prod")
    stack("dev")

    on_demand, spot = capsys.readouterr().out.splitlines()
    assert "L-1216C47A" in on_demand
    assert "all workers of prod need about 45" in on_demand
    assert "L-34B43A08" in spot
    assert "the rest gets on-demand nodes" in spot


def test_a_new_account_has_no_vcpus_with_gpus(stack, capsys):
    queues = {"train": WorkerSettings(gpu=1, cpu=3, max=2)}

    stack("prod", queues=queues)

    (line,) = capsys.readouterr().out.splitlines()
    assert "L-DB2E81BA" in line
    assert "a worker of queues.train needs 4" in line
    assert "--desired-value 8" in line


def test_an_instance_class_that_rds_does_not_offer(stack):
    database = stack.settings["prod"].database.model_copy(update={"instance_class": "db.m8g.large"})

    with pytest.raises(OperationError, match=r"RDS does not offer db\.m8g\.large"):
        stack("prod", database=database)


def _replicated(stack):
    return stack.settings["prod"].database.model_copy(update={"replicate_to": "eu-central-1"})


def test_a_second_region_that_rds_supports_needs_nothing(stack, capsys):
    stack("prod", database=_replicated(stack))

    assert capsys.readouterr().out == ""


def test_a_second_region_that_rds_does_not_support_is_named(stack, monkeypatch):
    pairs = {("eu-west-1", "eu-central-1")}
    monkeypatch.setattr(moto_backups, "unsupported", pairs)

    with pytest.raises(
        OperationError, match=r"does not replicate backups from eu-west-1 to eu-central-1: choose"
    ):
        stack("prod", database=_replicated(stack))


@pytest.fixture
def backup(cloud):
    """A backup in the Region of the stack, of a database in another one."""
    there = cloud.in_region("eu-central-1").client("rds")
    there.create_db_instance(
        DBInstanceIdentifier="lost",
        DBInstanceClass="db.m7g.large",
        Engine="postgres",
        EngineVersion="16",
        AllocatedStorage=20,
        MasterUsername="airflow",
        MasterUserPassword="correct-horse",
        BackupRetentionPeriod=7,
    )
    where = {"SourceDBInstanceArn": "arn:aws:rds:eu-central-1:123456789012:db:lost"}
    rds = cloud.client("rds")
    started = rds.start_db_instance_automated_backups_replication(**where)
    yield started["DBInstanceAutomatedBackup"]["DBInstanceAutomatedBackupsArn"]
    rds.stop_db_instance_automated_backups_replication(**where)
    there.delete_db_instance(DBInstanceIdentifier="lost", SkipFinalSnapshot=True)


def _restored(stack, backup, **more):
    update = {"generation": 2, "restore_from": backup, **more}
    return stack.settings["prod"].database.model_copy(update=update)


def test_the_age_of_a_replicated_backup_is_said(stack, backup, capsys):
    stack("prod", database=_restored(stack, backup))

    said = r"note: airflow-prod-g2 will have the content of 20\d\d-.*Z: what began later is lost\n"
    assert re.fullmatch(said, capsys.readouterr().out)


def test_a_missing_replicated_backup_is_named(stack, backup):
    with pytest.raises(OperationError, match=r"eu-west-1 has no backup .*ab-none: `aws rds"):
        stack("prod", database=_restored(stack, f"{backup.rpartition('ab-')[0]}ab-none"))


def test_a_time_outside_of_a_replicated_backup_is_refused(stack, backup):
    with pytest.raises(OperationError, match=r"2026-01-01T10:00:00Z is not between 20.* and 20"):
        stack("prod", database=_restored(stack, backup, restore_time="2026-01-01T10:00:00Z"))


def test_a_restored_database_no_longer_needs_its_backup(stack, cloud, capsys):
    cloud.client("rds").create_db_instance(
        DBInstanceIdentifier="airflow-prod-g2",
        DBInstanceClass="db.m7g.large",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="airflow",
        MasterUserPassword="correct-horse",
    )
    try:
        stack("prod", database=_restored(stack, "arn:aws:rds:eu-west-1:1:auto-backup:ab-expired"))
    finally:
        cloud.client("rds").delete_db_instance(
            DBInstanceIdentifier="airflow-prod-g2", SkipFinalSnapshot=True
        )
    assert capsys.readouterr().out == ""


def test_all_problems_are_reported_at_once(stack, monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://elsewhere")
    quotas.changed.update({quotas.ON_DEMAND_VCPUS: 5, quotas.ELASTIC_IPS: 2})

    with pytest.raises(OperationError) as refused:
        stack("prod")

    first, *lines = str(refused.value).splitlines()
    assert first == "Nothing was changed. The AWS account is not ready:"
    assert len(lines) == 3


def test_a_preview_shows_what_an_update_would_refuse(stack, capsys):
    quotas.changed[quotas.ELASTIC_IPS] = 2
    stack("dev")

    preconditions.show("dev", stack.settings["prod"])

    assert "warning: quota L-0263D0A3" in capsys.readouterr().out


def test_a_stack_without_a_region_needs_no_account(monkeypatch):
    monkeypatch.setattr(preconditions, "CHECKS", {"never": None})

    preconditions.check("local", stack_files.read_settings("local"))
