"""Airflow goes to the default version with a run in progress, and back to the one before."""

import json
import re
from pathlib import Path

import pytest

from settings.versions import AIRFLOW
from tests.harness import dags
from tests.harness.airflow_api import Api
from tests.harness.git_host import GitHost
from tests.harness.processes import kill_session

pytestmark = pytest.mark.slow

FORMER = "3.2.2"
REPOSITORY = "public/upgrade.git"
SLEEPER = dags.source("sleeper", work=dags.SLEEP, default_args='{"retries": 0}')


@pytest.fixture(scope="module")
def git_host(cluster):
    with GitHost.install(cluster) as host:
        yield host


@pytest.fixture(scope="module")
def installed(checkout, up_and_down, git_host):
    """The stack local with the former version of Airflow."""
    git_host.create(REPOSITORY)
    git_host.commit(REPOSITORY, {"dags/sleeper.py": SLEEPER})
    repo = git_host.settings(REPOSITORY, checkout.folder)
    checkout.change("local", airflow={"version": FORMER}, dags=repo)
    with up_and_down(checkout) as output:
        yield output


@pytest.fixture(scope="module")
def before(installed, cluster):
    """A run of before the upgrade, whose task runs while the upgrade begins."""
    with Api.open(cluster) as api:
        assert api.get("version")["version"] == FORMER
        # Longer than the wait for the Lease of a killed command, the rehearsal and
        # `workers.grace_seconds`, after which a drained worker gives its task away.
        return api.start_task("sleeper", seconds=240)


def version(cluster):
    with Api.open(cluster) as api:
        return api.get("version")["version"]


def killed_at(checkout, *texts):
    """Upgrade with a rehearsal, and kill the command after lines with these texts, in this order."""
    command = ("upgrade", "local", f"VERSION={AIRFLOW}", "REHEARSAL=yes")
    with checkout.start(*command) as upgrade:
        lines: list[str] = []
        for text in texts:
            for line in upgrade.stdout:
                lines.append(line)
                if re.search(text, line):
                    break
            else:
                pytest.fail(f"the upgrade ended before {text!r}:\n{''.join(lines)}")
        kill_session(upgrade)


def test_a_killed_rehearsal_changes_nothing(installed, checkout, cluster):
    killed_at(checkout, "== rehearsal: dump")
    killed_at(checkout, "== rehearsal: migrate")

    with Api.open(cluster) as api:
        assert api.get("version")["version"] == FORMER
        run = api.start("sleeper", seconds=0)
        assert api.ended("sleeper", run)["state"] == "success", "Airflow is not paused"


def test_up_migrates_no_database_without_a_backup(before, checkout, cluster):
    text = checkout.file("local").read_text()
    checkout.change("local", airflow={"version": AIRFLOW})
    status, output = checkout.make("up")
    checkout.file("local").write_text(text)

    assert status != 0
    assert "`make upgrade STACK=local`" in output
    assert version(cluster) == FORMER


def test_an_upgrade_killed_at_each_step_continues(before, checkout, cluster):
    killed_at(checkout, r"^Migration: \d+ s\. Database: ", "running tasks: 1 in default")
    databases = cluster.exec("database-0", "database", "psql", "--username=airflow", "--list")
    assert "airflow_drill" not in databases, "the copy of the rehearsal is deleted"
    for step in ("backup", "update", "gate", "resume"):
        killed_at(checkout, f"^== {step}")

    output = checkout.done("upgrade", f"VERSION={AIRFLOW}")

    assert f"Airflow {AIRFLOW} runs. Backup of {FORMER}: " in output
    assert version(cluster) == AIRFLOW
    with Api.open(cluster) as api:
        assert api.succeeded_at_first_try("sleeper", before)
        assert api.ended("sleeper", api.start("sleeper", seconds=0))["state"] == "success"
    assert "nothing to upgrade" in checkout.done("upgrade")


def test_the_backup_is_readable_by_its_owner_only(checkout):
    journal = json.loads((checkout.folder / ".state" / "upgrade-local.json").read_text())
    dump = Path(journal["backup"])

    assert dump.parent == checkout.folder / ".state" / "backups"
    assert dump.stat().st_mode & 0o777 == 0o600


def test_a_rollback_restores_database_and_version(before, checkout, cluster):
    with Api.open(cluster) as api:
        later = api.start("sleeper", seconds=0)
        api.ended("sleeper", later)

    output = checkout.done("rollback", "YES=1")

    assert "(DAG runs: 2, task instances: 2)" in output
    assert f"Airflow {FORMER} runs with its database of before the upgrade" in output
    assert version(cluster) == FORMER
    with Api.open(cluster) as api:
        assert api.ended("sleeper", before)["state"] == "success"
        assert api.found(f"dags/sleeper/dagRuns/{later}") is None
        assert api.ended("sleeper", api.start("sleeper", seconds=0))["state"] == "success"
    assert "unchanged" in checkout.up()


def test_a_restore_brings_the_database_of_a_backup_back(before, checkout, cluster):
    dump = checkout.done("backup").split()[-1]
    with Api.open(cluster) as api:
        later = api.start("sleeper", seconds=0)
        api.ended("sleeper", later)

    output = checkout.done("drill")
    assert "is usable:" in output
    assert "dag 1, dag_run 3, task_instance 3, connection 0, variable 0" in output

    output = checkout.done("restore", f"BACKUP={dump}", "YES=1")
    assert "(DAG runs: 1, task instances: 1)" in output
    checkout.done("resume")

    with Api.open(cluster) as api:
        assert api.ended("sleeper", before)["state"] == "success"
        assert api.found(f"dags/sleeper/dagRuns/{later}") is None
        assert api.ended("sleeper", api.start("sleeper", seconds=0))["state"] == "success"
    assert "unchanged" in checkout.up()
