"""AWS's documented rules on inputs."""

from typing import Any

from tests.engine.simulator.schema import Refusal


def mistakes(token: str, inputs: dict[str, Any]) -> list[Refusal]:
    return []
