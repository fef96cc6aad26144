import pulumi
import pytest

from components.support.passwords import password
from ops.plan.mock_engine import Secret

GENERATED = "random:index/randomPassword:RandomPassword"


def declare(deploy, *, configured=None, **arguments):
    def program():
        given = None if configured is None else pulumi.Output.secret(configured)
        pulumi.export("password", password("db", configured=given, opts=None, **arguments))

    return deploy(program)


@pytest.mark.parametrize("rotation", [1, 7])
def test_a_generated_password_changes_only_with_its_rotation(deploy, rotation):
    generated = declare(deploy, rotation=rotation).one(GENERATED).inputs

    assert generated["keepers"] == {"generation": str(rotation)}, (
        "another key replaces every generated password of deployed stacks"
    )


def test_a_generated_password_is_long_and_alphanumeric(deploy):
    generated = declare(deploy, rotation=1).one(GENERATED).inputs

    assert (generated["length"], generated["special"]) == (32, False)


def test_the_length_can_be_configured(deploy):
    assert declare(deploy, rotation=1, length=64).one(GENERATED).inputs["length"] == 64


def test_a_configured_password_replaces_the_generated_one(deploy):
    snapshot = declare(deploy, configured="from the stack file", rotation=1)

    assert snapshot.exports["password"].value == "from the stack file"
    assert snapshot.resources == {}


@pytest.mark.parametrize("configured", ["from the stack file", None])
def test_every_password_is_a_secret_output(deploy, configured):
    assert isinstance(
        declare(deploy, configured=configured, rotation=1).exports["password"], Secret
    )
