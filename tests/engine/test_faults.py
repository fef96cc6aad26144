"""Fault injection: a fault matches its resource, applies N times, and ends when it is cleared."""

import threading

import pytest
from botocore.exceptions import ClientError

from tests.engine.simulator.faults import Faults
from tests.harness.waiting import wait_for

VPC, ROLE = "aws:ec2/vpc:Vpc", "aws:iam/role:Role"
LONG = 300


@pytest.fixture
def faults():
    injector = Faults()
    yield injector
    injector.clear()


class Operation(threading.Thread):
    """An operation of AWS in a thread; `done` is set when AWS has completed it."""

    def __init__(self, faults, begins=None):
        super().__init__(daemon=True)
        self.faults = faults
        self.begins = begins or threading.Event()
        self.inside, self.done, self.cancelled = (threading.Event() for _ in range(3))
        if begins is None:
            self.begins.set()
        self.start()

    def run(self):
        with self.faults.around("create", VPC, "one", self.cancelled):
            self.inside.set()
            self.begins.wait()
            self.done.set()

    def ended(self):
        self.join(timeout=10)
        return not self.is_alive()


def run(faults, operation="create", token=VPC, name="one"):
    with faults.around(operation, token, name, threading.Event()):
        return "succeeded"


def waits(faults):
    return any(fault["waiting"] for fault in faults.report()["faults"])


@pytest.mark.parametrize(
    "other",
    [{"operation": "delete"}, {"token": ROLE}, {"name": "two"}],
    ids=["operation", "type", "name"],
)
def test_a_fault_matches_only_its_resource(faults, other):
    faults.add(operation="create", token=VPC, name="one", error="Throttling")

    assert run(faults, **other) == "succeeded"
    with pytest.raises(ClientError, match="Throttling"):
        run(faults)


def test_a_fault_skips_and_repeats(faults):
    faults.add(operation="create", skip=1, times=2, error="Throttling")

    assert run(faults) == "succeeded"
    for _ in range(2):
        with pytest.raises(ClientError):
            run(faults)
    assert run(faults) == "succeeded"


def test_a_failed_operation_does_not_run(faults):
    faults.add(operation="create", error="Throttling")
    operation = threading.Event()

    with pytest.raises(ClientError), faults.around("create", VPC, "one", threading.Event()):
        operation.set()

    assert not operation.is_set()


@pytest.mark.parametrize("late", [False, True])
def test_a_delay_is_before_or_after_the_operation(faults, late):
    faults.add(operation="create", seconds=LONG, late=late)
    operation = Operation(faults)
    wait_for("the operation to wait", lambda: waits(faults), seconds=10)

    assert operation.done.is_set() is late
    assert faults.report()["busy"] == 1
    faults.clear()
    assert operation.ended()
    assert operation.done.is_set()
    assert faults.report() == {"busy": 0, "faults": []}


def test_clearing_resumes_an_operation_before_its_delay(faults):
    faults.add(operation="create", seconds=LONG, late=True)
    works = threading.Event()
    operation = Operation(faults, begins=works)
    assert operation.inside.wait(10)

    faults.clear()
    works.set()

    assert operation.ended(), "it waits for a fault that is already cleared"


def test_a_cancelled_operation_stops_waiting(faults):
    faults.add(operation="create", seconds=LONG)
    operation = Operation(faults)
    wait_for("the operation to wait", lambda: waits(faults), seconds=10)

    operation.cancelled.set()

    assert operation.ended()
