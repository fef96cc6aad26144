"""Queues in the plan."""

import json

import pytest

from tests.unit.ops.plan.conftest import SETTINGS

ETL = {"min": 0, "max": 6, "concurrency": 2, "memory_mb": 8192, "spot": True}


def test_each_queue_has_a_line_and_counts_in_the_limits(plan, with_queues):
    with_queues(
        "dev", {"etl": ETL, "slow": {"max": 2, "scaling": "fixed", "architecture": "arm64"}}
    )

    code, out, err = plan("--stack", "mine")

    assert (code, err) == (0, "")
    lines = out.splitlines()
    queues = lines[lines.index("Queues") + 1 :][:3]
    assert [line.split(":")[0] for line in queues] == ["  default", "  etl", "  slow"]
    assert queues[1] == (
        "  etl: 0 to 6 workers, scaled on tasks; each 2 slots, 1 CPU, 8192 MiB, 10 GiB disk; at "
        "most 12 slots, 6 CPU, 48 GiB, 18 database connections; dedicated nodes, spot or on-demand, "
        "amd64, at least 1 for 6.12 CPU and 48.5625 GiB including sidecars; grace period 600 s"
    )
    assert "slow: 2 workers; each 8 slots" in queues[2]
    assert "dedicated nodes, on-demand, arm64" in queues[2]
    assert (
        "  worker slots: 60 of 60 (4 workers x 8 tasks + 6 workers x 2 tasks + 2 workers x 8 tasks; "
        "parallelism 60 x 1 scheduler(s))"
    ) in lines
    assert any(line.startswith("  database connections: 151 of 405 (") for line in lines)


def test_the_json_plan_has_the_queues(plan, with_queues):
    with_queues("prod", {"etl": ETL})

    printed = json.loads(plan("--stack", "mine", "--json")[1])

    default, etl = printed["queues"]
    assert (default["name"], default["slots"], default["connections"]) == ("default", 160, 180)
    assert etl.items() >= ETL.items()
    assert (etl["slots"], etl["connections"]) == (12, 18)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_warnings_of_the_program_are_in_the_plan(plan, with_queues, form):
    with_queues("prod", {"etl": ETL})

    code, out, err = plan("--stack", "mine", *form)

    assert (code, err) == (0, ""), "a warning goes to the list of warnings, not to stderr"
    assert out.count(f"{SETTINGS}.queues.etl.spot: a spot node is reclaimed 120 seconds") == 1
    if not form:
        assert out.index("\nWarnings: ") < out.index("etl.spot: a spot node is reclaimed")
