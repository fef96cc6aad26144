"""The list of security advisories, and how strict its rules are."""

from datetime import date

import pytest

from policies import advisories, rules
from settings.versions import AIRFLOW_VERSIONS
from tests.unit.policies.resources import airflow, stack_of

REASON = "the authors of the DAGs are administrators of the platform"
AFFECTED = stack_of(airflow(defaultAirflowTag="3.3.2"))
RULE = "cve-2026-68982"


@pytest.mark.parametrize("each", advisories.ADVISORIES, ids=lambda each: each.id)
def test_an_advisory_is_dated_and_has_a_source(each):
    assert date(2025, 1, 1) < each.published <= advisories.REVIEWED
    assert each.source.startswith("https://")
    numbers = [tuple(map(int, fixed.split("."))) for fixed in each.fixed]
    assert numbers == sorted(numbers), "the last one is the fix of an unlisted branch"


def test_production_refuses_an_affected_version():
    report = rules.evaluate(AFFECTED, level="production", exceptions={})

    (line,) = [line for line in report.broken if line.startswith(RULE)]
    assert line == (
        f'{RULE}: airflow-release: defaultAirflowTag is "3.3.2". '
        "A client of the broker, such as a task, runs code on the workers of every queue (Airflow, "
        "published on 2026-11-09). Set airflow.version to 3.4.0 or later "
        "(https://www.cve.org/CVERecord?id=CVE-2026-68982)."
    )
    assert report.warnings == []


def test_development_gets_a_warning():
    report = rules.evaluate(AFFECTED, level="development", exceptions={})

    assert [line for line in report.broken if "cve-" in line] == []
    assert [line.partition(":")[0] for line in report.warnings] == [RULE]


def test_an_exception_names_one_advisory():
    report = rules.evaluate(
        stack_of(airflow(defaultAirflowTag="3.2.2")), level="production", exceptions={RULE: REASON}
    )

    assert [line.partition(":")[0] for line in report.excused] == [RULE]
    assert any(line.startswith("cve-2026-33264") for line in report.broken), (
        "the reason is about one advisory, and a later one needs its own"
    )


def test_an_exception_ends_with_the_upgrade():
    report = rules.evaluate(
        stack_of(airflow(defaultAirflowTag="3.4.0")), level="production", exceptions={RULE: REASON}
    )

    assert any(f"policies.exceptions.{RULE} is unused" in line for line in report.broken)


def test_every_airflow_version_has_its_fab_provider():
    assert advisories.FAB_PROVIDER.keys() == AIRFLOW_VERSIONS.keys(), (
        "add the version of the provider from the constraints of Airflow"
    )
