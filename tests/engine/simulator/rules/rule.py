"""A rule on the inputs of a resource type, with the page of AWS's documentation that it comes from."""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.engine.simulator.schema import Refusal
from tests.engine.simulator.values import UNKNOWN

Inputs = dict[str, Any]
Check = Callable[[Inputs], Iterator[Refusal]]


@dataclass(frozen=True)
class Rule:
    """`tokens` are the types that it is for; none: every type."""

    check: Check
    tokens: tuple[str, ...]
    source: str


RULES: list[Rule] = []


def rule(*tokens: str, source: str) -> Callable[[Check], Check]:
    """Register a check. What a preview does not know yet is None to it, and never refused."""

    def register(check: Check) -> Check:
        RULES.append(Rule(check, tokens, source))
        return check

    return register


def pattern(property_: str, value: Any, regex: str, what: str) -> Iterator[Refusal]:
    """Refuse a text that does not match as a whole. `what` says what it should be."""
    if isinstance(value, str) and not re.fullmatch(regex, value, re.ASCII):
        yield Refusal(property_, f"should be {what}, got {value!r}")


def between(
    property_: str, value: Any, low: float, high: float, unit: str = ""
) -> Iterator[Refusal]:
    if isinstance(value, int | float) and not low <= value <= high:
        yield Refusal(property_, f"should be {low} to {high}{unit}, got {value}")


def one_of(property_: str, value: Any, known: Iterable[Any]) -> Iterator[Refusal]:
    if value is not None and value is not UNKNOWN and value not in known:
        listed = ", ".join(map(str, sorted(known, key=str)))
        yield Refusal(property_, f"should be one of {listed}, got {value!r}")


def exactly_one(inputs: Inputs, *names: str) -> Iterator[Refusal]:
    """An unknown value may turn out to be given, or not."""
    given = [name for name in names if inputs.get(name) not in (None, "", UNKNOWN)]
    unknown = any(inputs.get(name) is UNKNOWN for name in names)
    if len(given) > 1 or not (given or unknown):
        found = " and ".join(given) or "none"
        yield Refusal(names[0], f"exactly one of {', '.join(names)} should be given, got {found}")


def network(property_: str, value: Any, low: int = 0, high: int = 32) -> Iterator[Refusal]:
    """An IPv4 block with a prefix from `low` to `high`.

    AWS cuts host bits off; the provider refuses them, since it would see a difference for ever.
    """
    if not isinstance(value, str):
        return
    # Python takes an address alone, and a mask for a prefix.
    if not re.search(r"/\d{1,2}$", value):
        yield Refusal(property_, f"should be an IPv4 CIDR block such as 10.0.0.0/16, got {value!r}")
        return
    try:
        block = ipaddress.IPv4Network(value)
    except ValueError as bad:
        yield Refusal(property_, f"should be an IPv4 CIDR block ({bad})")
        return
    if not low <= block.prefixlen <= high:
        yield Refusal(property_, f"should be /{low} to /{high}, got {value!r}")


def document(property_: str, value: Any) -> tuple[Any, list[Refusal]]:
    """The JSON of a text, or why it is none. Without a text: neither."""
    if not isinstance(value, str):
        return None, []
    try:
        return json.loads(value), []
    except ValueError as bad:
        return None, [Refusal(property_, f"should be JSON ({bad})")]
