"""The section about rules: how strict they are, and what a stack is excused from."""

from typing import Literal

from pydantic import Field, field_validator

from policies.rules import RULES
from settings.types import Section

MIN_REASON = 30


class PolicySettings(Section):
    level: Literal["production", "development"] = Field(
        default="production",
        description="Which rules hold: all of them, or those for every stack (docs/policies.md)",
    )
    exceptions: dict[str, str] = Field(
        default={},
        description=f"Rules that this stack may break: `rule: reason`, {MIN_REASON} characters at least",
    )

    @field_validator("exceptions")
    @classmethod
    def _exceptions_are_legitimate(cls, exceptions: dict[str, str]) -> dict[str, str]:
        rules = {rule.name: rule for rule in RULES}
        unknown = [
            f"{name} is no rule; docs/policies.md lists them"
            for name in exceptions
            if name not in rules
        ]
        refused = [
            f"{name} allows no exception"
            for name in exceptions
            if name in rules and not rules[name].excusable
        ]
        short = [
            f"{name} needs a reason of {MIN_REASON} characters at least: who decided, until when"
            for name, reason in exceptions.items()
            if len(reason.strip()) < MIN_REASON
        ]
        if unknown or refused or short:
            raise ValueError("; ".join(unknown + refused + short))
        return exceptions
