"""Breaches and compliant resources of each rule, from the tables in cases/."""

from importlib import import_module
from pathlib import Path

import pytest

from policies import replacement, rules
from tests.unit.policies.resources import findings

SUBJECTS = sorted(path.stem for path in (Path(__file__).parent / "cases").glob("*.py"))
CASES = [
    cases
    for subject in SUBJECTS
    for cases in import_module(f"tests.unit.policies.cases.{subject}").CASES
]
# test_replacement.py and test_identity.py.
TESTED_ALONE = {replacement.RULE.name, "default-tags-required"}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_breach_and_a_compliant_case(rule):
    broken = any(cases.breaches for cases in CASES if cases.rule == rule.name)
    compliant = any(cases.complies for cases in CASES if cases.rule == rule.name)
    other_file = rule.name in TESTED_ALONE
    assert other_file or broken, f"add a breach of {rule.name} to tests/unit/policies/cases/"
    assert other_file or compliant, "add a compliant case to tests/unit/policies/cases/"


@pytest.mark.parametrize(
    ("rule", "fix", "found", "resources"),
    [
        pytest.param(cases.rule, cases.fix, found, resources, id=f"{cases.rule}-{number}")
        for cases in CASES
        for number, (found, *resources) in enumerate(cases.breaches)
    ],
)
def test_a_breach_names_the_resource_and_the_fix(rule, fix, found, resources):
    found = [found] if isinstance(found, str) else found
    first = resources[0]
    assert [
        (each.urn, each.resource, each.what, each.fix) for each in findings(rule, *resources)
    ] == [(first.urn, first.name, what, fix) for what in found]


@pytest.mark.parametrize(
    ("rule", "resources"),
    [
        pytest.param(cases.rule, resources, id=f"{cases.rule}-{name}")
        for cases in CASES
        for name, resources in cases.complies.items()
    ],
)
def test_compliant_resources_have_no_finding(rule, resources):
    given = resources if isinstance(resources, tuple) else (resources,)
    assert [each.what for each in findings(rule, *given)] == []
