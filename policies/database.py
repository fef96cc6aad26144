"""Rules for the metadata database."""

from collections.abc import Iterator

from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, as_list, describe, differs

INSTANCE = "aws:rds/instance:Instance"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"


def _each_has(stack: Stack, key: str, wanted: object, fix: str) -> Iterator[Finding]:
    for instance in stack.all(INSTANCE):
        value = instance.inputs.get(key)
        if differs(value, wanted):
            yield Finding(
                resource=instance.name, urn=instance.urn, what=describe(key, value), fix=fix
            )


def _is_private(stack: Stack) -> Iterator[Finding]:
    fix = "Set it to false: clients connect from inside the VPC"
    yield from _each_has(stack, "publiclyAccessible", False, fix)


def _is_encrypted(stack: Stack) -> Iterator[Finding]:
    fix = (
        "Set it to true; to encrypt an existing instance, restore an encrypted copy of its snapshot"
    )
    yield from _each_has(stack, "storageEncrypted", True, fix)


def _upgrades_minor_versions(stack: Stack) -> Iterator[Finding]:
    yield from _each_has(stack, "autoMinorVersionUpgrade", True, "Set it to true")


def _forces_tls(group: Resource) -> object:
    listed = {p["name"]: p["value"] for p in as_list(group.inputs.get("parameters"))}
    return UNKNOWN if group.inputs.get("parameters") is UNKNOWN else listed.get("rds.force_ssl")


def _requires_tls(stack: Stack) -> Iterator[Finding]:
    groups = stack.all(PARAMETERS)
    for group in groups:
        value = _forces_tls(group)
        if differs(value, "1"):
            yield Finding(
                resource=group.name,
                urn=group.urn,
                what=describe("rds.force_ssl", value),
                fix='Set it to "1"',
            )
    for instance in stack.all(INSTANCE):
        if not any(instance.refers("parameterGroupName", group) for group in groups):
            value = instance.inputs.get("parameterGroupName")
            yield Finding(
                resource=instance.name,
                urn=instance.urn,
                what=describe("parameterGroupName", value),
                fix="Use a parameter group of this stack that sets rds.force_ssl",
            )


RULES = (
    Rule(
        name="database-is-private",
        reason="The metadata database stores every Airflow connection",
        check=_is_private,
    ),
    Rule(
        name="database-is-encrypted",
        reason="Snapshots of an unencrypted instance are unencrypted and can be shared with other accounts",
        check=_is_encrypted,
    ),
    Rule(
        name="database-requires-tls",
        former_name="database-speaks-tls-only",
        reason="Without TLS, passwords and Airflow connections cross the network in plain text",
        check=_requires_tls,
    ),
    Rule(
        name="database-auto-minor-version-upgrade",
        former_name="database-takes-patches",
        reason="PostgreSQL releases security fixes as minor versions",
        check=_upgrades_minor_versions,
        excusable=True,
    ),
)
