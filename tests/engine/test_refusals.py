"""The simulated AWS refuses what AWS refuses, and accepts what the committed stacks declare."""

import pytest

from ops import stack_files
from tests.engine import pack
from tests.engine.simulator import refusals
from tests.engine.simulator.refusals import RULES
from tests.engine.simulator.schema import Refusal
from tests.engine.simulator.values import UNKNOWN


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_bad_value_is_refused_by_one_rule(rule):
    (found,) = refusals.refused(rule.type, rule.example)

    assert isinstance(found, Refusal)
    assert found.property == rule.property
    assert found.reason.startswith(rule.error.partition("{")[0])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_value_unknown_in_a_preview_is_not_refused(rule):
    top = rule.property.partition(".")[0]

    assert refusals.refused(rule.type, {**rule.example, top: UNKNOWN}) == []


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_the_committed_stacks_are_accepted(name):
    snapshot, _ = stack_files.run_stack(name)
    of_aws = [r for r in snapshot.resources.values() if r.type.startswith("aws:")]

    assert of_aws
    for resource in of_aws:
        assert refusals.refused(resource.type, pack.plain(resource.inputs)) == [], resource.name


def test_a_refused_password_is_not_printed():
    (rule,) = [rule for rule in RULES if rule.name == "password"]
    (found,) = refusals.refused(rule.type, rule.example)

    assert rule.example["password"] not in found.reason


def test_refusals_md_is_current():
    assert refusals.PAGE.read_text() == refusals.page(), (
        "run: python -m tests.engine.simulator.refusals"
    )
