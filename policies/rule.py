"""A policy rule and its findings."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from policies.view import Stack

Level = Literal["every stack", "production", "production, else a warning"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A breach: the resource, what was found, how to fix it. A `warning` does not fail the stack."""

    resource: str
    what: str
    fix: str
    urn: str = ""
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A check of all resources; `reason` states the risk.

    `excusable`: `policies.exceptions` may name the rule. `former_name`: the name before the last
    rename; `policies.exceptions` accepts it for one release, with a warning.

    `seen_by`: `plan` rules run in `make plan` only, because the engine passes values to a
    policy pack without their secret marks, or with defaults that the cloud filled in. A `preview`
    rule needs Pulumi's comparison with the deployed resources.
    """

    name: str
    reason: str
    check: Callable[[Stack], Iterator[Finding]]
    former_name: str | None = None
    level: Level = "every stack"
    excusable: bool = False
    seen_by: Literal["plan and pack", "plan", "preview"] = "plan and pack"

    def findings(self, stack: Stack, level: str) -> Iterator[Finding]:
        """The findings in a stack with this `policies.level`."""
        if self.level in ("every stack", level):
            yield from self.check(stack)
        elif self.level == "production, else a warning":
            for finding in self.check(stack):
                yield finding if level == "production" else replace(finding, warning=True)

    def explain(self, finding: Finding) -> str:
        return f"{self.name}: {finding.resource}: {finding.what}. {self.reason}. {finding.fix}."

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,) if self.former_name is None else (self.name, self.former_name)

    def exception_key(self, exceptions: Collection[str]) -> str | None:
        """The key under which `exceptions` excuse this rule: its name or its former name."""
        return next((key for key in self.names if key in exceptions), None)
