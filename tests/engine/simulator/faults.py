"""Fault injection: errors, delays and outages of a real account, on request of a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError


@dataclass
class Fault:
    """A fault of an operation (`create`, `read`, `update`, `delete`) on matching resources.

    `token` and `name` select the resource; empty matches any. The fault skips the first `skip` operations
    and applies to the next `times`. `error` is an AWS error code, `seconds` a delay. With `late` the fault
    follows the operation: AWS has completed it, but Pulumi has no response yet.
    """

    operation: str
    token: str = ""
    name: str = ""
    skip: int = 0
    times: int = 1
    error: str = ""
    message: str = "injected by a test"
    seconds: float = 0
    late: bool = False
    matched: int = 0
    waiting: int = 0
    cleared: threading.Event = field(default_factory=threading.Event)

    def matches(self, operation: str, token: str, name: str) -> bool:
        return operation == self.operation and self.token in ("", token) and self.name in ("", name)


@dataclass
class Faults:
    # Operations in progress.
    busy: int = 0
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **fault: Any) -> None:
        with self.lock:
            self.faults.append(Fault(**fault))

    def clear(self) -> None:
        """Remove all faults and resume the operations that they hold."""
        with self.lock:
            for fault in self.faults:
                # Also resumes an operation that has matched the fault and does not wait yet.
                fault.cleared.set()
            self.faults.clear()

    @contextmanager
    def around(
        self, operation: str, token: str, name: str, cancelled: threading.Event
    ) -> Iterator[None]:
        """Run one operation with its fault. Raises the error of an AWS client."""
        fault = self._next(operation, token, name)
        with self.lock:
            self.busy += 1
        try:
            if fault and not fault.late:
                self._apply(fault, cancelled)
            yield
            if fault and fault.late:
                self._apply(fault, cancelled)
        finally:
            with self.lock:
                self.busy -= 1

    def _next(self, operation: str, token: str, name: str) -> Fault | None:
        with self.lock:
            fault = next((f for f in self.faults if f.matches(operation, token, name)), None)
            if fault is None:
                return None
            fault.matched += 1
            return fault if fault.skip < fault.matched <= fault.skip + fault.times else None

    def _apply(self, fault: Fault, cancelled: threading.Event) -> None:
        if fault.seconds:
            with self.lock:
                fault.waiting += 1
            _wait_for_either(fault.cleared, cancelled, fault.seconds)
            with self.lock:
                fault.waiting -= 1
        if fault.error:
            details = {"Code": fault.error, "Message": fault.message}
            raise ClientError({"Error": details}, fault.operation)

    def report(self) -> dict[str, Any]:
        """The faults, how often each has matched, and how many operations each holds."""
        with self.lock:
            return {"busy": self.busy, "faults": [dict(vars(fault)) for fault in self.faults]}


def _wait_for_either(first: threading.Event, second: threading.Event, seconds: float) -> None:
    step = 0.1
    for _ in range(int(seconds / step)):
        if first.wait(step) or second.is_set():
            return
