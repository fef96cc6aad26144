"""Helm revisions of interrupted commands, with a fake kubectl."""

import json

import pytest

from ops.kubernetes import Kubernetes
from ops.recovery.helm import RELEASE, clear_interrupted_releases

CLUSTER = Kubernetes(name="kind-a", namespace="airflow", arguments=["--context", "kind-a"])
RELEASES = {"airflow": "airflow", "keda": "keda"}
PENDING = "status in (pending-install,pending-upgrade,pending-rollback)"


@pytest.mark.parametrize(
    ("creating", "of_airflow", "of_keda"),
    [
        ([], f",{PENDING}", f",{PENDING}"),
        (["airflow"], "", f",{PENDING}"),
        (["keda"], f",{PENDING}", ""),
    ],
    ids=["update", "first install", "first install of KEDA"],
)
def test_only_interrupted_revisions_are_deleted(tools, creating, of_airflow, of_keda):
    found = {"items": [{"metadata": {"name": "sh.helm.release.v1.airflow.v2"}}]}
    script = f"*'--namespace airflow --selector'*) echo '{json.dumps(found)}' ;;"
    tools("kubectl", f"case \"$*\" in {script} *' get secret '*) echo '{{\"items\": []}}' ;; esac")
    other = {"type": "kubernetes:core/v1:Secret", "inputs": {"metadata": {"name": "airflow"}}}
    releases = [{"type": RELEASE, "inputs": {"name": name}} for name in creating]

    deleted = clear_interrupted_releases(CLUSTER, RELEASES, [other, *releases])

    assert deleted == ["sh.helm.release.v1.airflow.v2"]
    get_airflow, delete, get_keda = tools.calls()
    get = "kubectl --context kind-a get secret --namespace"
    assert get_airflow == (
        f"{get} airflow --selector owner=helm,name=airflow{of_airflow} --output json"
    )
    assert get_keda == f"{get} keda --selector owner=helm,name=keda{of_keda} --output json"
    assert delete == (
        "kubectl --context kind-a delete secret sh.helm.release.v1.airflow.v2 --namespace airflow"
    )
