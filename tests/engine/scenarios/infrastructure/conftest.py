"""Stacks whose charts only answer: what is looked at here is AWS, and Pulumi's order."""

import pytest


@pytest.fixture
def dev(deploy, small_charts, account):
    """The stack dev, not deployed yet. Afterwards nothing of it is left."""
    stack = deploy("dev", small_charts)
    yield stack
    account.heal()
    status, said = stack.make("down")
    assert status == 0, said
    assert account.inventory() == []


@pytest.fixture
def prod(deploy, small_charts):
    """The stack prod, not deployed yet. Its test takes it away: that is not easy."""
    return deploy("prod", small_charts)
