"""A creation fails. The output has AWS's error, and the next `up` continues."""

import re

import pytest

from tests.harness.waiting import wait_for

# Faults need the simulator's own provider.
pytestmark = [pytest.mark.faults, pytest.mark.slow]

INSTANCE = "aws:rds/instance:Instance"
ROLE = "aws:iam/role:Role"
ADDON = "aws:eks/addon:Addon"


def _fails(stack):
    status, output = stack.make("up")
    assert status != 0
    assert "Traceback" not in output
    return output


def test_up_reports_a_failure_and_the_next_up_continues(dev, account):
    account.fault("create", INSTANCE, error="InsufficientDBInstanceCapacity", message="no capacity")
    output = _fails(dev)
    assert f"create {INSTANCE} 'database-instance'" in output
    assert "InsufficientDBInstanceCapacity: no capacity" in output
    account.clear_faults()

    account.fault("create", ADDON, error="InvalidParameterException", message="no such version")
    account.fault("create", INSTANCE, seconds=1)
    output = _fails(dev)
    assert f"create {ADDON} 'nodes-metrics-server'" in output
    assert "InvalidParameterException: no such version" in output
    assert "network-vpc created" not in output, "an existing resource was created again"
    account.clear_faults()

    # One of the three roles with access to the log bucket.
    name = "logs-airflow-triggerer"
    account.fault("create", ROLE, name=name, error="Throttling", message="Rate exceeded")
    output = _fails(dev)
    assert set(re.findall(rf"create {ROLE} '([\w-]+)'", output)) == {name}, (
        "the other two roles must be created"
    )
    assert "Throttling: Rate exceeded" in output
    account.clear_faults()

    dev.change(airflow={"replicas": {"scheduler": 3}})
    output = _fails(dev)
    assert "airflow-release" in output
    assert "three schedulers are too many here" in output

    dev.change(airflow={"replicas": {"scheduler": 1}})
    assert "Airflow is healthy." in dev.up()


def test_up_continues_after_an_outage_of_aws(dev, account):
    dev.up()
    account.fault("update", INSTANCE, seconds=300)
    dev.change(database={"backup_days": 9})
    process = dev.start("up")
    wait_for("the database to be changed", account.waiting, seconds=120)
    account.go_down()
    process.communicate(timeout=300)
    output = _fails(dev)
    assert "cannot log in to AWS with the credentials of this shell" in output
    assert "503" in output

    account.clear_faults()
    assert "Airflow is healthy." in dev.up()
    (instance,) = account.client("rds").describe_db_instances()["DBInstances"]
    assert instance["BackupRetentionPeriod"] == 9
