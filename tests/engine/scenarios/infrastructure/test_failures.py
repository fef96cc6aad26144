"""A create fails half-way. The message says what AWS said, and the next `up` goes on from there."""

import re

import pytest

from tests.harness.cluster import wait_for

# Only the simulator's own provider fails, or is slow, on request.
pytestmark = [pytest.mark.faults, pytest.mark.slow]

INSTANCE = "aws:rds/instance:Instance"
ROLE = "aws:iam/role:Role"
ADDON = "aws:eks/addon:Addon"


def _fails(stack):
    status, said = stack.make("up")
    assert status != 0
    assert "Traceback" not in said
    return said


def test_each_failure_is_named_and_the_next_up_continues(dev, account):
    # The Nth create: of three roles of the log bucket's users, the second.
    account.fault("create", ROLE, skip=1, error="Throttling", message="Rate exceeded")
    said = _fails(dev)
    assert len(set(re.findall(rf"create {ROLE} '([\w-]+)'", said))) == 1, "the other two were made"
    assert "Throttling: Rate exceeded" in said
    account.heal()

    account.fault("create", INSTANCE, error="InsufficientDBInstanceCapacity", message="none left")
    said = _fails(dev)
    assert f"create {INSTANCE} 'database-instance'" in said
    assert "InsufficientDBInstanceCapacity: none left" in said
    assert "network-vpc created" not in said, "what was there stays"
    account.heal()

    account.fault("create", ADDON, error="InvalidParameterException", message="no such version")
    account.fault("create", INSTANCE, seconds=1)
    said = _fails(dev)
    assert f"create {ADDON} 'cluster-metrics-server'" in said
    assert "InvalidParameterException: no such version" in said
    account.heal()

    dev.change(airflow={"replicas": {"scheduler": 3}})
    said = _fails(dev)
    assert "airflow-release" in said
    assert "three schedulers are too many here" in said

    dev.change(airflow={"replicas": {"scheduler": 1}})
    assert "Airflow is healthy." in dev.up()


def test_an_outage_of_aws_stops_a_command_and_the_next_one_goes_on(dev, account):
    dev.up()
    account.fault("update", INSTANCE, seconds=300)
    dev.change(database={"backup_days": 9})
    process = dev.start("up")
    wait_for("the database to be changed", account.waiting, seconds=120)
    account.go_down()
    process.communicate(timeout=300)
    said = _fails(dev)
    assert "AWS does not answer with the credentials of this shell" in said
    assert "503" in said

    account.heal()
    assert "Airflow is healthy." in dev.up()
    (instance,) = account.client("rds").describe_db_instances()["DBInstances"]
    assert instance["BackupRetentionPeriod"] == 9
