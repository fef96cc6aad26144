"""What an update would wait for in vain ends it, with the object and the reason."""

import json
import os

import pytest

from ops import update_watch
from ops.recovery.helm import RELEASE
from ops.session import Session
from ops.stack import Stack
from ops.update_watch import PATIENCE_SECONDS, UpdateWatch, explain_pods

IMAGE = "registry.example.com/git-sync:v4"
DENIED = "failed to pull: failed to authorize:\n401 Unauthorized"
KUBECTL = """cd {folder}
case "$*" in
  *"--namespace keda "*) cat keda ;;
  *" get pods "*part-of*) cat ours ;;
  *" get pods "*) cat chart ;;
  *" get jobs "*) cat jobs ;;
esac"""


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


BACK_OFF = waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {DENIED}')


def pod(state, kind="containerStatuses", **container):
    status = {kind: [{"name": "git-sync", "image": IMAGE, "state": state, **container}]}
    return {"metadata": {"name": "dag-relay-0"}, "status": status}


def job(uid="1", status="True", kind="Failed"):
    condition = {"type": kind, "status": status, "message": "backoff limit reached"}
    metadata = {"name": "airflow-run-airflow-migrations", "uid": uid}
    return {"metadata": metadata, "status": {"conditions": [condition]}}


@pytest.fixture
def watch(tools, tmp_path, monkeypatch, stack):
    """Watch pods of the program, of the chart and of KEDA for two polls, `seconds` apart."""
    tools("kubectl", KUBECTL.format(folder=tmp_path))
    clock = iter(range(10**6))

    events = tmp_path / "events"

    def answer(**items):
        for name in ("ours", "chart", "keda", "jobs"):
            (tmp_path / name).write_text(json.dumps({"items": items.get(name, ())}))

    def run(ours=(), *, jobs=(), log="", seconds=PATIENCE_SECONDS, images=(), **pods):
        answer(ours=ours, **pods)
        settings = stack("local")[1]
        changed = {
            "images": settings.images.model_copy(update=dict(images)),
            "workers": settings.workers.model_copy(update={"scaling": "queue"}),
        }
        session = Session(
            settings=settings.model_copy(update=changed),
            stack=Stack(name="local", file=tmp_path, env=dict(os.environ)),
            account=None,
        )
        monkeypatch.setattr(update_watch.time, "monotonic", lambda: next(clock) * seconds)
        run.watched = UpdateWatch(session=session, events=events)
        assert not run.watched.stops(), "the first failure may pass"
        answer(ours=ours, jobs=jobs, **pods)
        events.write_text(log)
        return run.watched.failure if run.watched.stops() else None

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
        [pod(BACK_OFF)], images={"pull_secret": "login"}
    )


def test_a_missing_secret_ends_an_update(watch):
    found = watch([pod(waiting("CreateContainerConfigError", 'secret "task-logs" not found'))])

    assert found.splitlines() == [
        "",
        "Containers refer to a Secret or ConfigMap that does not exist, so the update was stopped:",
        '  pod dag-relay-0, container git-sync: CreateContainerConfigError: secret "task-logs" not '
        "found",
        "Create what is missing, or correct its name in Pulumi.local.yaml or values/. Then run "
        "`make up STACK=local` again",
    ]


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


def test_an_unreachable_cluster_does_not_stop_an_update(watch, tools):
    tools("kubectl", "exit 1")

    assert watch([pod(BACK_OFF)]) is None


def failed(type_, last="}\n"):
    event = {"resOpFailedEvent": {"metadata": {"type": type_, "op": "create"}}}
    return json.dumps({"preludeEvent": {}}) + "\n" + json.dumps(event)[:-1] + last


def test_a_failed_release_ends_an_update(watch):
    assert "The Helm release failed" in watch(log=failed(RELEASE))


@pytest.mark.parametrize(
    "log",
    ["", failed("aws:rds/instance:Instance"), failed(RELEASE, last="")],
    ids=["nothing", "other", "half a line"],
)
def test_other_failures_let_the_rest_finish(watch, log):
    """AWS resources would be interrupted in the middle of their creation."""
    assert watch(log=log) is None


def test_a_failed_job_ends_an_update(watch):
    assert watch(jobs=[job()]).splitlines() == [
        "",
        "A Job of Airflow failed, so the update was stopped:",
        "  Job airflow-run-airflow-migrations: backoff limit reached. Inspect: kubectl --context "
        "kind-airflow logs job/airflow-run-airflow-migrations -n airflow",
    ]


@pytest.mark.parametrize("other", [job(status="False"), job(kind="Complete")])
def test_other_jobs_do_not_end_an_update(watch, other):
    assert watch(jobs=[other]) is None


def test_a_job_that_failed_in_an_earlier_update_is_ignored(watch, tmp_path):
    watch()
    jobs = tmp_path / "jobs"
    watched = UpdateWatch(session=watch.watched.session, events=tmp_path / "none")
    jobs.write_text(json.dumps({"items": [job("1")]}))

    assert not watched.stops()
    jobs.write_text(json.dumps({"items": [job("1"), job("2")]}))
    assert watched.stops()


CRASH = {"lastState": {"terminated": {"reason": "Error", "exitCode": 1, "message": "a\nno CA\n"}}}
UNSCHEDULABLE = {
    "metadata": {"name": "airflow-worker-1"},
    "status": {
        "conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "no memory"}]
    },
}


@pytest.mark.parametrize(
    ("waits", "text"),
    [
        (
            pod(waiting("CrashLoopBackOff", "back-off"), **CRASH),
            "pod dag-relay-0, container git-sync: CrashLoopBackOff: Error, exit code 1, no CA",
        ),
        (UNSCHEDULABLE, "pod airflow-worker-1: no node: no memory"),
    ],
    ids=["crash", "no node"],
)
def test_a_long_wait_is_explained_once(watch, capsys, waits, text):
    assert watch([waits]) is None
    watch.watched.stops()
    assert capsys.readouterr().out == f"waiting for {text}\n"

    explain_pods(watch.watched.session)
    assert capsys.readouterr().out == f"\nPods are not ready:\n  {text}\n"


def test_a_usual_start_is_not_explained(watch, capsys):
    assert watch([pod(waiting("ContainerCreating"))]) is None
    assert watch([pod(waiting("CrashLoopBackOff"))], seconds=PATIENCE_SECONDS - 1) is None
    assert capsys.readouterr().out == ""
