"""All rules, and the evaluation of a stack."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from policies import (
    advisories,
    cluster,
    confidential,
    database,
    identity,
    images,
    network,
    nodes,
    pods,
    production,
    replacement,
    storage,
    versions,
)
from policies.rule import Rule
from policies.view import Stack

RULES: tuple[Rule, ...] = (
    *database.RULES,
    *storage.RULES,
    *network.RULES,
    *identity.RULES,
    *cluster.RULES,
    *nodes.RULES,
    *pods.RULES,
    *images.RULES,
    *confidential.RULES,
    *production.RULES,
    *versions.RULES,
    *advisories.RULES,
    replacement.RULE,
)
NEW_NAMES = {rule.former_name: rule.name for rule in RULES if rule.former_name}


@dataclass(frozen=True, kw_only=True)
class PolicyReport:
    """The findings of a stack, one line each. Lines in `broken` fail the stack."""

    broken: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])
    excused: list[str] = field(default_factory=list[str])


def evaluate(stack: Stack, *, level: str, exceptions: Mapping[str, str]) -> PolicyReport:
    """Check every rule of the level. An unused exception is a breach, too."""
    report = PolicyReport()
    used = {rule.exception_key(exceptions) for rule in RULES if rule.seen_by == "preview"}
    for rule in RULES:
        key = rule.exception_key(exceptions)
        for finding in rule.findings(stack, level):
            line = rule.explain(finding)
            if key is not None:
                used.add(key)
                report.excused.append(f"{line} Excused: {exceptions[key]}")
            elif finding.warning:
                report.warnings.append(line)
            else:
                report.broken.append(line)
    for key in exceptions:
        if key not in used:
            report.broken.append(
                f"no-unused-exceptions: Pulumi.{stack.name}.yaml: policies.exceptions.{key} is unused. "
                "An unused exception hides the next breach. Remove it."
            )
        elif key in NEW_NAMES:
            report.warnings.append(
                f"policies.exceptions.{key}: the rule is now named {NEW_NAMES[key]}; rename this key"
            )
    return report
