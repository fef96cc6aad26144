"""Airflow goes to the default version, and back to the one before with the database of a snapshot.

A package of its own: its stack dev and the one of `scenarios/airflow` cannot exist together.
"""

import json
import re

import pytest

from settings.versions import AIRFLOW
from tests.engine.account import GIT_IN_CLUSTER
from tests.engine.scenarios.infrastructure.conftest import kill
from tests.harness import dags
from tests.harness.airflow_api import Api
from tests.harness.clone import clone_of_git_server
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow

FORMER = "3.2.2"
INSTANCE = "aws:rds/instance:Instance"
DAG = dags.source("rollback")


def instances(account):
    found = account.client("rds").describe_db_instances()["DBInstances"]
    return sorted(each["DBInstanceIdentifier"] for each in found)


def done(stack, target, *variables):
    status, output = stack.make(target, *variables)
    assert status == 0, output
    return output


def version(cluster):
    with Api.open(cluster) as api:
        return api.get("version")["version"]


def finished_run(cluster):
    with Api.open(cluster) as api:
        run = api.start("rollback")
        assert api.ended("rollback", run)["state"] == "success"
        return run


def has(cluster, run):
    with Api.open(cluster) as api:
        return api.found(f"dags/rollback/dagRuns/{run}") is not None


@pytest.fixture(scope="module")
def dev(deploy, charts, account):
    """The stack dev with the former version of Airflow."""
    stack = deploy("dev", charts, airflow={"version": FORMER}, **GIT_IN_CLUSTER)
    try:
        stack.up()
        yield stack
    finally:
        account.clear_faults()
        status, output = stack.make("down")
    assert status == 0, output
    rds = account.client("rds")
    for snapshot in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]:
        rds.delete_db_snapshot(DBSnapshotIdentifier=snapshot["DBSnapshotIdentifier"])
    assert account.inventory() == [], "`make down` left resources in the account"


@pytest.fixture(scope="module")
def before(dev, cluster):
    """A run of before the upgrade."""
    with clone_of_git_server(cluster) as clone:
        clone.push({"dags/rollback.py": DAG})
    with Api.open(cluster) as api:
        wait_for("the pushed DAG", lambda: api.found("dags/rollback"))
    assert version(cluster) == FORMER
    return finished_run(cluster)


@pytest.fixture(scope="module")
def later(before, dev, account, cluster):
    """A run of after the upgrade."""
    output = done(dev, "upgrade", f"VERSION={AIRFLOW}", "REHEARSAL=yes")
    assert re.search(r"^Migration: \d+ s\. Database: \d+ MB before", output, re.MULTILINE)
    assert instances(account) == ["airflow-dev"], "the copy of the rehearsal is deleted"
    assert f"Airflow {AIRFLOW} runs. Backup of {FORMER}: arn:aws:rds:" in output
    assert version(cluster) == AIRFLOW
    return finished_run(cluster)


@pytest.fixture(scope="module")
def back(later, dev, account):
    """The output of a rollback whose first command was killed while AWS restored."""
    account.fault("create", INSTANCE, seconds=300, late=True)
    kill(dev, account, account.waiting, "rollback", "YES=1")
    return done(dev, "rollback", "YES=1")


def test_a_killed_rollback_continues_with_its_database(back, account):
    assert "has begun: continuing" in back
    assert f"Airflow {FORMER} runs with its database of before the upgrade" in back
    assert instances(account) == ["airflow-dev", "airflow-dev-g2"], "no third generation"


def test_the_database_is_that_of_before_the_upgrade(back, before, later, cluster):
    assert version(cluster) == FORMER
    assert has(cluster, before)
    assert not has(cluster, later)
    assert finished_run(cluster), "connections, the Fernet key and KEDA's role work"


def test_the_stack_file_is_that_of_the_rollback(back, dev):
    settings = dev.settings()

    assert settings["airflow"]["version"] == FORMER
    database = settings["database"]
    assert (database["generation"], database["kept_generation"]) == (2, 1)
    assert database["restore_from"].startswith(f"airflow-dev-{FORMER.replace('.', '-')}-")
    assert "unchanged" in dev.up()


def test_a_second_rollback_is_refused(back, dev, account):
    journal = {"before": FORMER, "after": AIRFLOW, "finished": True}
    snapshot = dev.settings()["database"]["restore_from"]
    file = dev.checkout.folder / ".state" / "upgrade-dev.json"
    assert not file.exists(), "the upgrade is undone"
    file.write_text(json.dumps({**journal, "backup": snapshot}))

    status, output = dev.make("rollback", "YES=1")
    file.unlink()

    assert status != 0
    assert "`make forget-database STACK=dev`" in output
    assert len(instances(account)) == 2


def test_the_former_database_is_deleted_on_request(back, dev, account, cluster, before):
    output = done(dev, "forget-database", "YES=1")

    assert "airflow-dev will be deleted" in output
    assert instances(account) == ["airflow-dev-g2"]
    assert "kept_generation" not in dev.settings()["database"]
    assert has(cluster, before)
    assert "unchanged" in dev.up()


def test_a_restored_snapshot_brings_its_runs_back(back, dev, cluster, account, before):
    """After the deletion of the former database, so that there is room for another generation."""
    if len(instances(account)) == 2:
        done(dev, "forget-database", "YES=1")
    snapshot = done(dev, "backup").split()[-1]
    run = finished_run(cluster)

    output = done(dev, "restore", f"SNAPSHOT={snapshot}", "YES=1")
    assert "(DAG runs: 1, task instances: 1)" in output
    assert "Airflow uses airflow-dev-g3" in output
    done(dev, "resume")

    assert has(cluster, before)
    assert not has(cluster, run)
    done(dev, "forget-database", "YES=1")
    assert instances(account) == ["airflow-dev-g3"]
