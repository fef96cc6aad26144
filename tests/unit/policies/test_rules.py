"""The list of rules, and the evaluation of a stack: level, exceptions, former names."""

from datetime import date

import pytest

from policies import confidential, rules
from tests.unit.policies.resources import (
    CLUSTER_COMPONENT,
    KMS_KEY,
    LOG_GROUP,
    resource,
    stack_of,
)

REASON = "the key is rotated by hand until March, the platform team decided"
RULE, FORMER_NAME = "kms-key-rotation-enabled", "keys-rotate"
KEY_WITHOUT_ROTATION = stack_of(resource(KMS_KEY, "key"))
BREACH = (
    f"{RULE}: key: enableKeyRotation is not set. "
    "Without rotation, one key version decrypts all data ever encrypted with the key. "
    "Set it to true."
)


def evaluate(stack, level="development", **exceptions):
    named = {key.replace("_", "-"): reason for key, reason in exceptions.items()}
    return rules.evaluate(stack, level=level, exceptions=named)


def unused(key):
    return (
        f"no-unused-exceptions: Pulumi.mine.yaml: policies.exceptions.{key} is unused. "
        "An unused exception hides the next breach. Remove it."
    )


def test_rule_names_are_unique_with_former_names():
    names = [name for rule in rules.RULES for name in rule.names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    assert repeated == [], "name a rule once: policies.exceptions could mean either rule"


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_a_reason_is_a_sentence_without_its_full_stop(rule):
    assert rule.reason
    assert not rule.reason.endswith("."), "Rule.explain adds the full stop"


def test_production_rules_allow_an_exception():
    strict = [r.name for r in rules.RULES if r.level == "production" and not r.excusable]
    assert strict == [], "set excusable, or apply the rule to every stack"


def test_only_the_plan_checks_rules_about_secrets():
    in_pack = [rule.name for rule in confidential.RULES if rule.seen_by != "plan"]
    assert in_pack == [], 'set seen_by="plan": the engine removes the marks of secrets'


def test_rules_for_previews_find_nothing_offline():
    previewed = [rule for rule in rules.RULES if rule.seen_by == "preview"]
    assert previewed
    assert [f for rule in previewed for f in rule.check(KEY_WITHOUT_ROTATION)] == []


def test_a_breach_is_one_line_with_rule_resource_reason_fix():
    report = evaluate(KEY_WITHOUT_ROTATION)
    assert (report.broken, report.warnings, report.excused) == ([BREACH], [], [])


def test_production_rules_apply_to_production_only():
    stack = stack_of(resource(KMS_KEY, "key", enableKeyRotation=True))
    assert evaluate(stack).broken == []

    (breach,) = evaluate(stack, level="production").broken
    assert breach.startswith("stateful-resources-protected: key: protect is false.")


def test_an_exception_excuses_its_rule_and_shows_its_reason():
    report = evaluate(KEY_WITHOUT_ROTATION, kms_key_rotation_enabled=REASON)
    assert report.excused == [f"{BREACH} Excused: {REASON}"]
    assert (report.broken, report.warnings) == ([], [])


def test_an_unused_exception_is_a_breach():
    report = evaluate(stack_of(), kms_key_rotation_enabled=REASON)
    assert report.broken == [unused(RULE)]


def test_an_exception_for_previews_counts_as_used():
    report = evaluate(stack_of(), no_stateful_deletion=REASON)
    assert (report.broken, report.warnings) == ([], [])


def test_a_former_name_excuses_the_rule_with_a_warning():
    report = evaluate(KEY_WITHOUT_ROTATION, keys_rotate=REASON)
    assert report.excused == [f"{BREACH} Excused: {REASON}"]
    assert report.broken == []
    assert report.warnings == [
        f"policies.exceptions.{FORMER_NAME}: the rule is now named {RULE}; rename this key"
    ]


def test_an_unused_former_name_is_a_breach():
    report = evaluate(stack_of(), keys_rotate=REASON)
    assert (report.broken, report.warnings) == ([unused(FORMER_NAME)], [])


def test_a_former_name_for_previews_is_a_warning():
    report = evaluate(stack_of(), stateful_resources_stay=REASON)
    assert report.broken == []
    assert report.warnings == [
        "policies.exceptions.stateful-resources-stay: the rule is now named no-stateful-deletion; "
        "rename this key"
    ]


def test_a_warning_is_not_a_breach_and_can_be_excused():
    cluster = resource(
        CLUSTER_COMPONENT,
        "eks",
        version="1.34",
        encryptionConfigKeyArn="arn",
        name="eks",
        enabledClusterLogTypes=["audit"],
        endpointPublicAccess=False,
    )
    logs = resource(LOG_GROUP, name="/aws/eks/eks/cluster", retentionInDays=30)
    stack = stack_of(cluster, logs, today=date(2026, 11, 24))

    report = evaluate(stack)
    (warning,) = report.warnings
    assert warning.startswith("kubernetes-version-supported: eks: version is 1.34")
    assert report.broken == []

    report = evaluate(stack, kubernetes_version_supported=REASON)
    assert (report.broken, report.warnings, len(report.excused)) == ([], [], 1)
