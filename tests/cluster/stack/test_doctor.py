"""`make doctor` on the running stack: the part that needs no AWS."""

import os
import signal

import pytest

from ops.doctor.network_policy import KINDS
from tests.harness.processes import kill_session
from tests.harness.waiting import wait_for

# It watches each new pod for half a minute.
pytestmark = pytest.mark.slow

NAMESPACE = "airflow-doctor"


def pods(cluster):
    return {pod["metadata"]["uid"] for pod in cluster.get("pods", namespace=NAMESPACE)}


def namespaces(cluster):
    return {n["metadata"]["name"] for n in cluster.get("namespaces")}


def rows(output):
    """Verdict and observation by item."""
    cells = [line.strip("|").split(" | ") for line in output.splitlines() if line.startswith("| ")]
    return {c[0].strip(): (c[3].strip(), c[2].strip()) for c in cells}


def test_doctor_tests_the_policies_and_cleans_up(installed, checkout, cluster):
    found = rows(checkout.done("doctor"))

    for kind in KINDS:
        item = (
            "NetworkPolicy for a bare pod"
            if kind == "Pod"
            else f"NetworkPolicy for pods of a {kind}"
        )
        assert found[item] == ("as documented", "enforced: the closed port is closed")
    assert found["first moments of a pod"][0] == "as documented"
    verdict, why = found["expireAfter of a NodePool"]
    assert (verdict, why) == ("not checked", "the cluster has no EKS Auto Mode")
    assert NAMESPACE not in namespaces(cluster)


def test_a_killed_doctor_is_cleaned_up_by_the_next(installed, checkout, cluster):
    process = checkout.start("doctor")
    wait_for("its namespace", lambda: NAMESPACE in namespaces(cluster))
    kill_session(process)
    process.communicate()
    assert NAMESPACE in namespaces(cluster)
    left = pods(cluster)

    process = checkout.start("doctor")
    wait_for("the probe", lambda: pods(cluster) - left)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)

    assert NAMESPACE not in namespaces(cluster), "Ctrl-C also deletes it"
