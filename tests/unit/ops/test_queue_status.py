"""`make queues` on a fake cluster."""

import json
import shutil
from pathlib import Path

import pytest

from ops import queue_status
from tests.unit.ops.fake_platform import (
    DEFAULT,
    ETL,
    KUBECTL,
    SLOW,
    deployment,
    paused_scheduler,
    task,
)

ROOT = Path(__file__).parents[3]


def test_each_queue_has_a_line(platform, operate):
    platform.workers(deployment(DEFAULT, 2, 1), deployment(ETL, 3), deployment(SLOW, 2))
    platform.tasks(
        task("default", "running", 3),
        task("default", "running", 1, dag="other"),
        task("default", "queued", 2, seconds=7.9),
        task("default", "queued", 5, seconds=61.2, dag="other"),
        task("default", "scheduled", 9),
    )

    status, output = operate("queues")

    assert status == 0
    assert output.splitlines() == [
        "queue    slots  busy  queued  oldest wait  replicas  target       state",
        "default  4      4     7       61 s         1/2       1-3 (cpu)    active",
        "etl      6      0     0       -            3/3       0-6 (queue)  active",
        "slow     16     0     0       -            2/2       2 (fixed)    active",
    ]


def test_tasks_are_counted_in_the_api_server(platform, operate):
    """The scheduler is stopped during a pause."""
    operate("queues")

    (call,) = [call for call in platform.calls() if "--stdin" in call]
    assert call == (
        f"{KUBECTL} exec --namespace airflow --stdin deploy/airflow-api-server --container api-server "
        "-- python -"
    )
    script = (platform.folder / "script").read_text()
    assert script == queue_status.COUNT_TASKS
    compile(script, "<stdin>", "exec")
    assert f'print("{queue_status.ANSWER.strip()}", ' in script


@pytest.mark.parametrize("state", ["queued", "scheduled"])
def test_waiting_tasks_without_workers_are_listed(platform, operate, state):
    platform.tasks(
        task("gpu", state, 2, dag="train"), task("gpu", state, dag="infer"), task("old", "running")
    )

    _, output = operate("queues")

    assert output.splitlines()[4:] == [
        "! gpu: 3 waiting, no workers. Add queues.gpu to Pulumi.local.yaml and run "
        "`make up STACK=local`, or correct `queue` in the DAGs: infer, train"
    ]


def test_json_has_the_same_data(platform, operate):
    platform.scaled(deployment(ETL, **{queue_status.PAUSED: "0"}))
    platform.tasks(task("etl", "queued", 4, seconds=12.5), task("gpu", "scheduled", dag="train"))

    status, output = operate("queues", "--json")

    assert status == 0
    printed = json.loads(output)
    assert printed["paused"] is False
    assert [each["queue"] for each in printed["queues"]] == ["default", "etl", "slow"]
    assert printed["queues"][1] == {
        "queue": "etl",
        "slots": 0,
        "busy": 0,
        "queued": 4,
        "oldest_wait_seconds": 12,
        "replicas": {"ready": 0, "desired": 0},
        "target": {"min": 0, "max": 6, "scaling": "queue"},
        "state": "drained",
    }
    assert printed["unserved"] == [{"queue": "gpu", "waiting": 1, "dags": ["train"]}]


def test_a_pause_is_reported(platform, operate):
    platform.scheduler(paused_scheduler())

    assert operate("queues")[1].endswith("Airflow is paused: `make resume STACK=local`\n")
    assert json.loads(operate("queues", "--json")[1])["paused"] is True


def test_one_queue_without_keda_is_shown(platform, operate):
    shutil.copy(ROOT / "Pulumi.local.yaml", platform.file)
    platform.workers(deployment("airflow-worker"))

    status, output = operate("queues")

    assert (status, len(output.splitlines())) == (0, 2)
    scaled = [call for call in platform.calls() if "scaledobjects" in call]
    assert not scaled, "this cluster does not have the custom resource of KEDA"


def test_a_queue_without_workers_needs_an_up(platform, operate):
    platform.workers(deployment(DEFAULT), deployment(ETL))

    status, output = operate("queues")

    assert status == 1
    assert "queue 'slow' of Pulumi.local.yaml is not deployed" in output
    assert "run `make up STACK=local` first" in output


def test_a_queue_without_its_scaled_object_needs_an_up(platform, operate):
    platform.scaled()

    status, output = operate("drain", "--queue", "etl")

    assert status == 1
    assert "(airflow-worker-etl, scaling: queue): run `make up STACK=local` first" in output
    assert platform.changes() == []


def test_a_failing_task_count_points_to_the_runbook(platform, operate):
    platform.fail("--stdin")

    status, output = operate("queues")

    assert status == 1
    assert "could not count the tasks in the API server's pod: no. See docs/runbooks/" in output


def test_a_stack_without_a_deployment_has_no_queues(platform, operate):
    platform.answer("stacks", [])

    status, output = operate("queues")

    complaint = "stack 'local' is not deployed: run `make up STACK=local` first\n"
    assert (status, output) == (1, complaint)
