"""What a rule is, and what it says when it is broken."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from policies.view import Stack


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One breach: which resource, what was found there, what to do. A `warning` stops nothing."""

    resource: str
    what: str
    fix: str
    urn: str = ""
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`reason` is why anybody should care; `excusable`: a stack may have a good reason to differ.

    Not everything can be seen everywhere. `plan`: only by `make plan`, because the engine hands values to
    policies without their secret marks, or as the cloud has completed them. `preview`: only when Pulumi
    compares with what is there.
    """

    name: str
    reason: str
    check: Callable[[Stack], Iterator[Finding]]
    level: Literal["every stack", "production"] = "every stack"
    excusable: bool = False
    seen_by: Literal["plan and pack", "plan", "preview"] = "plan and pack"

    def explain(self, finding: Finding) -> str:
        return f"{self.name}: {finding.resource}: {finding.what}. {self.reason}. {finding.fix}."
