"""Faults on request: what goes wrong in a real account, when a test wants it to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError


@dataclass
class Fault:
    """What happens when an operation (`create`, `read`, `update`, `delete`) meets a resource.

    `token` and `name` choose the resource; empty means any. `skip` lets that many through first, `times`
    is how often it happens. `error` is an AWS error code. `seconds` is how long the operation takes more;
    with `late` AWS has done its part by then, and Pulumi has not heard of it.
    """

    operation: str
    token: str = ""
    name: str = ""
    skip: int = 0
    times: int = 1
    error: str = ""
    message: str = "on request of a test"
    seconds: float = 0
    late: bool = False
    met: int = 0
    waiting: int = 0
    healed: threading.Event = field(default_factory=threading.Event)

    def meets(self, operation: str, token: str, name: str) -> bool:
        return operation == self.operation and self.token in ("", token) and self.name in ("", name)


@dataclass
class Faults:
    # Operations that AWS works on right now.
    busy: int = 0
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **fault: Any) -> None:
        with self.lock:
            self.faults.append(Fault(**fault))

    def heal(self) -> None:
        """No faults any more, and who waits in one goes on."""
        with self.lock:
            for fault in self.faults:
                # Also for an operation that has met it and does not wait yet.
                fault.healed.set()
            self.faults.clear()

    @contextmanager
    def around(
        self, operation: str, token: str, name: str, cancelled: threading.Event
    ) -> Iterator[None]:
        """One operation. Raises what a client of AWS would see."""
        fault = self._next(operation, token, name)
        with self.lock:
            self.busy += 1
        try:
            if fault and not fault.late:
                self._happen(fault, cancelled)
            yield
            if fault and fault.late:
                self._happen(fault, cancelled)
        finally:
            with self.lock:
                self.busy -= 1

    def _next(self, operation: str, token: str, name: str) -> Fault | None:
        with self.lock:
            fault = next((f for f in self.faults if f.meets(operation, token, name)), None)
            if fault is None:
                return None
            fault.met += 1
            return fault if fault.skip < fault.met <= fault.skip + fault.times else None

    def _happen(self, fault: Fault, cancelled: threading.Event) -> None:
        if fault.seconds:
            with self.lock:
                fault.waiting += 1
            _wait_for_either(fault.healed, cancelled, fault.seconds)
            with self.lock:
                fault.waiting -= 1
        if fault.error:
            told = {"Code": fault.error, "Message": fault.message}
            raise ClientError({"Error": told}, fault.operation)

    def report(self) -> dict[str, Any]:
        """What is set, how often each was met, and how many operations wait in it right now."""
        with self.lock:
            return {"busy": self.busy, "faults": [dict(vars(fault)) for fault in self.faults]}


def _wait_for_either(one: threading.Event, other: threading.Event, seconds: float) -> None:
    step = 0.1
    for _ in range(int(seconds / step)):
        if one.wait(step) or other.is_set():
            return
