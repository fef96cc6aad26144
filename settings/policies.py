"""Section `policies`: which rules apply, and the exceptions of a stack."""

from typing import Literal

from pydantic import Field, field_validator

from policies.rules import RULES
from settings.types import Section

MIN_REASON = 30


class PolicySettings(Section):
    """Policy rules that apply to the stack"""

    level: Literal["production", "development"] = Field(
        default="production",
        description="`production`: all rules; `development`: only rules for every stack (docs/policies.md)",
    )
    exceptions: dict[str, str] = Field(
        default={},
        json_schema_extra={
            "propertyNames": {"enum": [name for r in RULES if r.excusable for name in r.names]},
            "additionalProperties": {"type": "string", "minLength": MIN_REASON},
        },
        description=f"Rules that the stack may break: `rule: reason`, with at least {MIN_REASON} characters",
    )

    @field_validator("exceptions")
    @classmethod
    def _exceptions_are_valid(cls, exceptions: dict[str, str]) -> dict[str, str]:
        rules = {key: rule for rule in RULES for key in rule.names if key in exceptions}
        excusable = ", ".join(sorted(rule.name for rule in RULES if rule.excusable))
        errors = [
            f"{key} is not a rule; rules that allow an exception: {excusable}"
            for key in exceptions
            if key not in rules
        ]
        errors += [
            f"{key} does not allow an exception"
            for key in exceptions
            if key in rules and not rules[key].excusable
        ]
        errors += [
            f"{key} is the former name of {rule.name}; remove {key}"
            for key, rule in rules.items()
            if key == rule.former_name and rule.name in exceptions
        ]
        errors += [
            f"{key} needs a reason of at least {MIN_REASON} characters: who decided, until when"
            for key, reason in exceptions.items()
            if len(reason.strip()) < MIN_REASON
        ]
        if errors:
            raise ValueError("; ".join(errors))
        return exceptions
