"""One command at a time uses the database of a stack, and a killed one does not stop the next."""

import os

import pytest

from ops import exclusive
from ops.kubernetes import Kubernetes
from ops.shell import OperationError
from tests.harness.waiting import wait_for
from tests.unit.ops.fake_lease import OTHER, REFUSAL

CLUSTER = Kubernetes(name="c", namespace="airflow", arguments=[])


def held():
    return exclusive.exclusive(CLUSTER, "make drill")


def test_a_command_holds_the_lease_until_it_ends(lease):
    with held():
        assert lease.present["spec"]["holderIdentity"].startswith("`make drill` on ")
        assert f"process {os.getpid()}" in lease.present["spec"]["holderIdentity"]

    assert lease.present is None


def test_a_failed_command_releases_the_lease(lease):
    with pytest.raises(OperationError, match="no room"), held():
        raise OperationError("no room")

    assert lease.present is None


def test_a_lease_that_is_renewed_refuses_the_command(lease):
    lease.hold_and_renew()

    with pytest.raises(OperationError) as refused, held():
        pytest.fail("two commands at once")

    assert str(refused.value) == REFUSAL
    assert lease.present["spec"]["holderIdentity"] == OTHER


def test_a_lease_without_renewal_is_taken_over(lease, capsys):
    lease.hold()

    with held():
        assert len(lease.holders) == 1

    out = capsys.readouterr().out
    assert f"{OTHER}, has used the database since 2026-11-29 09:15 UTC: waiting up to 30 s" in out
    assert "no renewal: the command was killed" in out


def test_a_lease_that_is_released_meanwhile_is_free(lease):
    lease.hold()
    reads = iter([None, None, lambda: setattr(lease, "present", None)])
    lease.on_read = lambda: (next(reads, None) or (lambda: None))()

    with held():
        assert len(lease.holders) == 1


@pytest.mark.parametrize("orphaned", [True, False])
def test_of_two_commands_one_gets_the_lease(lease, monkeypatch, orphaned):
    """Both have read the same: a Lease without renewal, or none."""
    if orphaned:
        lease.hold()
    reads = iter([lease.present])
    lease.hold()
    read = exclusive._read
    monkeypatch.setattr(exclusive, "_read", lambda cluster: next(reads, read(cluster)))
    monkeypatch.setattr(exclusive, "_orphaned", lambda *_: True)

    with pytest.raises(OperationError) as refused, held():
        pytest.fail("two commands at once")

    assert str(refused.value) == REFUSAL


def test_a_long_command_renews_its_lease(lease, monkeypatch):
    monkeypatch.setattr(exclusive, "RENEW_SECONDS", 0)

    with held():
        wait_for("renewals", lambda: lease.renewals > 2)
        assert lease.present["spec"]["renewTime"] > lease.present["spec"]["acquireTime"]


def test_an_outage_of_kubernetes_does_not_lose_the_lease(lease, monkeypatch):
    monkeypatch.setattr(exclusive, "RENEW_SECONDS", 0)
    lease.outage = True

    with held():
        lease.outage = False
        wait_for("renewals", lambda: lease.renewals > 2)

    assert lease.present is None


def test_a_lost_lease_is_reported_and_kept(lease, monkeypatch, capsys):
    """A laptop that slept for longer than the others wait."""
    monkeypatch.setattr(exclusive, "RENEW_SECONDS", 0)
    printed = ""

    def reported():
        nonlocal printed
        printed += capsys.readouterr().out
        return "warning: another command has taken over the Lease airflow-database" in printed

    with held():
        lease.hold()
        wait_for("the warning", reported)

    assert lease.present["spec"]["holderIdentity"] == OTHER
