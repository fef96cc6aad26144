"""A check before an operation of a moto backend."""

import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest.mock import patch


@dataclass(frozen=True)
class Guard:
    """`check` gets the backend and the arguments of `operation`, and raises the error of AWS.

    `source` is the page of AWS's documentation.
    """

    backend: type
    operation: str
    check: Callable[[Any, dict[str, Any]], None]
    source: str


def guards(
    backend: type, api: str, *rows: tuple[str, str, *tuple[Callable[..., None], ...]]
) -> tuple[Guard, ...]:
    """A row: the operation of moto, that of AWS in the documentation `api`, and its checks."""
    return tuple(
        Guard(backend, operation, check, f"{api}API_{page}.html")
        for operation, page, *checks in rows
        for check in checks
    )


def apply(guard: Guard, patches: ExitStack) -> None:
    original = getattr(guard.backend, guard.operation)
    signature = inspect.signature(original)

    # `wraps` keeps the signature for the next guard of the operation.
    @wraps(original)
    def guarded(backend: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(backend, *args, **kwargs)
        bound.apply_defaults()
        guard.check(backend, bound.arguments)
        return original(backend, *args, **kwargs)

    patches.enter_context(patch.object(guard.backend, guard.operation, guarded))
