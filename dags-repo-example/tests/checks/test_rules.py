"""What every DAG has to have: every mistake is made in a file of its own, one command finds them all."""

import re

import pytest

from tests.checks.dag_file import CLASSIC, good

# File, its text, what is said about it. A DAG's own line is 14, where its decorator begins.
MISTAKES = {
    "no tags": (
        "dags/untagged.py",
        good("untagged", ('    tags=["test"],\n', "")),
        r"14: DAG 'untagged' has no tags; add tags=",
    ),
    "no description": (
        "dags/undescribed.py",
        good("undescribed", ('    description="a good DAG",\n', "")),
        r"14: DAG 'undescribed' has no description; add description=",
    ),
    "no documentation": (
        "dags/undocumented.py",
        good("undocumented", ("    doc_md=__doc__,\n", "")),
        r"14: DAG 'undocumented' has no documentation; add doc_md=",
    ),
    "no start date": (
        "dags/unstarted.py",
        good("unstarted", ("    start_date=datetime(2026, 1, 1, tzinfo=UTC),\n", "")),
        r"14: DAG 'unstarted' has no start date; add start_date=",
    ),
    "a start date that moves": (
        "dags/moving.py",
        good(
            "moving", ("datetime(2026, 1, 1, tzinfo=UTC)", "datetime(2026, 1, 1, 0, 0, 0, 7, UTC)")
        ),
        r"14: DAG 'moving' has a start date that moves with every parse; write a fixed day",
    ),
    "catchup": (
        "dags/catches_up.py",
        good("catches_up", ("catchup=False", "catchup=True")),
        r"14: DAG 'catches_up' would start a run for every day .* \(found catchup=True\); set catchup=False",
    ),
    "no owner": (
        "dags/orphan.py",
        good("orphan", ('        "owner": "team",\n', "")),
        r"14: task first has no owner \(found 'airflow', which is nobody\); add \"owner\"",
    ),
    "no owner of several tasks": (
        "dags/orphans.py",
        good(
            "orphans",
            ('        "owner": "team",\n', ""),
            ("    first()\n", "    first()\n    first()\n"),
        ),
        r"14: tasks first, first__1 have no owner \(found 'airflow', which is nobody\); add \"owner\"",
    ),
    "no retries": (
        "dags/once.py",
        good("once", ('        "retries": 1,\n', "")),
        r"14: task first has no retries \(found 0\); add \"retries\"",
    ),
    "no retries of one task": (
        "dags/one_once.py",
        good(
            "one_once",
            ("@task\ndef", "@task(retries=0)\ndef"),
            ("    first()\n", "    second(first())\n"),
        ).replace("@dag(", "@task\ndef second(one) -> int:\n    return 1\n\n\n@dag(", 1),
        r"9: task first has no retries \(found 0\)",
    ),
    "no pause": (
        "dags/hasty.py",
        good("hasty", ("timedelta(seconds=1)", "timedelta(0)")),
        r"14: task first has no pause before a retry; add \"retry_delay\"",
    ),
    "no time limit": (
        "dags/endless.py",
        good("endless", ('        "execution_timeout": timedelta(minutes=1),\n', "")),
        r"14: task first has no time limit; add \"execution_timeout\"",
    ),
    "an unknown queue": (
        "dags/queued.py",
        good("queued", ("@task\n", '@task(queue="gpu")\n')),
        r"9: task first would wait for ever: .* no such queue \(found 'gpu'; platform.yaml has default\)",
    ),
    "an unknown queue of an operator, in a DAG that is no function": (
        "dags/classic.py",
        CLASSIC,
        r"11: task run would wait for ever: .* no such queue \(found 'gpu'; platform.yaml has default\)",
    ),
    "an owner that an operator lacks": (
        "dags/classic.py",
        CLASSIC,
        r"6: task run has no owner \(found 'airflow', which is nobody\); add \"owner\"",
    ),
    "an unknown pool": (
        "dags/pooled.py",
        good("pooled", ('"retries": 1,', '"retries": 1, "pool": "narrow",')),
        r"22: task first would wait for ever: .* no such pool \(found 'narrow'; platform.yaml has default_p",
    ),
    "a cycle": (
        "dags/circle.py",
        good("circle", ("    first()\n", "    one = first()\n    one >> one.operator\n")),
        r"14: the tasks of DAG 'circle' wait for each other \(found: .*first\); take one `>>` out",
    ),
    "a timetable that Airflow does not know": (
        "dags/timed.py",
        good(
            "timed",
            ("@task\n", "class Mine(CronDataIntervalTimetable):\n    pass\n\n\n@task\n"),
            ("import DAG,", "import CronDataIntervalTimetable,"),
            ("schedule=None", 'schedule=Mine("@daily", timezone="UTC")'),
        ),
        r"18: Airflow cannot store DAG 'timed' \(.*\); correct that argument",
    ),
    "a schedule that never is": (
        "dags/clock.py",
        good("clock", ("schedule=None", 'schedule="61 * * * *"')),
        r"14: Airflow cannot store DAG 'clock' \(\[61 \* \* \* \*\] is not acceptable, out of range\)",
    ),
}


@pytest.fixture(scope="module")
def said(faulty):
    return faulty(MISTAKES)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_file_its_line_and_what_to_do(said, mistake):
    path, _, wanted = MISTAKES[mistake]
    about = [line for line in said if line.startswith(f"{path}:")]
    assert any(re.match(f"{re.escape(path)}:{wanted}", line) for line in about), about or said
