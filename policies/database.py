"""Rules for the metadata database."""

from collections.abc import Iterator

from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, differs, is_, items

INSTANCE = "aws:rds/instance:Instance"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"


def _each_has(stack: Stack, key: str, wanted: object, fix: str) -> Iterator[Finding]:
    for instance in stack.all(INSTANCE):
        value = instance.inputs.get(key)
        if differs(value, wanted):
            yield Finding(resource=instance.name, urn=instance.urn, what=is_(key, value), fix=fix)


def _is_private(stack: Stack) -> Iterator[Finding]:
    fix = "Set it to false: whoever needs the database comes through the VPC"
    yield from _each_has(stack, "publiclyAccessible", False, fix)


def _is_encrypted(stack: Stack) -> Iterator[Finding]:
    fix = "Set it to true; an existing instance is encrypted by restoring a copy of its snapshot"
    yield from _each_has(stack, "storageEncrypted", True, fix)


def _takes_patches(stack: Stack) -> Iterator[Finding]:
    yield from _each_has(stack, "autoMinorVersionUpgrade", True, "Set it to true")


def _forces_tls(group: Resource) -> object:
    listed = {p["name"]: p["value"] for p in items(group.inputs.get("parameters"))}
    return UNKNOWN if group.inputs.get("parameters") is UNKNOWN else listed.get("rds.force_ssl")


def _speaks_tls_only(stack: Stack) -> Iterator[Finding]:
    groups = stack.all(PARAMETERS)
    for group in groups:
        value = _forces_tls(group)
        if differs(value, "1"):
            yield Finding(
                resource=group.name,
                urn=group.urn,
                what=is_("rds.force_ssl", value),
                fix='Set it to "1"',
            )
    for instance in stack.all(INSTANCE):
        if not any(instance.refers("parameterGroupName", group) for group in groups):
            value = instance.inputs.get("parameterGroupName")
            yield Finding(
                resource=instance.name,
                urn=instance.urn,
                what=is_("parameterGroupName", value),
                fix="Give it a parameter group of this stack, with rds.force_ssl",
            )


RULES = (
    Rule(
        name="database-is-private",
        reason="The metadata database holds every connection that Airflow knows",
        check=_is_private,
    ),
    Rule(
        name="database-is-encrypted",
        reason="Snapshots of the database leave the account more easily than the database does",
        check=_is_encrypted,
    ),
    Rule(
        name="database-speaks-tls-only",
        reason="Passwords and connections would cross the network in the clear",
        check=_speaks_tls_only,
    ),
    Rule(
        name="database-takes-patches",
        reason="Security fixes of PostgreSQL come as minor versions",
        check=_takes_patches,
        excusable=True,
    ),
)
