"""A create fails half-way. The message says what AWS said, and the next `up` goes on from there."""

import pytest

from tests.cluster.platform import wait_for

INSTANCE = "aws:rds/instance:Instance"
ADDON = "aws:eks/addon:Addon"


def test_each_failure_is_named_and_the_next_up_continues(dev, account):
    account.fault("create", INSTANCE, error="InsufficientDBInstanceCapacity", message="none left")
    status, said = dev.make("up")
    assert status != 0
    assert f"create {INSTANCE} 'database-instance'" in said
    assert "InsufficientDBInstanceCapacity: none left" in said
    assert "Traceback" not in said

    account.heal()
    account.fault("create", ADDON, error="InvalidParameterException", message="no such version")
    status, said = dev.make("up")
    assert status != 0
    assert f"create {ADDON} 'cluster-metrics-server'" in said
    assert "InvalidParameterException: no such version" in said

    account.heal()
    dev.change(airflow={"parallelism": 13}, workers={"max": 1})
    status, said = dev.make("up")
    assert status != 0
    assert "airflow-release" in said
    assert "13 is no number for a test" in said

    dev.change(airflow={"parallelism": 32}, workers={"max": 4})
    said = dev.up()
    assert "Airflow is healthy." in said
    assert "vpc:Vpc network-vpc created" not in said, "what was there stays"


def test_throttling_is_told_as_such(dev, account):
    account.fault(
        "create", "aws:iam/role:Role", error="Throttling", message="Rate exceeded", times=9
    )
    status, said = dev.make("up")

    assert status != 0
    assert "Throttling: Rate exceeded" in said


def test_an_outage_of_aws_stops_the_command_and_the_next_one_goes_on(dev, account):
    account.fault("create", INSTANCE, seconds=300)
    process = dev.start("up")
    wait_for("the database to be asked for", account.waiting)
    account.go_down()
    account.heal_waiting()
    said, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Could not connect to the endpoint URL" in said

    account.heal()
    assert "Airflow is healthy." in dev.up()


@pytest.mark.parametrize("seconds", [3])
def test_a_slow_create_is_waited_for(dev, account, seconds):
    account.fault("create", INSTANCE, seconds=seconds)

    assert "Airflow is healthy." in dev.up()
