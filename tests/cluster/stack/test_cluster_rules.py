"""Labels and limits that a company demands reach every pod of a stack that is already deployed."""

import pytest

from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow

LABEL = {"cost-center": "data-platform"}


def test_new_rules_reach_every_pod_and_leave_again(settings, checkout, cluster):
    def followed_by(pod):
        spec = pod["spec"]
        containers = [*spec.get("initContainers", []), *spec["containers"]]
        limited = all("cpu" in c["resources"].get("limits", {}) for c in containers)
        return limited and LABEL.items() <= pod["metadata"]["labels"].items()

    def pods(*, follow):
        every = [p for p in cluster.get("pods") if p["status"]["phase"] != "Succeeded"]
        return [p["metadata"]["name"] for p in every if followed_by(p) is follow]

    assert not pods(follow=True)
    settings(kubernetes={"pod_labels": LABEL, "cpu_limits": True})

    assert "Airflow is healthy." in checkout.up()
    wait_for("every pod with the rules", lambda: not pods(follow=False), seconds=240)
    assert "unchanged" in checkout.up()

    settings(kubernetes={"pod_labels": {}, "cpu_limits": False})
    assert "Airflow is healthy." in checkout.up()
    wait_for("every pod without them", lambda: not pods(follow=True), seconds=240)
