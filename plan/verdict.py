"""The rules of policies/ on what a program declares offline."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from plan import engine
from plan.engine import Declaration
from policies import rules, view
from sections.policies import PolicySettings


def of(
    stack: str, declaration: Declaration, policies: PolicySettings, today: date | None = None
) -> rules.Verdict:
    """What breaks a rule, what soon will, and what the stack is excused from."""
    seen = view_of(stack, declaration, today)
    return rules.judge(seen, level=policies.level, exceptions=policies.exceptions)


def view_of(stack: str, declaration: Declaration, today: date | None = None) -> view.Stack:
    """The declaration as the rules see it."""
    return view.Stack(
        name=stack,
        resources=tuple(
            view.Resource(
                urn=declared.urn,
                type=declared.type,
                name=declared.name,
                parent=declared.parent,
                inputs=_masked(declared.inputs),
                protect=declared.protect,
                provider=declared.provider,
                depends_on=declared.depends_on,
            )
            # A program declares in parallel: their order is another one each time.
            for declared in sorted(declaration.resources.values(), key=lambda r: r.urn)
        ),
        default_tags=_default_tags(stack),
        today=today or date.today(),
    )


def _default_tags(stack: str) -> Mapping[str, str]:
    config = {key: text for key, text, _ in engine.read_stack(stack)}
    return json.loads(config.get("aws:defaultTags", "{}")).get("tags", {})


def _masked(value: Any) -> Any:
    """The rules see where a secret is, never what it is."""
    if isinstance(value, engine.Secret):
        return view.Secret()
    if isinstance(value, dict):
        return {key: _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return value
