import pytest

from policies.view import UNKNOWN
from tests.unit.policies.resources import assert_complies, breaches, database, resource

PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
IN_VPC = "Set it to false: clients connect from inside the VPC"
RESTORE = (
    "Set it to true; to encrypt an existing instance, restore an encrypted copy of its snapshot"
)


def parameter_group(value):
    return resource(PARAMETERS, "group", parameters=[{"name": "rds.force_ssl", "value": value}])


@pytest.mark.parametrize(
    ("inputs", "found"), [({"publiclyAccessible": True}, "is true"), ({}, "is not set")]
)
def test_a_public_database_is_a_breach(inputs, found):
    assert breaches("database-is-private", database(**inputs)) == [
        ("db", f"publiclyAccessible {found}", IN_VPC)
    ]


@pytest.mark.parametrize("value", [False, UNKNOWN])
def test_a_private_database_complies(value):
    assert_complies("database-is-private", database(publiclyAccessible=value))


@pytest.mark.parametrize(
    ("inputs", "found"), [({"storageEncrypted": False}, "is false"), ({}, "is not set")]
)
def test_an_unencrypted_database_is_a_breach(inputs, found):
    assert breaches("database-is-encrypted", database(**inputs)) == [
        ("db", f"storageEncrypted {found}", RESTORE)
    ]


def test_an_encrypted_database_complies():
    assert_complies("database-is-encrypted", database(storageEncrypted=True))


@pytest.mark.parametrize(
    ("group", "found"),
    [(parameter_group("0"), 'is "0"'), (resource(PARAMETERS, "group"), "is not set")],
)
def test_a_parameter_group_without_forced_tls_is_a_breach(group, found):
    assert breaches("database-requires-tls", group) == [
        ("group", f"rds.force_ssl {found}", 'Set it to "1"')
    ]


def test_a_parameter_group_of_aws_is_a_breach():
    assert breaches("database-requires-tls", database(parameterGroupName="default.postgres16")) == [
        (
            "db",
            'parameterGroupName is "default.postgres16"',
            "Use a parameter group of this stack that sets rds.force_ssl",
        )
    ]


def test_a_database_with_forced_tls_complies():
    group = parameter_group("1")
    assert_complies("database-requires-tls", group, database(parameterGroupName="group"))


def test_unknown_database_parameters_comply():
    assert_complies("database-requires-tls", resource(PARAMETERS, parameters=UNKNOWN))


def test_disabled_minor_version_upgrades_are_a_breach():
    instance = database(autoMinorVersionUpgrade=False)
    assert breaches("database-auto-minor-version-upgrade", instance) == [
        ("db", "autoMinorVersionUpgrade is false", "Set it to true")
    ]


def test_automatic_minor_version_upgrades_comply():
    instance = database(autoMinorVersionUpgrade=True)
    assert_complies("database-auto-minor-version-upgrade", instance)
