"""Two stacks in one cluster: one installs KEDA, the other has a namespace of its own and uses it."""

from dataclasses import replace

import pytest

from tests.harness.airflow_api import Api
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stacks(checkout):
    """The stack local, and the stack second in the namespace flow; both are scaled by KEDA."""
    # The requests of both stacks fit two cores.
    checkout.change("local", workers={"scaling": "queue", "max": 2, "cpu": 0.1})
    second = checkout.file("second")
    second.write_text(checkout.file("local").read_text())
    checkout.change("second", cluster={"namespace": "flow"}, keda={"existing": True})
    checkout.change("local", keda={"all_namespaces": True})
    try:
        yield checkout
    finally:
        for name in ("second", "local"):
            checkout.make("down", name)


def test_two_stacks_share_a_cluster(stacks, cluster, nothing_is_left):
    flow = replace(cluster, namespace="flow")

    # KEDA is not installed yet.
    status, output = stacks.make("up", "second")
    assert status != 0
    assert "there is no KEDA in namespace 'keda'" in output

    stacks.done("up")
    output = stacks.done("up", stack="second")
    assert "Airflow is healthy." in output
    assert "--namespace flow port-forward svc/airflow-api-server 8080" in output
    for each in (cluster, flow):
        assert _runs_a_dag(each)
        wait_for("scaling", lambda each=each: _is_scaled(each))
    assert "queue" in stacks.done("queues", stack="second")

    # Nothing of the other stack changes.
    stacks.change("second", cluster={"namespace": "elsewhere"})
    status, output = stacks.make("up", "second")
    assert status != 0
    assert "this stack is deployed in the namespace flow" in output
    stacks.change("second", cluster={"namespace": "flow"})
    status, output = stacks.make("down")
    assert status != 0
    assert "KEDA of this cluster, which also scales workers in flow" in output

    assert "All resources were deleted." in stacks.done("down", stack="second")
    assert "flow" not in {n["metadata"]["name"] for n in cluster.get("namespaces")}
    assert _runs_a_dag(cluster)
    assert _is_scaled(cluster)
    nothing_is_left(*stacks.make("down"))


def _runs_a_dag(cluster):
    with Api.open(cluster) as api:
        return api.run("word_count")["state"] == "success"


def _is_scaled(cluster):
    (scaled,) = cluster.get("scaledobjects.keda.sh")
    conditions = {c["type"]: c["status"] for c in scaled["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"
