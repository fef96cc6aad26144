import pulumi
import pytest

from components.support.passwords import password
from ops.plan.mock_engine import Secret

GENERATED = "random:index/randomPassword:RandomPassword"


def made(deploy, *, configured=None, **arguments):
    def program():
        given = None if configured is None else pulumi.Output.secret(configured)
        pulumi.export("it", password("db", configured=given, opts=None, **arguments))

    return deploy(program)


@pytest.mark.parametrize("generation", [1, 7])
def test_a_generated_password_stays_until_its_generation_changes(deploy, generation):
    generated = made(deploy, generation=generation).one(GENERATED).inputs

    assert generated["keepers"] == {"generation": str(generation)}


def test_a_generated_password_is_long_and_needs_no_escaping(deploy):
    generated = made(deploy, generation=1).one(GENERATED).inputs

    assert (generated["length"], generated["special"]) == (32, False)


def test_a_key_may_be_longer(deploy):
    assert made(deploy, generation=1, length=64).one(GENERATED).inputs["length"] == 64


def test_a_configured_password_replaces_the_generated_one(deploy):
    declaration = made(deploy, configured="from the stack file", generation=1)

    assert declaration.exports["it"].value == "from the stack file"
    assert declaration.resources == {}


@pytest.mark.parametrize("configured", ["from the stack file", None])
def test_a_password_is_secret_wherever_it_comes_from(deploy, configured):
    assert isinstance(made(deploy, configured=configured, generation=1).exports["it"], Secret)
