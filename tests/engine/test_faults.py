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
    """An operation of AWS in a thread: once `inside`, AWS waits for `continues`."""

    def __init__(self, faults):
        super().__init__(daemon=True)
        self.faults = faults
        self.inside, self.continues, self.cancelled = (threading.Event() for _ in range(3))
        self.start()

    def run(self):
        with self.faults.around("create", VPC, "one", self.cancelled):
            self.inside.set()
            self.continues.wait()

    def ended(self):
        self.join(timeout=10)
        return not self.is_alive()


def run(faults, operation="create", token=VPC, name="one"):
    with faults.around(operation, token, name, threading.Event()):
        return "succeeded"


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


def test_clearing_resumes_an_operation_before_its_delay(faults):
    faults.add(operation="create", seconds=LONG, late=True)
    operation = Operation(faults)
    assert operation.inside.wait(10)

    faults.clear()
    operation.continues.set()

    assert operation.ended(), "it waits for a fault that is already cleared"


def test_a_cancelled_operation_stops_waiting(faults):
    faults.add(operation="create", seconds=LONG)
    operation = Operation(faults)
    wait_for("the operation", lambda: faults.report()["faults"][0]["waiting"], seconds=10)

    operation.cancelled.set()
    operation.continues.set()

    assert operation.ended()
