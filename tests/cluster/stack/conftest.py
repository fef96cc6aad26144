"""The stack `local`, installed once by `make up`, removed by `make down`."""

import pytest

from tests.cluster.platform import Api


@pytest.fixture(scope="package")
def installed(checkout, nothing_is_left):
    """What `make up` said."""
    status, said = checkout.make("up")
    try:
        assert status == 0, said
        yield said
    finally:
        left = checkout.make("down")
    nothing_is_left(*left)


@pytest.fixture
def api(installed, cluster):
    with Api.open(cluster) as opened:
        yield opened


@pytest.fixture
def settings(installed, checkout):
    """Change settings of the stack local; afterwards they are as they were, and applied again."""
    before = checkout.file("local").read_text()
    yield lambda **sections: checkout.change("local", **sections)
    if checkout.file("local").read_text() != before:
        checkout.file("local").write_text(before)
        checkout.up()
