"""Breaches and compliant resources of each rule, from the tables in cases/.

BREACHES: by rule and fix, the finding (or several) and its resources, first the one in breach.
COMPLIANT: by rule and a word for the case, a resource or several.
"""

from importlib import import_module
from pathlib import Path

import pytest

from policies import replacement, rules
from tests.unit.policies.resources import findings

SUBJECTS = [
    import_module(f"tests.unit.policies.cases.{path.stem}")
    for path in sorted((Path(__file__).parent / "cases").glob("*.py"))
]
BREACHES = {rule: fixes for each in SUBJECTS for rule, fixes in each.BREACHES.items()}
COMPLIANT = {rule: cases for each in SUBJECTS for rule, cases in each.COMPLIANT.items()}
TESTED_ALONE = {
    replacement.RULE.name: "test_replacement.py",
    "default-tags-required": "test_identity.py",
}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_breach_and_a_compliant_case(rule):
    if rule.name not in TESTED_ALONE:
        assert rule.name in BREACHES, "add a breach to tests/unit/policies/cases/"
        assert rule.name in COMPLIANT, "add a compliant case to tests/unit/policies/cases/"


@pytest.mark.parametrize(
    ("rule", "fix", "found", "resources"),
    [
        pytest.param(rule, fix, found, resources, id=f"{rule}-{number}")
        for rule, fixes in BREACHES.items()
        for fix, breaches in fixes.items()
        for number, (found, *resources) in enumerate(breaches)
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
        pytest.param(rule, resources, id=f"{rule}-{name}")
        for rule, cases in COMPLIANT.items()
        for name, resources in cases.items()
    ],
)
def test_compliant_resources_have_no_finding(rule, resources):
    given = resources if isinstance(resources, tuple) else (resources,)
    assert [each.what for each in findings(rule, *given)] == []
