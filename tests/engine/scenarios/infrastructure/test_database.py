"""The database of the stack dev: its name, its logs, and changes that wait for the window."""

import pytest

pytestmark = pytest.mark.slow
NAME = "airflow-dev"
WAITS = f"Changes of the database {NAME} wait:"
# 50 workers with 8 slots: more connections than db.t4g.medium accepts.
MANY = 50


@pytest.fixture(scope="module")
def deployed(dev):
    dev.up()
    return dev


@pytest.fixture(scope="module")
def waiting(deployed):
    """The output of an update whose new class waits."""
    deployed.change(database={"apply_immediately": False, "instance_class": "db.t4g.large"})
    return deployed.up()


def _apply_now(account):
    account.client("rds").modify_db_instance(DBInstanceIdentifier=NAME, ApplyImmediately=True)


def test_each_log_of_the_database_expires(deployed, account):
    prefix = f"/aws/rds/instance/{NAME}/"
    groups = account.client("logs").describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]

    assert {
        group["logGroupName"].removeprefix(prefix): group["retentionInDays"] for group in groups
    } == {
        "postgresql": 30,
        "upgrade": 30,
    }


def test_a_new_name_of_the_database_is_refused(deployed):
    deployed.change(database={"identifier": "another"})
    status, output = deployed.make("up")
    deployed.change(database={"identifier": NAME})

    assert status != 0
    assert f"is named {NAME}; `make up` would rename it to another" in output
    assert f"add `identifier: {NAME}` to the section `database`" in output


def test_up_reports_a_class_that_waits(waiting, account):
    assert WAITS in waiting
    assert "DBInstanceClass     db.t4g.large, now db.t4g.medium" in waiting
    assert "in the maintenance window wed:06:38-wed:07:08 UTC, next on 20" in waiting
    (found,) = account.client("rds").describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"]
    assert found["DBInstanceClass"] == "db.t4g.medium"


def test_workers_beyond_the_present_class_are_refused(waiting, deployed):
    workers = deployed.settings()["workers"]
    deployed.change(workers={"max": MANY})
    status, output = deployed.make("up")
    deployed.change(workers=workers)

    assert status != 0
    assert (
        "settings.database.instance_class: db.t4g.large waits for the maintenance window" in output
    )
    assert "Nothing was changed" in output


def test_up_reports_nothing_after_the_window(waiting, deployed, account):
    _apply_now(account)
    deployed.change(workers={"max": MANY})

    assert WAITS not in deployed.up()


def test_an_immediate_change_does_not_wait(waiting, deployed, account):
    changes = {"apply_immediately": True, "instance_class": "db.t4g.medium"}
    deployed.change(database=changes, workers={"max": 4})

    assert WAITS not in deployed.up()
    (found,) = account.client("rds").describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"]
    assert found["DBInstanceClass"] == "db.t4g.medium"
    assert found["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"
