"""An image that cannot be pulled ends the update, with the pod, the image and the reason."""

import json
import os

import pytest

from ops import image_pulls
from ops.image_pulls import PATIENCE_SECONDS, PullWatch
from ops.session import Session
from ops.stack import Stack

IMAGE = "registry.example.com/git-sync:v4"
DENIED = "failed to pull: failed to authorize:\n401 Unauthorized"
KUBECTL = """cd {folder}
case "$*" in
  *"--namespace keda "*) cat keda ;;
  *" get pods "*part-of*) cat ours ;;
  *" get pods "*) cat chart ;;
  *" get statefulset "*) printf revision-2 ;;
esac"""


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


BACK_OFF = waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {DENIED}')


def pod(state, kind="containerStatuses", **metadata):
    own = {"name": "dag-relay-0", "namespace": "airflow", "labels": {}, **metadata}
    status = {kind: [{"name": "git-sync", "image": IMAGE, "state": state}]}
    return {"metadata": own, "status": status}


@pytest.fixture
def watch(tools, tmp_path, monkeypatch, stack):
    """Watch pods of the program, of the chart and of KEDA for two polls, `seconds` apart."""
    tools("kubectl", KUBECTL.format(folder=tmp_path))
    clock = iter(range(10**6))

    def run(ours=(), chart=(), keda=(), *, seconds=PATIENCE_SECONDS, **images):
        for name, items in {"ours": ours, "chart": chart, "keda": keda}.items():
            (tmp_path / name).write_text(json.dumps({"items": items}))
        settings = stack("local")[1]
        changed = {
            "images": settings.images.model_copy(update=images),
            "workers": settings.workers.model_copy(update={"scaling": "queue"}),
        }
        session = Session(
            settings=settings.model_copy(update=changed),
            stack=Stack(name="local", file=tmp_path, env=dict(os.environ)),
            account=None,
        )
        monkeypatch.setattr(image_pulls.time, "monotonic", lambda: next(clock) * seconds)
        watched = PullWatch(session=session)
        assert not watched.stops(), "the first failure may pass"
        return watched.failure if watched.stops() else None

    return run


def test_a_failure_names_pod_image_and_reason(watch):
    assert watch([pod(BACK_OFF)]).splitlines() == [
        "",
        "The nodes cannot pull an image, so the update was stopped:",
        f"  pod dag-relay-0, container git-sync, image {IMAGE}: failed to pull: failed to authorize: "
        "401 Unauthorized",
        "Correct the image in Pulumi.local.yaml, or set images.pull_secret if the registry needs a "
        "login (docs/clusters.md). Then run `make up STACK=local` again",
    ]


def test_a_failure_with_a_pull_secret_names_it(watch):
    assert "or check the Secret login, of images.pull_secret" in watch(
        [pod(BACK_OFF)], pull_secret="login"
    )


@pytest.mark.parametrize("where", ["ours", "chart", "keda"])
@pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
def test_every_pod_is_watched(watch, where, kind):
    assert IMAGE in watch(**{where: [pod(waiting("ErrImagePull", DENIED), kind)]})


@pytest.mark.parametrize(
    "state",
    [{"running": {}}, waiting("ContainerCreating"), waiting("CrashLoopBackOff", "again")],
    ids=["running", "creating", "crashing"],
)
def test_other_states_do_not_stop_an_update(watch, state):
    assert watch([pod(state)]) is None


def test_a_short_outage_of_the_registry_is_waited_for(watch):
    assert watch([pod(BACK_OFF)], seconds=PATIENCE_SECONDS - 1) is None


def test_a_pod_of_an_earlier_template_is_deleted(watch, tools):
    """The StatefulSet controller would wait for it for ever."""
    owners = [{"kind": "StatefulSet", "name": "dag-relay"}]

    def of(revision):
        labels = {"controller-revision-hash": revision}
        return pod(BACK_OFF, labels=labels, ownerReferences=owners)

    assert watch([of("revision-1")]) is None
    deleted = [call for call in tools.calls() if " delete pod dag-relay-0 " in call]
    assert deleted
    assert IMAGE in watch([of("revision-2")])
    assert [call for call in tools.calls() if " delete pod " in call] == deleted


def test_an_unreachable_cluster_does_not_stop_an_update(watch, tools):
    tools("kubectl", "exit 1")

    assert watch([pod(BACK_OFF)]) is None
