"""Stacks whose charts only answer: what is looked at here is AWS, and Pulumi's order."""

import pytest

from tests.harness.git_host import GitHost


@pytest.fixture(scope="session")
def dags(cluster, tmp_path_factory):
    """Settings for a repository that is there: the relay is ready when it has a commit."""
    with GitHost.install(cluster) as host:
        host.create("public/dags.git")
        with host.clone("public/dags.git") as clone:
            clone.push({"dags/none.py": "# none yet"})
            clone.git("push", "--quiet", "origin", "HEAD:release")
        yield host.settings("public/dags.git", tmp_path_factory.mktemp("git-host"))


@pytest.fixture(scope="module")
def dev(deploy, small_charts, account, dags):
    """The stack dev, one for each file of tests. Afterwards nothing of it is left."""
    stack = deploy("dev", small_charts, dags=dags)
    yield stack
    account.heal()
    status, said = stack.make("down")
    assert status == 0, said
    assert account.inventory() == []


def unprotect(stack):
    """Say in the stack file that what it protects may go, and why."""
    for section in ("cluster", "database", "redis", "logs"):
        stack.change(**{section: {"protect": False}})
    exceptions = stack.settings()["policies"]["exceptions"]
    reason = {"stateful-resources-protected": "the stack moves to another account this week"}
    stack.change(policies={"exceptions": {**exceptions, **reason}})


@pytest.fixture(scope="module")
def prod(deploy, small_charts, account, dags):
    """The stack prod. Afterwards it is gone, with its protection and its snapshots."""
    stack = deploy("prod", small_charts, dags=dags)
    yield stack
    account.heal()
    if stack.state().get("resources"):
        unprotect(stack)
        stack.up()
        status, said = stack.make("down")
        assert status == 0, said
    rds = account.client("rds")
    for snapshot in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]:
        rds.delete_db_snapshot(DBSnapshotIdentifier=snapshot["DBSnapshotIdentifier"])
    assert account.inventory() == []
