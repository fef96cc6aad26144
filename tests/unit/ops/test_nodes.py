"""The reason that EKS gives when nodes do not start."""

import json
import os

import pytest

from ops import lifecycle, nodes
from ops.kubernetes import Kubernetes
from ops.stack import Stack

CLUSTER = Kubernetes(name="dev", namespace="airflow", arguments=["--kubeconfig", "dev.kubeconfig"])


def found(kind, status, reason="", message=""):
    condition = {"type": "Ready", "status": status, "reason": reason, "message": message}
    return {"kind": kind, "metadata": {"name": "airflow"}, "status": {"conditions": [condition]}}


NOT_READY = {
    "items": [
        found("NodeClass", "False", "SubnetsNotFound", "no subnets"),
        found("NodePool", "True"),
        found("NodeClaim", "Unknown"),
        {"kind": "NodePool", "metadata": {"name": "new"}},
    ]
}
LINE = "NodeClass airflow: Ready is false: SubnetsNotFound: no subnets"


def test_only_objects_that_are_not_ready_have_a_line(tools):
    tools("kubectl", f"printf %s '{json.dumps(NOT_READY)}'")

    assert list(nodes.not_ready(CLUSTER)) == [LINE]


def test_a_cluster_that_does_not_answer_has_no_line(tools):
    tools("kubectl", "exit 1")

    assert list(nodes.not_ready(CLUSTER)) == []


@pytest.mark.parametrize(("name", "explained"), [("dev", True), ("local", False)])
def test_a_failed_update_names_the_reason(
    tools, stack, tmp_path, monkeypatch, capsys, name, explained
):
    tools("pulumi", "exit 5")
    answer = f"printf %s '{json.dumps(NOT_READY)}'"
    tools("kubectl", f"case \"$*\" in *' pods '*) exit 1 ;; *) {answer} ;; esac")
    monkeypatch.setattr(lifecycle.Session, "cluster", lambda _: CLUSTER)
    session = lifecycle.Session(
        settings=stack(name)[1],
        stack=Stack(name=name, file=tmp_path / "Pulumi.yaml", env=dict(os.environ)),
        account=None,
    )

    assert lifecycle.update(session) == 5
    assert (f"Nodes are not ready:\n  {LINE}" in capsys.readouterr().out) is explained
