"""The rules of policies/ on what a program declares offline."""

import json
from collections.abc import Mapping
from datetime import date

from ops import stack_files
from ops.plan.mock_engine import Declaration
from policies import rules, view
from settings.policies import PolicySettings


def evaluate(
    stack: str, declaration: Declaration, policies: PolicySettings, today: date | None = None
) -> rules.PolicyReport:
    """Broken rules, rules that will be broken soon, and exceptions of a stack."""
    seen = view_of(stack, declaration, today)
    return rules.evaluate(seen, level=policies.level, exceptions=policies.exceptions)


def view_of(stack: str, declaration: Declaration, today: date | None = None) -> view.Stack:
    """The input of the rules."""
    return view.Stack(
        name=stack,
        # A program registers resources in parallel, in another order each time.
        resources=tuple(sorted(declaration.resources.values(), key=lambda r: r.urn)),
        default_tags=_default_tags(stack),
        today=today or date.today(),
    )


def _default_tags(stack: str) -> Mapping[str, str]:
    config = {key: text for key, text, _ in stack_files.read_stack(stack)}
    return json.loads(config.get("aws:defaultTags", "{}")).get("tags", {})
