"""Support of Kubernetes 1.34 ends on 2026-12-02: a warning from 60 days before, then a breach."""

from datetime import date

import pytest

from tests.unit.policies.resources import CLUSTER_COMPONENT, findings, resource


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 10, 3), []),
        (date(2026, 10, 4), [("support ends on 2026-12-02, in 59 days", True)]),
        (date(2026, 12, 1), [("support ends on 2026-12-02, in 1 days", True)]),
        (date(2026, 12, 2), [("support ended on 2026-12-02", False)]),
    ],
)
def test_a_version_has_a_warning_before_its_support_ends(today, expected):
    cluster = resource(CLUSTER_COMPONENT, version="1.34")
    found = findings("kubernetes-version-supported", cluster, today=today)
    assert [(each.what, each.warning) for each in found] == [
        (f"version is 1.34, and its standard {text}", warning) for text, warning in expected
    ]
