"""The stack `local`, installed once by `make up`, removed by `make down`."""

import pytest

from tests.cluster.stack.relay import Relay
from tests.harness.git_host import GitHost


@pytest.fixture(scope="package")
def installed(checkout, up_and_down):
    """What `make up` said."""
    with up_and_down(checkout) as said:
        yield said


@pytest.fixture
def settings(installed, checkout):
    """Change settings of the stack local; afterwards they are as they were, and applied again."""
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
    """Let the stack follow another repository of the Git host, or follow it otherwise.

    Only the relay changes. After the tests of a file all is as it was.
    """
    before = checkout.file("local").read_text()

    def change(path=None, secrets=None, **dags):
        checkout.file("local").write_text(before)
        # A branch, tag or commit of the settings before is none of this repository.
        repo = git_host.settings(path, checkout.folder) if path else {}
        checkout.change("local", dags={**repo, **dags})
        checkout.configure("local", **secrets or {})
        return checkout.up()

    yield change
    checkout.file("local").write_text(before)
    checkout.up()
