"""The private endpoint of prod, and machines inside and outside its networks."""

import os
import subprocess
import time
from dataclasses import replace

import pytest

from tests.engine.scenarios.infrastructure.conftest import FROM, kill
from tests.engine.simulator import identity
from tests.engine.simulator.backends.endpoint import Machine

pytestmark = [pytest.mark.faults, pytest.mark.slow]

CLUSTER = "aws:eks/cluster:Cluster"
CONNECTED = {"private_access_cidrs": ["10.8.0.0/16"]}
# 30 on an idle machine.
SECONDS = 60


@pytest.fixture
def outside(prod, account):
    """The stack prod, and a machine that only `FROM=` lets in."""
    account.move()
    yield replace(prod, variables=())
    account.move()


def _public_networks(account):
    """Networks that reach the public endpoint of the cluster."""
    eks = account.client("eks")
    (name,) = eks.list_clusters()["clusters"]
    config = eks.describe_cluster(name=name)["cluster"]["resourcesVpcConfig"]
    return config["publicAccessCidrs"] if config["endpointPublicAccess"] else []


def _refused(stack, account, target="up"):
    """The message of a command that must change nothing."""
    before, started = account.inventory(), time.monotonic()
    status, output = stack.make(target)
    assert status != 0, output
    assert time.monotonic() - started < SECONDS
    assert account.inventory() == before
    assert "Nothing was changed" in output
    assert "Traceback" not in output
    return output


def _answers(stack):
    command = ["kubectl", "--kubeconfig", str(stack.checkout.folder / ".state/prod.kubeconfig")]
    done = subprocess.run(
        [*command, "get", "--raw", "/readyz", "--request-timeout=3s"],
        env={**os.environ, **stack.environment},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def test_a_first_up_without_from_names_the_command(outside, account):
    assert "make up STACK=prod FROM=<your public address>" in _refused(outside, account)


def _kill_up(stack, account, moment):
    """Kill `make up FROM=`; the endpoint stays open until the next command closes it."""
    kill(stack, account, moment, "up", FROM)
    assert _public_networks(account) == [f"{Machine.public}/32"]

    _refused(stack, account)
    assert _public_networks(account) == []


def test_a_killed_up_ends_the_same_and_closes_the_endpoint(outside, account, cluster):
    account.fault("create", CLUSTER, seconds=300, late=True)
    _kill_up(outside, account, account.waiting)

    pending = ["secrets", "-l", "owner=helm,status=pending-install"]
    _kill_up(outside, account, lambda: cluster.get(*pending))

    output = outside.up(FROM)

    assert "Airflow is healthy." in output
    assert _public_networks(account) == []
    assert len(account.client("eks").list_clusters()["clusters"]) == 1
    assert not _answers(outside)


def test_prod_comes_up_from_a_laptop_outside_of_its_vpc(outside, account):
    output = outside.up(FROM)

    assert "Airflow is healthy." in output
    assert "the Kubernetes API endpoint is private again" in output
    assert _public_networks(account) == []
    assert not _answers(outside)
    assert not list(outside.checkout.folder.glob(".state/*.open.yaml"))

    assert "FROM=<your public address>" in _refused(outside, account)
    assert "cluster.private_access_cidrs" in _refused(outside, account, "queues")
    assert "unchanged" in outside.up(FROM), "opened for one command, without another change"
    assert not _answers(outside)


def test_a_private_access_network_needs_no_public_endpoint(outside, account):
    outside.change(cluster=CONNECTED)
    outside.up(FROM)

    account.move(private="10.8.0.9")
    assert _answers(outside)
    assert "Airflow is healthy." in outside.up()
    assert _public_networks(account) == []

    account.move(private="10.9.0.9")
    _refused(outside, account)


def test_another_person_gets_an_access_entry(outside, account):
    outside.up(FROM)
    account.log_in(identity.COLLEAGUE_ROLE)
    try:
        output = outside.up(FROM)
    finally:
        account.log_in(identity.ROLE)

    assert "does not know the AWS identity of this shell: adding its access entry" in output
    assert "Airflow is healthy." in output
    eks = account.client("eks")
    (name,) = eks.list_clusters()["clusters"]
    entries = eks.list_access_entries(clusterName=name)["accessEntries"]
    assert identity.COLLEAGUE in entries
    assert identity.CALLER not in entries, "only listed roles and the last caller"
