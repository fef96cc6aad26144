"""Evaluates the policy rules on the resources of an offline plan."""

import json
from collections.abc import Mapping
from datetime import date

from ops import stack_files
from ops.plan.mock_engine import StackSnapshot
from policies import rules, view
from settings.policies import PolicySettings


def evaluate(
    stack: str, snapshot: StackSnapshot, policies: PolicySettings, today: date | None = None
) -> rules.PolicyReport:
    """Broken rules, warnings and exceptions of a stack."""
    resources = view_of(stack, snapshot, today)
    return rules.evaluate(resources, level=policies.level, exceptions=policies.exceptions)


def view_of(stack: str, snapshot: StackSnapshot, today: date | None = None) -> view.Stack:
    """The resources of a stack as the rules read them."""
    return view.Stack(
        name=stack,
        # Pulumi registers resources in parallel, in a different order each time.
        resources=tuple(sorted(snapshot.resources.values(), key=lambda r: r.urn)),
        default_tags=_default_tags(stack),
        today=today or date.today(),
    )


def _default_tags(stack: str) -> Mapping[str, str]:
    config = {key: text for key, text, _ in stack_files.read_stack(stack)}
    return json.loads(config.get("aws:defaultTags", "{}")).get("tags", {})
