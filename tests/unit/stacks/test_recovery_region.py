"""The stack `prod` with a second Region."""

import pytest

from ops.plan import policy_report
from ops.plan.mock_engine import Secret
from ops.plan.report import SHOWN_INPUTS
from ops.recovery.aws import FINDERS
from tests.unit.ops.recovery.test_aws import REPEATABLE
from tests.unit.settings.stacks import EXISTING_NETWORK
from tests.unit.stacks.committed import find

BACKUPS = "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication"
BUCKET = "aws:s3/bucket:Bucket"
SECOND = "eu-central-1"


@pytest.fixture
def recoverable(program):
    return program("prod", database={"replicate_to": SECOND}, logs={"replicate_to": SECOND})


def added(found, snapshot):
    return [r for urn, r in found.resources.items() if urn not in snapshot("prod").resources]


def test_a_stack_without_a_second_region_has_none(snapshot, recoverable):
    components = [r.name for r in added(recoverable, snapshot) if r.type.startswith("airflow:")]

    assert sorted(components) == ["logs-replica", "recovery-region"]


def test_the_present_generation_is_replicated(program):
    second = {"generation": 2, "restore_from": "one-snapshot", "kept_generation": 1}
    found = program("prod", database={"replicate_to": SECOND, **second})

    backups = find(found, "InstanceAutomatedBackupsReplication recovery-region-backups").inputs
    assert backups["sourceDbInstanceArn"] == "arn:aws:rds:eu-west-1:111122223333:db:airflow-prod-g2"
    assert backups["retentionPeriod"] == 14, "backup_days of prod"


@pytest.mark.parametrize("rotation", [1, 4])
def test_the_second_region_has_the_keys_that_airflow_uses(program, rotation):
    found = program("prod", database={"replicate_to": SECOND}, rotation={"fernet": rotation})

    version = find(found, "SecretVersion recovery-region-fernet").inputs["secretString"]
    used = find(found, "Secret airflow-secrets-fernet").inputs["stringData"]["fernet-key"]
    assert version == used
    assert isinstance(version, Secret)


def test_the_second_region_breaks_no_rule_of_production(recoverable, stack):
    _, settings = stack("prod")

    report = policy_report.evaluate("prod", recoverable, settings.policies)
    assert report.broken == []


def test_a_lost_record_of_the_second_region_is_found(recoverable, snapshot):
    types = {r.type for r in added(recoverable, snapshot) if r.type.startswith("aws:")}

    assert len(types) > 10
    assert types <= FINDERS.keys() | REPEATABLE
    in_second = {r.type for r in recoverable.resources.values() if "region" in r.inputs}
    assert {BACKUPS, BUCKET, "aws:kms/key:Key"} <= in_second & SHOWN_INPUTS.keys()


def test_a_database_on_an_existing_cluster_has_a_second_region(program):
    given = {
        "network": EXISTING_NETWORK,
        "database": {"kind": "rds", "replicate_to": SECOND, "client_cidrs": ["10.0.0.0/16"]},
    }
    found = program("local", keys={"aws:region": "eu-west-1"}, only=given)

    assert find(found, "Key recovery-region-key").inputs["region"] == SECOND
