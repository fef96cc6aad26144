"""All rules, and the verdict on a stack."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from policies import (
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
    replacement.RULE,
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Lines for a person: what stops the stack, what soon will, and what it is excused from."""

    broken: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])
    excused: list[str] = field(default_factory=list[str])


def in_force(level: str) -> list[Rule]:
    """The rules for stacks of that `policies.level`."""
    return [rule for rule in RULES if rule.level in ("every stack", level)]


def judge(stack: Stack, *, level: str, exceptions: Mapping[str, str]) -> Verdict:
    """Apply every rule of that level. An exception that excuses nothing is a breach, too."""
    verdict = Verdict()
    needed = {rule.name for rule in RULES if rule.seen_by == "preview"}
    for rule in in_force(level):
        for finding in rule.check(stack):
            line = rule.explain(finding)
            if rule.name in exceptions:
                needed.add(rule.name)
                verdict.excused.append(f"{line} Excused: {exceptions[rule.name]}")
            elif finding.warning:
                verdict.warnings.append(line)
            else:
                verdict.broken.append(line)
    verdict.broken.extend(
        f"exceptions-are-needed: Pulumi.{stack.name}.yaml: policies.exceptions.{name} excuses nothing. "
        "An old excuse hides the next breach. Remove it."
        for name in exceptions
        if name not in needed
    )
    return verdict
