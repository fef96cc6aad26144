"""One component, or a whole stack, on the mock engine of the offline plan."""

from functools import cache

import pytest

from plan import engine

PROJECT = "airflow-platform"


@pytest.fixture
def deploy():
    """Run a program to its end, then return what it declared: only then is all of it there."""

    def run(program, stack="test", config=None, secret_keys=()):
        return engine.run(
            program, stack=stack, project=PROJECT, config=config, secret_keys=frozenset(secret_keys)
        )

    return run


@cache
def _declared(stack):
    return engine.run_stack(stack)


@pytest.fixture
def stack():
    """The real program of a committed stack: what it declares, and its settings."""
    return _declared
