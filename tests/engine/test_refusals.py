"""The simulator is not generous by accident: every refusal is tested, and nothing good is refused."""

import copy

import pytest

from ops import stack_files
from ops.plan import mock_engine
from tests.engine import refusals
from tests.engine.refusals import GOOD, REFUSED, changed
from tests.engine.simulator import rules, schema
from tests.engine.simulator.rules.rule import RULES
from tests.engine.simulator.values import UNKNOWN

NAMES = [
    f"{name}-{token.rpartition(':')[2]}-{number}" for number, (token, _, name) in enumerate(REFUSED)
]

# Where two properties do not fit together, the refusal may name the other one.
ALSO_NAMED = {
    "cidrIpv4",
    "computeConfig",
    "engineVersion",
    "fromPort",
    "gatewayId",
    "routeTableIds",
}


@pytest.mark.parametrize(("token", "changes", "name"), REFUSED, ids=NAMES)
def test_a_bad_input_is_refused_by_its_rule_and_by_no_other(token, changes, name):
    inputs = changed(token, changes)
    by_schema = schema.mistakes(token, inputs)
    by_rules = {
        rule.check.__name__
        for rule in RULES
        if (not rule.tokens or token in rule.tokens) and list(rule.check(inputs))
    }

    if name == "schema":
        assert len(by_schema) == 1
    else:
        assert by_schema == []
        assert by_rules == {name}


@pytest.mark.parametrize(("token", "changes", "name"), REFUSED, ids=NAMES)
def test_a_refusal_names_the_property_that_was_changed(token, changes, name):
    said = refusals.refusals(token, changed(token, changes))

    tops = {path.partition(".")[0] for path in changes}
    for refusal in said:
        top = refusal.property.partition(".")[0].partition("[")[0]
        close = tops | ALSO_NAMED
        assert top in close, refusal


def test_there_are_many():
    assert len(REFUSED) >= 60
    assert len({str((token, changes)) for token, changes, _ in REFUSED}) == len(REFUSED)


def test_no_two_rules_have_one_name():
    names = [rule.check.__name__ for rule in RULES]
    assert len(set(names)) == len(names)


def test_every_rule_has_a_bad_input_and_a_source():
    assert {rule.check.__name__ for rule in RULES} == {name for _, _, name in REFUSED} - {"schema"}
    assert all(rule.source.startswith("https://") for rule in RULES)


@pytest.mark.parametrize("token", GOOD)
def test_good_inputs_are_taken(token):
    assert refusals.refusals(token, GOOD[token]) == []


def _paths(value, path=()):
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from _paths(inner, (*path, key))


@pytest.mark.parametrize("token", GOOD)
def test_what_a_preview_does_not_know_yet_is_not_refused(token):
    for path in list(_paths(GOOD[token]))[1:]:
        inputs = copy.deepcopy(GOOD[token])
        inner = inputs
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = UNKNOWN

        assert refusals.refusals(token, inputs) == [], path


def _plain(value):
    if isinstance(value, mock_engine.Secret):
        return _plain(value.value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_what_the_stacks_declare_is_taken(name):
    declaration, _ = stack_files.run_stack(name)
    of_aws = [r for r in declaration.resources.values() if r.type.startswith("aws:")]

    assert of_aws
    for resource in of_aws:
        assert refusals.refusals(resource.type, _plain(resource.inputs)) == [], resource.name


def test_a_password_is_never_repeated():
    inputs = changed("aws:rds/instance:Instance", {"password": "with/slash/and@at"})

    assert not any("slash" in r.reason for r in rules.mistakes("aws:rds/instance:Instance", inputs))


def test_the_page_is_what_the_simulator_says():
    assert refusals.PAGE.read_text() == refusals.page(), "write it: python -m tests.engine.refusals"
