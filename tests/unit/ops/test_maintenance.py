"""`make pause` and `make resume`, and `make up` during a pause, on a fake cluster."""

import json

import pytest

from ops import queue_status
from ops.maintenance import REPLICAS_BEFORE_PAUSE
from tests.unit.ops.fake_platform import (
    DEFAULT,
    DRAINED,
    ETL,
    HEALTHY,
    SLOW,
    UNDRAINED,
    deployment,
    paused_scheduler,
    task,
)


def patch(given):
    return f"patch deployment/airflow-scheduler --type=merge --patch={json.dumps(given)}"


def before_pause(replicas):
    return {"metadata": {"annotations": {REPLICAS_BEFORE_PAUSE: replicas}}}


def test_a_pause_stops_the_scheduler_and_drains_queues(platform, operate):
    platform.tasks(task("etl", "running", 2))

    status, output = operate("pause")

    assert status == 0
    assert platform.changes() == [
        patch({**before_pause("2"), "spec": {"replicas": 0}}),
        DRAINED["default"],
        DRAINED["etl"],
        DRAINED["slow"],
    ]
    assert "etl: drained; 2 running" in output
    assert output.endswith("`make resume STACK=local`\n")


@pytest.mark.parametrize(
    ("scheduler", "before"),
    [
        (paused_scheduler(), "2"),
        (paused_scheduler(replicas=3), "3"),
        (deployment("airflow-scheduler", 0), "1"),
    ],
    ids=["already paused", "started by an upgrade", "stopped by hand"],
)
def test_a_pause_records_the_number_of_schedulers(platform, operate, scheduler, before):
    platform.scheduler(scheduler)

    assert operate("pause")[0] == 0
    assert platform.changes()[0] == patch({**before_pause(before), "spec": {"replicas": 0}})


@pytest.mark.parametrize(
    "scheduler", [paused_scheduler(), paused_scheduler(replicas=2)], ids=["paused", "interrupted"]
)
def test_resuming_starts_the_scheduler_before_workers(platform, operate, scheduler):
    platform.scheduler(scheduler)
    platform.drain_all()

    status, output = operate("resume")

    assert status == 0
    assert platform.changes() == [
        patch({"spec": {"replicas": 2}}),
        UNDRAINED["default"],
        UNDRAINED["etl"],
        UNDRAINED["slow"],
        patch(before_pause(None)),
    ]
    assert output.endswith("Airflow is running again.\n")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_an_interrupted_command_can_be_repeated(platform, operate, command):
    if command == "resume":
        platform.drain_all()
    platform.scheduler(paused_scheduler())
    platform.fail(f"patch scaledobjects.keda.sh/{ETL} --namespace airflow")
    assert operate(command)[0] == 1
    assert patch(before_pause(None)) not in platform.changes(), "the pause has not ended"
    first = len(platform.changes())
    (platform.folder / "fails").unlink()

    assert operate(command)[0] == 0
    assert platform.changes()[first:][: first - 1] == platform.changes()[: first - 1]
    assert [change for change in platform.changes()[first:] if SLOW in change]


def test_resuming_without_a_pause_changes_no_drained_queue(platform, operate):
    platform.workers(
        deployment(DEFAULT, 0, **{queue_status.DRAINED: "true"}),
        deployment(ETL),
        deployment(SLOW, 2),
    )

    status, output = operate("resume")

    assert (status, platform.changes()) == (0, [])
    assert output.splitlines() == [
        "Airflow is not paused.",
        "default: drained, see `make undrain QUEUE=default STACK=local`",
    ]


def test_resuming_starts_a_scheduler_stopped_by_hand(platform, operate):
    platform.scheduler(deployment("airflow-scheduler", 0))

    assert operate("resume")[0] == 0
    assert platform.changes()[0] == patch({"spec": {"replicas": 1}})


def test_a_pause_without_a_scheduler_is_refused(platform, operate):
    platform.scheduler("")

    status, output = operate("pause")

    assert status == 1
    assert "deployment/airflow-scheduler does not exist: run `make up` first" in output


def test_an_up_keeps_a_paused_stack_paused(platform, operate):
    platform.scheduler(paused_scheduler(replicas=2))
    platform.answer("health", {**HEALTHY, "scheduler": {"status": "unhealthy"}})

    status, output = operate("up")

    assert status == 0, "the stopped scheduler is not waited for"
    stopped = patch({**before_pause("2"), "spec": {"replicas": 0}})
    assert platform.changes() == [stopped, *DRAINED.values()]
    assert output.endswith("Airflow is paused: `make resume STACK=local`\n")
