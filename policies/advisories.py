"""Security advisories that concern a stack, and a rule for each.

Listed is what gives a DAG author, a task, a signed-in user or a pod a right that it lacks.
Advisories for code that no stack runs are left out: example DAGs, Redis with TLS, the OAuth logins
of Azure and Authentik. Add an advisory on its day; `docs/policies.md` then has its rule.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

from packaging.version import Version

from policies import chart_values, pods
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, describe

Product = Literal["Airflow", "FAB provider", "Redis", "Valkey", "PostgreSQL", "KEDA"]
# The sources below were read on this day.
REVIEWED = date(2026, 11, 28)
# Of the constraints of each Airflow version, which the official image has:
# https://raw.githubusercontent.com/apache/airflow/constraints-3.2.2/constraints-3.12.txt
FAB_PROVIDER = {"3.2.2": "3.6.4", "3.3.2": "3.9.0"}


@dataclass(frozen=True, kw_only=True)
class Advisory:
    """`fixed`: the first fixed version of each branch, such as 7.2.14 of Redis 7.2, in order."""

    id: str
    published: date
    product: Product
    fixed: tuple[str, ...]
    # What an attacker can do.
    risk: str
    source: str
    since: str = "0"

    def fix_of(self, version: str) -> str:
        """The fixed version of the same branch, or else the newest one."""
        branches = {Version(fixed).release[:-1]: fixed for fixed in self.fixed}
        return branches.get(Version(version).release[:-1], self.fixed[-1])

    def affects(self, version: str) -> bool:
        fix = self.fix_of(version)
        return Version(self.since) <= Version(version) < Version(fix)


CVE = "https://www.cve.org/CVERecord?id="
OSS_SECURITY = "https://www.openwall.com/lists/oss-security/"
POSTGRESQL = "https://www.postgresql.org/support/security/"
KEDA = "https://github.com/kedacore/keda/security/advisories/"
REDIS_2026 = ("6.2.22", "7.2.14", "7.4.9", "8.2.6", "8.4.3", "8.6.3")

ADVISORIES = (
    Advisory(
        id="CVE-2026-33264",
        published=date(2026, 7, 7),
        product="Airflow",
        fixed=("3.3.0",),
        risk="A DAG author runs code in schedulers and API servers through a crafted trigger",
        source=f"{CVE}CVE-2026-33264",
    ),
    Advisory(
        id="CVE-2026-49487",
        published=date(2026, 7, 7),
        product="Airflow",
        fixed=("3.3.0",),
        risk="The API shows the arguments of triggers, with secrets, to every reader of the DAG",
        source=f"{OSS_SECURITY}2026/07/07/6",
    ),
    Advisory(
        id="CVE-2026-58076",
        published=date(2026, 8, 12),
        product="Airflow",
        since="3.0.0",
        fixed=("3.3.1",),
        risk="A DAG author runs code in schedulers and API servers through executor_config",
        source=f"{OSS_SECURITY}2026/08/12/5",
    ),
    Advisory(
        id="CVE-2026-68968",
        published=date(2026, 8, 12),
        product="Airflow",
        fixed=("3.3.1",),
        risk="A user with a right on one DAG changes backfills of another DAG",
        source=f"{OSS_SECURITY}2026/08/12/12",
    ),
    Advisory(
        id="CVE-2026-68982",
        published=date(2026, 11, 9),
        product="Airflow",
        fixed=("3.4.0",),
        risk="A client of the broker, such as a task, runs code on the workers of every queue",
        source=f"{CVE}CVE-2026-68982",
    ),
    Advisory(
        id="CVE-2026-59245",
        published=date(2026, 7, 13),
        product="FAB provider",
        fixed=("3.7.2",),
        risk="A right on a DAG that is named DAGs is a right on all DAGs",
        source=f"{OSS_SECURITY}2026/07/13/4",
    ),
    Advisory(
        id="CVE-2026-82310",
        published=date(2026, 9, 15),
        product="FAB provider",
        since="2.0.0",
        fixed=("3.9.0",),
        risk="A deactivated user keeps access with a token, and renews the token",
        source=f"{OSS_SECURITY}2026/09/15/10",
    ),
    Advisory(
        id="CVE-2025-49844",
        published=date(2025, 10, 3),
        product="Redis",
        fixed=("6.2.20", "7.2.11", "7.4.6", "8.0.4", "8.2.2"),
        risk="A task runs code in Redis through a Lua script",
        source="https://github.com/redis/redis/security/advisories/GHSA-4789-qfc9-5f9q",
    ),
    Advisory(
        id="CVE-2026-23479",
        published=date(2026, 5, 5),
        product="Redis",
        since="7.2.0",
        fixed=REDIS_2026,
        risk="A client runs code in Redis when another client is evicted",
        source=f"{CVE}CVE-2026-23479",
    ),
    Advisory(
        id="CVE-2026-23631",
        published=date(2026, 5, 5),
        product="Redis",
        fixed=REDIS_2026,
        risk="A client with the right to replicate runs code in Redis",
        source=f"{CVE}CVE-2026-23631",
    ),
    Advisory(
        id="RLSA-2026-25925",
        published=date(2026, 6, 17),
        product="Valkey",
        fixed=("8.1.7", "9.0.4"),
        risk="A client runs code in Valkey: CVE-2026-23479, CVE-2026-23631 and CVE-2026-25243",
        source="https://osv.dev/vulnerability/RLSA-2026:25925",
    ),
    Advisory(
        id="CVE-2026-6637",
        published=date(2026, 5, 14),
        product="PostgreSQL",
        fixed=("14.23", "15.18", "16.14", "17.10", "18.4"),
        risk="A database user runs code on the server through the module refint",
        source=f"{POSTGRESQL}CVE-2026-6637/",
    ),
    Advisory(
        id="CVE-2026-14669",
        published=date(2026, 8, 13),
        product="PostgreSQL",
        fixed=("14.24", "15.19", "16.15", "17.11", "18.6"),
        risk="A database user runs code on the server through a long name of a time zone",
        source=f"{POSTGRESQL}CVE-2026-14669/",
    ),
    Advisory(
        id="CVE-2025-68476",
        published=date(2025, 12, 22),
        product="KEDA",
        fixed=("2.17.3", "2.18.3", "2.19.0"),
        risk="A user who may create a TriggerAuthentication reads files of KEDA",
        source=f"{KEDA}GHSA-c4p6-qg4m-9jmr",
    ),
    Advisory(
        id="CVE-2026-77524",
        published=date(2026, 9, 23),
        product="KEDA",
        fixed=("2.21.0",),
        risk="A user who may create a TriggerAuthentication gets the token of KEDA",
        source=f"{KEDA}GHSA-637c-6jxx-4rwm",
    ),
)

UPGRADES: dict[Product, str] = {
    "Airflow": "Set airflow.version to {}",
    "FAB provider": "Set airflow.version to a version with the FAB provider {}",
    "Redis": "Set the tag of redis.image to {}",
    "Valkey": "Set the tag of redis.image to {}",
    "PostgreSQL": "Set the tag of database.image to {}",
    "KEDA": "Set KEDA_CHART in settings/versions.py to {}",
}


class Installed(NamedTuple):
    """A product that a resource installs. `version`: None if its image has no exact one."""

    product: Product
    version: str | None
    resource: Resource
    # Where the version was found, and its value.
    where: str
    value: str


def installed(stack: Stack) -> Iterator[Installed]:
    for release, values in chart_values.of_airflow(stack):
        version = str(values.get("defaultAirflowTag") or "")
        if version:
            yield Installed("Airflow", version, release, "defaultAirflowTag", version)
        if version in FAB_PROVIDER:
            fab = FAB_PROVIDER[version]
            yield Installed("FAB provider", fab, release, f"FAB provider of Airflow {version}", fab)
    for release in stack.all(chart_values.RELEASE):
        if version := _version_of_keda(release.inputs):
            yield Installed("KEDA", version, release, "version of the chart keda", version)
    for pod in pods.pods(stack):
        for container in pods.containers(pod):
            if server := _server(container):
                product, version = server
                image = str(container["image"])
                yield Installed(
                    product, version, pod.resource, f"{container['name']}: image", image
                )


def _version_of_keda(inputs: dict[str, Any]) -> str | None:
    """Version of the chart, which is that of KEDA: an input, or in the name of an archive."""
    chart = str(inputs.get("chart"))
    if chart.rpartition("/")[2] == "keda":
        version = inputs.get("version")
        return None if version is UNKNOWN else version
    archive = re.fullmatch(r"(?:.*/)?keda-(\d+\.\d+\.\d+)\.tgz", chart)
    return archive[1] if archive else None


def _server(container: dict[str, Any]) -> tuple[Product, str | None] | None:
    """Product and version of the container of Redis or of the database."""
    parts = {"redis": 3, "database": 2}.get(str(container.get("name")))
    if parts is None or not isinstance(container.get("image"), str):
        return None
    name, _, tag = container["image"].partition("@")[0].rpartition("/")[2].partition(":")
    if tag in ("", "latest"):  # image-tag-pinned
        return None
    exact = re.match(rf"v?(\d+(?:\.\d+){{{parts - 1}}})(?![.\d])", tag)
    product: Product = "PostgreSQL" if parts == 2 else "Valkey" if "valkey" in name else "Redis"
    return product, exact[1] if exact else None


def _rule(advisory: Advisory) -> Rule:
    def check(stack: Stack) -> Iterator[Finding]:
        for each in installed(stack):
            if (
                each.product == advisory.product
                and each.version is not None
                and advisory.affects(each.version)
            ):
                upgrade = UPGRADES[each.product].format(advisory.fix_of(each.version))
                yield Finding(
                    resource=each.resource.name,
                    urn=each.resource.urn,
                    what=describe(each.where, each.value),
                    fix=f"{upgrade} or later ({advisory.source})",
                )

    return Rule(
        name=advisory.id.lower(),
        reason=f"{advisory.risk} ({advisory.product}, published on {advisory.published})",
        check=check,
        level="production, else a warning",
        excusable=True,
    )


def _server_versions_are_exact(stack: Stack) -> Iterator[Finding]:
    for each in installed(stack):
        if each.version is None:
            yield Finding(
                resource=each.resource.name,
                urn=each.resource.urn,
                what=describe(each.where, each.value),
                fix=UPGRADES[each.product].format("an exact version"),
            )


RULES = (
    Rule(
        name="server-version-exact",
        reason="A floating tag runs what its node pulled first, and no advisory can be checked",
        check=_server_versions_are_exact,
        level="production, else a warning",
        excusable=True,
    ),
    *map(_rule, ADVISORIES),
)
