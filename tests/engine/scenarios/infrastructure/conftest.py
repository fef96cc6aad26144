"""Stacks with minimal charts: these scenarios test AWS resources and the order of steps."""

from dataclasses import replace

import pytest

from tests.engine.simulator.backends.endpoint import Machine
from tests.harness.git_host import GitHost
from tests.harness.processes import kill_session
from tests.harness.waiting import wait_for

FROM = f"FROM={Machine.public}"


@pytest.fixture(scope="session")
def dags(cluster, tmp_path_factory):
    """Settings of an existing repository: the relay is ready once it has a commit."""
    with GitHost.install(cluster) as host:
        host.create("public/dags.git")
        with host.clone("public/dags.git") as clone:
            clone.push({"dags/none.py": "# none yet"})
            clone.git("push", "--quiet", "origin", "HEAD:release")
        yield host.settings("public/dags.git", tmp_path_factory.mktemp("git-host"))


@pytest.fixture(scope="module")
def dev(deploy, small_charts, account, dags):
    """The stack dev, one per test file; its teardown must leave the account empty."""
    stack = deploy("dev", small_charts, dags=dags)
    yield stack
    account.clear_faults()
    status, output = stack.make("down")
    assert status == 0, output
    assert account.inventory() == []


def kill(stack, account, moment, target, *variables):
    """Kill a make target at a moment, and wait until AWS has completed what it requested."""
    process = stack.start(target, *variables)
    try:
        wait_for("the moment to kill", moment, seconds=300)
    finally:
        kill_session(process)
        output, _ = process.communicate()
        stack.record(output)
        account.clear_faults()
    wait_for("AWS to finish", account.idle, seconds=300)


def unprotect(stack):
    """Remove the protection in the stack file, with a reason."""
    for section in ("cluster", "database", "redis", "logs"):
        stack.change(**{section: {"protect": False}})
    exceptions = stack.settings()["policies"]["exceptions"]
    reason = {"stateful-resources-protected": "the stack moves to another account this week"}
    stack.change(policies={"exceptions": {**exceptions, **reason}})


@pytest.fixture(scope="module")
def prod(deploy, small_charts, account, dags):
    """The stack prod; its teardown removes the protection and the snapshots."""
    # Its endpoint is private, and the machine outside of the VPC.
    stack = replace(deploy("prod", small_charts, dags=dags), variables=(FROM,))
    yield stack
    account.clear_faults()
    if stack.state().get("resources"):
        unprotect(stack)
        stack.up()
        status, output = stack.make("down")
        assert status == 0, output
    rds = account.client("rds")
    for snapshot in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]:
        rds.delete_db_snapshot(DBSnapshotIdentifier=snapshot["DBSnapshotIdentifier"])
    assert account.inventory() == []
