"""Polling."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Poll until the condition returns something truthy, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {seconds:g} s")
