"""Helm revisions of interrupted and failed commands, with a fake kubectl."""

import base64
import gzip
import json

import pytest

from ops.kubernetes import Kubernetes
from ops.recovery.helm import RELEASE, continue_releases

CLUSTER = Kubernetes(name="kind-a", namespace="airflow", arguments=["--context", "kind-a"])
DELETE = "kubectl --context kind-a delete secret sh.helm.release.v1.airflow.v{} --namespace airflow"


def encoded(content):
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    return base64.b64encode(packed).decode()


def decoded(text):
    return json.loads(gzip.decompress(base64.b64decode(base64.b64decode(text))))


def revision(version, status):
    return {
        "metadata": {
            "name": f"sh.helm.release.v1.airflow.v{version}",
            "namespace": "airflow",
            "labels": {"version": str(version), "status": status},
        },
        "data": {"release": encoded({"info": {"status": status}, "manifest": version})},
    }


@pytest.fixture
def recover(tools, tmp_path):
    """Recover a release with these revisions. Returns the lines, and the changes by revision."""

    def run(*statuses, creating=()):
        found = [revision(number, status) for number, status in enumerate(statuses, 9)]
        # Not in the order of their numbers: kubectl sorts by name.
        (tmp_path / "found").write_text(json.dumps({"items": found[::-1]}))
        tools(
            "kubectl",
            f"""cd {tmp_path}
case "$*" in
*" get secret "*) cat found ;;
*" patch secret "*) cat > "patch-$5" ;;
esac""",
        )
        other = {"type": "kubernetes:core/v1:Secret", "inputs": {"metadata": {"name": "airflow"}}}
        releases = [{"type": RELEASE, "inputs": {"name": name}} for name in creating]
        lines = continue_releases(CLUSTER, {"airflow": "airflow"}, [other, *releases])
        changes = {
            path.name.rpartition(".v")[2]: json.loads(path.read_text())
            for path in tmp_path.glob("patch-*")
        }
        return lines, changes

    return run


@pytest.mark.parametrize("status", ["failed", "pending-upgrade", "pending-rollback"])
def test_helm_continues_from_an_unfinished_revision(recover, status):
    lines, changes = recover("superseded", "deployed", status)

    assert lines == ["continuing from the unfinished Helm revision sh.helm.release.v1.airflow.v11"]
    assert {
        number: (change["metadata"]["labels"]["status"], decoded(change["data"]["release"]))
        for number, change in changes.items()
    } == {
        "10": ("superseded", {"info": {"status": "superseded"}, "manifest": 10}),
        "11": ("deployed", {"info": {"status": "deployed"}, "manifest": 11}),
    }


@pytest.mark.parametrize("statuses", [(), ("deployed",), ("failed", "deployed"), ("failed",)])
def test_a_finished_release_is_left_alone(recover, tools, statuses):
    assert recover(*statuses) == ([], {})
    assert len(tools.calls()) == 1


def test_an_interrupted_first_revision_is_deleted(recover, tools):
    lines, changes = recover("pending-install")

    assert lines == [
        "deleted the Helm revision sh.helm.release.v1.airflow.v9 of an interrupted command"
    ]
    assert changes == {}
    assert tools.calls()[-1] == DELETE.format(9)


def test_every_revision_is_deleted_that_the_state_lacks(recover, tools):
    lines, _ = recover("deployed", "failed", creating=["airflow"])

    assert len(lines) == 2
    assert tools.calls()[1:] == [DELETE.format(10), DELETE.format(9)]
