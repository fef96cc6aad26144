"""Replica counts that `make up` corrects after an upgrade."""

import pytest

from ops import queue_status
from tests.unit.ops.fake_platform import DEFAULT, ETL, SLOW, deployment, scaled_workers


def test_an_up_of_an_active_stack_changes_no_queue(platform, operate):
    status, output = operate("up")

    assert (status, platform.changes()) == (0, [])
    assert "Airflow is healthy." in output


@pytest.mark.parametrize(
    ("found", "change", "line"),
    [
        (
            deployment(DEFAULT, 0),
            scaled_workers(DEFAULT, 1, None),
            "default: workers scaled from 0 to 1",
        ),
        (
            deployment(SLOW, 1),
            scaled_workers(SLOW, 2, None),
            "slow: workers scaled from 1 to 2",
        ),
        (
            deployment(SLOW, 2, **{queue_status.DRAINED: "true"}),
            scaled_workers(SLOW, 0, "true"),
            "slow: started by the upgrade, drained again",
        ),
    ],
    ids=["HPA at 0", "fixed below max", "drained but started"],
)
def test_an_up_corrects_replica_counts(platform, operate, found, change, line):
    others = {name: deployment(name, n) for name, n in ((DEFAULT, 1), (ETL, 0), (SLOW, 2))}
    platform.workers(*(others | {found["metadata"]["name"]: found}).values())

    status, output = operate("up")

    assert (status, platform.changes()) == (0, [change])
    assert line in output


def test_an_up_keeps_drained_queues_drained(platform, operate):
    platform.drain_all()

    assert operate("up")[0] == 0
    assert platform.changes() == []
