from datetime import date

import pytest

from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    CLUSTER,
    CLUSTER_COMPONENT,
    assert_complies,
    breaches,
    database,
    findings,
    resource,
)

EKS = "https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html"
RDS = (
    "https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/"
    "postgresql-release-calendar.html"
)


def test_kubernetes_after_its_support_is_a_breach():
    cluster = resource(CLUSTER_COMPONENT, version="1.33")
    assert breaches("kubernetes-version-supported", cluster) == [
        (
            "it",
            "version is 1.33, and its standard support ended on 2026-07-29",
            f"Upgrade cluster.version one minor version at a time ({EKS})",
        )
    ]


def test_a_kubernetes_version_without_a_date_is_a_breach():
    assert breaches("kubernetes-version-supported", resource(CLUSTER, version="1.99")) == [
        (
            "it",
            "version is 1.99, but policies/versions.py lists only "
            "1.31, 1.32, 1.33, 1.34, 1.35, 1.36",
            f"Use a listed version, or add this one with its date from {EKS}",
        )
    ]


@pytest.mark.parametrize(
    "cluster", [resource(CLUSTER_COMPONENT, version="1.35"), resource(CLUSTER, version=UNKNOWN)]
)
def test_a_supported_kubernetes_version_complies(cluster):
    assert_complies("kubernetes-version-supported", cluster)


def test_postgresql_after_its_support_is_a_breach():
    assert breaches("postgresql-version-supported", database(engineVersion="13.20")) == [
        (
            "db",
            "engineVersion is 13, and its standard support ended on 2026-02-28",
            f"Upgrade POSTGRES in settings/versions.py ({RDS})",
        )
    ]


def test_a_postgresql_version_without_a_date_is_a_breach():
    assert breaches("postgresql-version-supported", database(engineVersion="9.6")) == [
        (
            "db",
            "engineVersion is 9, but policies/versions.py lists only 13, 14, 15, 16, 17",
            f"Use a listed version, or add this one with its date from {RDS}",
        )
    ]


@pytest.mark.parametrize("version", ["16", UNKNOWN])
def test_a_supported_postgresql_version_complies(version):
    assert_complies("postgresql-version-supported", database(engineVersion=version))


def test_support_for_60_more_days_is_no_finding():
    cluster = resource(CLUSTER_COMPONENT, version="1.34")
    assert_complies("kubernetes-version-supported", cluster, today=date(2026, 10, 3))


@pytest.mark.parametrize(("today", "days"), [(date(2026, 10, 4), 59), (date(2026, 12, 1), 1)])
def test_support_that_ends_in_60_days_is_a_warning(today, days):
    cluster = resource(CLUSTER_COMPONENT, version="1.34")
    (warning,) = findings("kubernetes-version-supported", cluster, today=today)

    ends = f"its standard support ends on 2026-12-02, in {days} days"
    assert (warning.what, warning.warning) == (f"version is 1.34, and {ends}", True)


def test_the_first_day_without_support_is_a_breach():
    cluster = resource(CLUSTER_COMPONENT, version="1.34")
    (breach,) = findings("kubernetes-version-supported", cluster, today=date(2026, 12, 2))

    ended = "its standard support ended on 2026-12-02"
    assert (breach.what, breach.warning) == (f"version is 1.34, and {ended}", False)
