"""Outputs in the documentation are what the programs print."""

import re

import pytest

from ops import backup, dags, queue_status
from ops.columns import aligned
from settings.workers import WorkerSettings
from tests.unit.docs.documents import ROOT, documents, lines, prose, where

PLANS = {path.stem: path.read_text() for path in (ROOT / "tests/unit/plans").glob("*.txt")}
PLAN_LINE = re.compile(
    r"\s*(worker slots: |database connections: |Broken rules: |\w+: \d+ to \d+ )"
)
OPERATIONS = ROOT / "docs/operations.md"
RUNBOOK = ROOT / "docs/runbooks/backup.md"

# The example of docs/operations.md: a stack prod with a queue etl, and DAGs that name a queue gpu.
ETL = WorkerSettings(min=0, max=6, concurrency=2, grace_seconds=600)
TASKS = {
    "default": queue_status.Tasks(running=157, queued=12, oldest_wait_seconds=9),
    "etl": queue_status.Tasks(running=4, queued=31, oldest_wait_seconds=240),
    "gpu": queue_status.Tasks(scheduled=3, waiting_dags=("train",)),
}


def plan_lines():
    return [
        (where(path, line.number), line.text.strip())
        for path in documents()
        for line in lines(path)
        if line.block is not None and PLAN_LINE.match(line.text)
    ]


@pytest.fixture
def workers(stack):
    default = stack("prod")[1].workers
    return [
        queue_status.QueueStatus(
            queue="default", settings=default, deployment="w", desired=20, ready=20, drained=False
        ),
        queue_status.QueueStatus(
            queue="etl", settings=ETL, deployment="w", desired=6, ready=2, drained=False
        ),
    ]


@pytest.mark.parametrize(("line", "text"), plan_lines())
def test_plan_lines_are_lines_of_the_expected_plan(line, text):
    # `...` shortens the end of a line, or what is in brackets.
    start = text.partition("...")[0]
    printed = [each.strip() for each in PLANS["prod"].splitlines()]
    same = [each for each in printed if (each.startswith(start) if "..." in text else each == text)]
    assert same, f"{line}: copy this line from tests/unit/plans/prod.txt"


def test_the_readme_shows_the_limits_of_prod():
    shown = [text for line, text in plan_lines() if line.startswith("README.md")]
    assert len(shown) == 3, "worker slots, database connections, Broken rules"


def test_resource_counts_equal_the_plan():
    counts = [
        (path.name, stack, count)
        for path in documents()
        for stack, count in re.findall(r"`(\w+): (\d+ resources)`", prose(path))
    ]
    assert counts
    wrong = {
        f"{page}: `{stack}: {count}`": PLANS[stack].partition("\n")[0]
        for page, stack, count in counts
        if not PLANS[stack].startswith(f"{stack}: {count}\n")
    }
    assert wrong == {}, "write the first line of the plan"


def test_a_second_up_of_local_leaves_all_unchanged():
    (count,) = re.findall(r"`(\d+) unchanged`", prose(ROOT / "README.md"))
    declared = int(re.search(r"^local: (\d+) resources", PLANS["local"])[1])
    assert int(count) == declared + 1, "Pulumi counts the resources of the plan and the stack"


def test_the_table_of_make_queues_is_the_printed_one(workers):
    code = [line.text for line in lines(OPERATIONS) if line.block is not None]
    printed = queue_status.table(workers, TASKS, "prod")
    start = code.index("$ make queues STACK=prod") + 1
    assert code[start : start + len(printed)] == printed, "copy it into docs/operations.md"


def test_the_table_of_make_backups_is_the_printed_one():
    code = [line.text for line in lines(RUNBOOK) if line.block is not None]
    start = code.index("$ make backups STACK=local") + 1
    shown = code[start : start + 4]
    rows = [re.split(r"  +", line) for line in shown]
    assert tuple(rows[0]) == backup.HEADER
    assert shown == aligned(rows)


def test_the_table_of_make_dags_is_the_printed_one():
    code = [line.text for line in lines(OPERATIONS) if line.block is not None]
    start = code.index("$ make dags STACK=prod") + 1
    shown = code[start : start + 4]
    found = [
        dags.Delivery(
            repository=name, head=f"{commit}\t{time}\t{subject}", rejected=rejected, error=""
        )
        for (name, commit, time, subject), rejected in zip(
            (line.split(maxsplit=3) for line in shown[1:3]),
            ("", shown[3].removeprefix("! sales: ")),
            strict=True,
        )
    ]
    assert shown == dags.table(found), "copy it into docs/operations.md"
