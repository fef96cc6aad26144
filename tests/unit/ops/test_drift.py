"""Drift of the Helm release, with a fake kubectl."""

import base64
import gzip
import json

import pytest
import yaml

from ops import drift
from ops.kubernetes import Kubernetes
from ops.shell import OperationError

CLUSTER = Kubernetes(name="dev", namespace="airflow", arguments=["--kubeconfig", "k"])
OBJECTS = [
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}},
    {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "complete"}},
]


def helm_secret(objects):
    text = yaml.safe_dump_all(objects)
    packed = gzip.compress(json.dumps({"manifest": text}).encode())
    data = {"release": base64.b64encode(base64.b64encode(packed)).decode()}
    return json.dumps({"items": [{"data": data}]})


def test_objects_of_helm_are_compared_without_jobs(tools):
    tools("kubectl", f"printf %s '{helm_secret(OBJECTS)}'")

    assert drift.manifest(CLUSTER) == OBJECTS[:1]
    assert drift.release(CLUSTER) == OBJECTS
    call, _ = tools.calls()
    assert "owner=helm,name=airflow,status=deployed" in call


def test_the_diff_is_empty_without_drift(tools):
    tools("kubectl", "echo '-  replicas: 7'; exit 1")
    assert "replicas: 7" in drift.differences(CLUSTER, OBJECTS)

    tools("kubectl", "exit 0")
    assert drift.differences(CLUSTER, OBJECTS) == ""


def test_a_failing_diff_is_an_error(tools):
    tools("kubectl", "echo forbidden >&2; exit 2")

    with pytest.raises(OperationError, match="forbidden"):
        drift.differences(CLUSTER, OBJECTS)


def test_drift_is_reverted_as_field_manager_helm(tools):
    tools("kubectl", "cat > /dev/null")
    drift.restore(CLUSTER, OBJECTS)

    (call,) = tools.calls()
    assert "apply --namespace airflow --server-side --force-conflicts --field-manager=helm" in call
