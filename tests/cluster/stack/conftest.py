"""The stack `local`, installed once by `make up`, removed by `make down`."""

import pytest

from tests.cluster.stack.relay import Relay
from tests.harness import dags
from tests.harness.git_host import GitHost

SLEEPERS = "public/work.git"
# Without retries: a failed task fails its run.
SLEEPER = dags.source("sleeper", work=dags.SLEEP, default_args='{"retries": 0}')


@pytest.fixture(scope="package")
def installed(checkout, up_and_down):
    """The output of `make up`."""
    with up_and_down(checkout) as output:
        yield output


@pytest.fixture
def settings(installed, checkout):
    """Change settings of the stack local; restored and applied at the end."""
    before = checkout.file("local").read_text()
    yield lambda **sections: checkout.change("local", **sections)
    if checkout.file("local").read_text() != before:
        checkout.file("local").write_text(before)
        checkout.up()


@pytest.fixture
def relay(cluster):
    return Relay(cluster=cluster)


@pytest.fixture(scope="package")
def git_host(cluster):
    with GitHost.install(cluster) as host:
        yield host


@pytest.fixture(scope="module")
def follow(installed, checkout, git_host):
    """Change the repository or other settings `dags` of the stack; restored after the module.

    Only the relay changes.
    """
    before = checkout.file("local").read_text()

    def change(path=None, secrets=None, **dags):
        checkout.file("local").write_text(before)
        # From the original settings: a previous branch, tag or commit is not in this repository.
        repo = git_host.settings(path, checkout.folder) if path else {}
        checkout.change("local", dags={**repo, **dags})
        checkout.configure("local", **secrets or {})
        return checkout.up()

    yield change
    checkout.file("local").write_text(before)
    checkout.up()


@pytest.fixture(scope="module")
def followed(follow, git_host):
    """The stack follows a repository with a DAG whose runs choose its duration."""
    git_host.create(SLEEPERS)
    git_host.commit(SLEEPERS, {"dags/sleeper.py": SLEEPER})
    return follow(SLEEPERS)


@pytest.fixture
def start(followed, api):
    """Start a task that sleeps for some seconds; its run, once it is on a worker."""
    return lambda seconds: api.start_task("sleeper", within=120, seconds=seconds)
