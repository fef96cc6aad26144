"""Faults that a test asks for: they meet what was named, as often as it was said, and end when healed."""

import threading

import pytest
from botocore.exceptions import ClientError

from tests.engine.simulator.faults import Faults
from tests.harness.cluster import wait_for

VPC, ROLE = "aws:ec2/vpc:Vpc", "aws:iam/role:Role"
LONG = 300


@pytest.fixture
def faults():
    made = Faults()
    yield made
    made.heal()


class Operation(threading.Thread):
    """One operation of AWS in a thread of its own; `done` is set when AWS has done its part."""

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

    def has_ended(self):
        self.join(timeout=10)
        return not self.is_alive()


def meet(faults, operation="create", token=VPC, name="one"):
    with faults.around(operation, token, name, threading.Event()):
        return "went through"


def waits(faults):
    return any(fault["waiting"] for fault in faults.report()["faults"])


@pytest.mark.parametrize(
    "other",
    [{"operation": "delete"}, {"token": ROLE}, {"name": "two"}],
    ids=["operation", "type", "name"],
)
def test_a_fault_meets_what_it_names_and_nothing_else(faults, other):
    faults.add(operation="create", token=VPC, name="one", error="Throttling")

    assert meet(faults, **other) == "went through"
    with pytest.raises(ClientError, match="Throttling"):
        meet(faults)


def test_a_fault_happens_to_the_nth_and_as_often_as_it_was_said(faults):
    faults.add(operation="create", skip=1, times=2, error="Throttling")

    assert meet(faults) == "went through"
    for _ in range(2):
        with pytest.raises(ClientError):
            meet(faults)
    assert meet(faults) == "went through"


def test_a_failed_operation_is_not_done(faults):
    faults.add(operation="create", error="Throttling")
    operation = threading.Event()

    with pytest.raises(ClientError), faults.around("create", VPC, "one", threading.Event()):
        operation.set()

    assert not operation.is_set()


@pytest.mark.parametrize("late", [False, True])
def test_a_slow_operation_waits_before_or_after_aws_has_done_its_part(faults, late):
    faults.add(operation="create", seconds=LONG, late=late)
    operation = Operation(faults)
    wait_for("the operation to wait", lambda: waits(faults), seconds=10)

    assert operation.done.is_set() is late
    assert faults.report()["busy"] == 1
    faults.heal()
    assert operation.has_ended()
    assert operation.done.is_set()
    assert faults.report() == {"busy": 0, "faults": []}


def test_healing_also_ends_a_fault_that_was_met_and_does_not_wait_yet(faults):
    faults.add(operation="create", seconds=LONG, late=True)
    works = threading.Event()
    operation = Operation(faults, begins=works)
    assert operation.inside.wait(10)

    faults.heal()
    works.set()

    assert operation.has_ended(), "it would wait for a fault that nobody can end any more"


def test_a_cancelled_operation_waits_no_longer(faults):
    faults.add(operation="create", seconds=LONG)
    operation = Operation(faults)
    wait_for("the operation to wait", lambda: waits(faults), seconds=10)

    operation.cancelled.set()

    assert operation.has_ended()
