"""Rules for supported versions, with the end-of-support dates of AWS."""

from collections.abc import Iterator, Mapping
from datetime import date

from policies import cluster, database
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack

KUBERNETES_SOURCE = "https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html"
# End of standard support on EKS.
KUBERNETES = {
    "1.31": date(2025, 11, 26),
    "1.32": date(2026, 3, 23),
    "1.33": date(2026, 7, 29),
    "1.34": date(2026, 12, 2),
    "1.35": date(2027, 3, 27),
    "1.36": date(2027, 8, 2),
}
POSTGRESQL_SOURCE = (
    "https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/"
    "postgresql-release-calendar.html"
)
# End of standard support on RDS.
POSTGRESQL = {
    "13": date(2026, 2, 28),
    "14": date(2027, 2, 28),
    "15": date(2028, 2, 29),
    "16": date(2029, 2, 28),
    "17": date(2030, 2, 28),
    "18": date(2031, 2, 28),
}
WARNING_DAYS = 60


def _supported(
    resource: Resource,
    key: str,
    version: str,
    *,
    ends: Mapping[str, date],
    today: date,
    source: str,
    fix: str,
) -> Iterator[Finding]:
    end = ends.get(version)
    if end is None:
        known = ", ".join(ends)
        yield Finding(
            resource=resource.name,
            urn=resource.urn,
            what=f"{key} is {version}, but policies/versions.py lists only {known}",
            fix=f"Use a listed version, or add this one with its date from {source}",
        )
    elif today >= end:
        yield Finding(
            resource=resource.name,
            urn=resource.urn,
            what=f"{key} is {version}, and its standard support ended on {end}",
            fix=f"{fix} ({source})",
        )
    elif (end - today).days < WARNING_DAYS:
        yield Finding(
            resource=resource.name,
            urn=resource.urn,
            what=f"{key} is {version}, and its standard support ends on {end}, "
            f"in {(end - today).days} days",
            fix=f"{fix} ({source})",
            warning=True,
        )


def _kubernetes_is_supported(stack: Stack) -> Iterator[Finding]:
    for each in cluster.clusters(stack):
        version = each.inputs.get("version")
        if version is not UNKNOWN:
            yield from _supported(
                each,
                "version",
                str(version),
                ends=KUBERNETES,
                today=stack.today,
                source=KUBERNETES_SOURCE,
                fix="Upgrade cluster.version one minor version at a time",
            )


def _postgresql_is_supported(stack: Stack) -> Iterator[Finding]:
    for instance in stack.all(database.INSTANCE):
        version = instance.inputs.get("engineVersion")
        if version is not UNKNOWN:
            yield from _supported(
                instance,
                "engineVersion",
                str(version).partition(".")[0],
                ends=POSTGRESQL,
                today=stack.today,
                source=POSTGRESQL_SOURCE,
                fix="Upgrade POSTGRES in settings/versions.py",
            )


RULES = (
    Rule(
        name="kubernetes-version-supported",
        former_name="kubernetes-is-supported",
        reason="EKS extended support costs six times as much per cluster hour",
        check=_kubernetes_is_supported,
        excusable=True,
    ),
    Rule(
        name="postgresql-version-supported",
        former_name="postgresql-is-supported",
        reason="RDS extended support is billed per vCPU hour, and at its end AWS upgrades the instance",
        check=_postgresql_is_supported,
        excusable=True,
    ),
)
