"""AWS's documented rules on inputs: what it would refuse before it makes anything."""

from typing import Any

from tests.engine.simulator.rules import clusters, databases, identity, network, storage, tags
from tests.engine.simulator.rules.rule import RULES
from tests.engine.simulator.schema import Refusal
from tests.engine.simulator.values import UNKNOWN

MODULES = (clusters, databases, identity, network, storage, tags)


def mistakes(token: str, inputs: dict[str, Any]) -> list[Refusal]:
    """What AWS's documentation forbids. A value that is not known yet is never refused."""
    refused: list[Refusal] = []
    for rule in RULES:
        if not rule.tokens or token in rule.tokens:
            refused += rule.check(inputs)
    return [r for r in refused if _at(inputs, r.property) is not UNKNOWN]


def _at(inputs: dict[str, Any], path: str) -> Any:
    return inputs.get(path.partition(".")[0].partition("[")[0])
