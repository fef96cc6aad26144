"""Rules for DAGs and tasks: one file per mistake, one run reports all of them."""

import textwrap

import pytest

from tests.checks.dag_file import CLASSIC, assert_reported, good

# File, its text, pattern of the message. Line 14 is the @dag decorator of a good DAG file.
MISTAKES = {
    "no tags": (
        "dags/untagged.py",
        good("untagged", ('    tags=["test"],\n', "")),
        r"14: DAG 'untagged' has no tags; add tags=",
    ),
    "no description": (
        "dags/undescribed.py",
        good("undescribed", ('    description="a correct DAG",\n', "")),
        r"14: DAG 'undescribed' has no description; add description=",
    ),
    "no documentation": (
        "dags/undocumented.py",
        good("undocumented", ("    doc_md=__doc__,\n", "")),
        r"14: DAG 'undocumented' has no documentation; add doc_md=",
    ),
    "no start date": (
        "dags/unstarted.py",
        good(
            "unstarted",
            ("    start_date=datetime(2026, 1, 1, tzinfo=UTC),\n", ""),
            ("schedule=None", 'schedule="@daily"'),
        ),
        r"14: DAG 'unstarted' has no start date; add start_date=",
    ),
    "a start date that changes": (
        "dags/moving.py",
        good(
            "moving", ("datetime(2026, 1, 1, tzinfo=UTC)", "datetime(2026, 1, 1, 0, 0, 0, 7, UTC)")
        ),
        r"14: DAG 'moving' has a start date that changes with every parse; use a fixed date",
    ),
    "catchup": (
        "dags/catches_up.py",
        good(
            "catches_up",
            ("catchup=False", "catchup=True"),
            ("schedule=None", 'schedule="@daily"'),
        ),
        r"14: DAG 'catches_up' would create a run for every interval .* "
        r"\(found catchup=True\); set catchup=False",
    ),
    "no owner": (
        "dags/orphan.py",
        good("orphan", ('        "owner": "team",\n', "")),
        r"14: task first has no owner \(found the default 'airflow'\); add \"owner\"",
    ),
    "several tasks without owner": (
        "dags/orphans.py",
        good(
            "orphans",
            ('        "owner": "team",\n', ""),
            ("    first()\n", "    first()\n    first()\n"),
        ),
        r"14: tasks first, first__1 have no owner \(found the default 'airflow'\); add \"owner\"",
    ),
    "no retries": (
        "dags/once.py",
        good("once", ('        "retries": 1,\n', "")),
        r"14: task first has no retries \(found 0\); add \"retries\"",
    ),
    "one task without retries": (
        "dags/one_once.py",
        good(
            "one_once",
            ("@task\ndef", "@task(retries=0)\ndef"),
            ("    first()\n", "    second(first())\n"),
        ).replace("@dag(", "@task\ndef second(one) -> int:\n    return 1\n\n\n@dag(", 1),
        r"9: task first has no retries \(found 0\)",
    ),
    "no retry delay": (
        "dags/hasty.py",
        good("hasty", ("timedelta(seconds=1)", "timedelta(0)")),
        r"14: task first has no delay before a retry; add \"retry_delay\"",
    ),
    "no timeout": (
        "dags/endless.py",
        good("endless", ('        "execution_timeout": timedelta(minutes=1),\n', "")),
        r"14: task first has no timeout; add \"execution_timeout\"",
    ),
    "an unknown queue": (
        "dags/queued.py",
        good("queued", ("@task\n", '@task(queue="gpu")\n')),
        r"9: task first would never start, .* no such queue \(found 'gpu'; platform.yaml has default\)",
    ),
    "an unknown queue of a classic operator": (
        "dags/classic.py",
        CLASSIC,
        r"11: task run would never start, .* no such queue \(found 'gpu'; platform.yaml has default\)",
    ),
    "a classic operator without owner": (
        "dags/classic.py",
        CLASSIC,
        r"6: task run has no owner \(found the default 'airflow'\); add \"owner\"",
    ),
    "an unknown pool": (
        "dags/pooled.py",
        good("pooled", ('"retries": 1,', '"retries": 1, "pool": "narrow",')),
        r"22: task first would never start, .* no such pool \(found 'narrow'; platform.yaml has default_p",
    ),
    "a cycle": (
        "dags/circle.py",
        good("circle", ("    first()\n", "    one = first()\n    one >> one.operator\n")),
        r"14: the tasks of DAG 'circle' form a cycle \(found: .*first\); remove one `>>`",
    ),
    "an unregistered timetable": (
        "dags/timed.py",
        good(
            "timed",
            ("@task\n", "class Mine(CronDataIntervalTimetable):\n    pass\n\n\n@task\n"),
            ("import DAG,", "import CronDataIntervalTimetable,"),
            ("schedule=None", 'schedule=Mine("@daily", timezone="UTC")'),
        ),
        r"18: Airflow cannot serialize DAG 'timed' \(found: .*\); correct that argument",
    ),
    "an invalid cron expression": (
        "dags/clock.py",
        good("clock", ("schedule=None", 'schedule="61 * * * *"')),
        r"14: Airflow cannot serialize DAG 'clock' "
        r"\(found: \[61 \* \* \* \*\] is not acceptable, out of range\)",
    ),
}


MISTAKES |= {
    "an undeclared name in a template": (
        "dags/rendered.py",
        CLASSIC.replace('"true"', '"echo {{ execution_date }}"').replace("QUEUE,", '"default",'),
        r"11: bash_command of task run uses a name that Airflow does not provide "
        r"\(found execution_date\); use logical_date \[template\]",
    ),
    "a misspelled name in an argument of a task": (
        "dags/passed.py",
        good(
            "passed", ("def first()", "def first(day)"), ("    first()", '    first("{{ dss }}")')
        ),
        r"9: op_args of task first uses a name .* \(found dss\); use ds \[template\]",
    ),
    "an invalid template": (
        "dags/unclosed.py",
        CLASSIC.replace('"true"', '"echo {{ ds }"'),
        r"11: bash_command of task run is not a valid template \(found unexpected '}'\); correct it",
    ),
    "a missing script": (
        "dags/scripted.py",
        CLASSIC.replace('"true"', '"scripts/load.sh"'),
        r"11: bash_command of task run names a file that does not exist "
        r"\(found 'scripts/load.sh'; searched in dags\); correct the path",
    ),
    "an undeclared name in a script": (
        "dags/sourced.py",
        CLASSIC.replace('"true"', '"sourced.sh"'),
        r"11: bash_command of task run uses a name .* \(found tomorrow_ds in sourced.sh\); "
        r"use macros.ds_add\(ds, 1\)",
    ),
    "a logical date in runs of an asset": (
        "dags/dated.py",
        CLASSIC.replace('"true"', '"echo {{ ds }}"')
        .replace("schedule=None", 'schedule=[Asset("x")]')
        .replace("import DAG", "import DAG, Asset"),
        r"11: bash_command of task run uses a name that runs of an asset event lack, .* "
        r"\(found ds\); use dag_run.run_after \[template\]",
    ),
    "an argument that an operator does not have": (
        "dags/extra.py",
        CLASSIC.replace("queue=QUEUE", "bash_comand=QUEUE"),
        r"10: the import fails with TypeError: .*bash_comand.* \(found `BashOperator\(`\)",
    ),
    "an asset without tags": (
        "dags/produced.py",
        'from airflow.sdk import asset\n\n\n@asset(schedule="@daily", description="x")\n'
        "def orders():\n    pass\n",
        r"4: DAG 'orders' has no tags; add tags=",
    ),
    "a DAG of a shared module": (
        "dags/_factory.py",
        "from airflow.sdk import DAG\n\n\ndef make(name):\n"
        '    return DAG(name, schedule=None, tags=["x"], doc_md="x")\n',
        r"5: DAG 'made' has no description; add description=",
    ),
}
OTHERS = {
    "dags/sourced.sh": "echo {{ ds }} {{ tomorrow_ds }}",
    "dags/made.py": '# airflow dag\nfrom _factory import make\n\nmade = make("made")\n',
}


@pytest.fixture(scope="module")
def output(faulty):
    return faulty(MISTAKES, OTHERS)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_rule_violation_is_reported_with_file_line_and_fix(output, mistake):
    path, _, pattern = MISTAKES[mistake]
    assert_reported(output, path, pattern)


def generated():
    head, found, dag = good("generated").partition("@dag(")
    dag = dag.replace("schedule=None", 'dag_id=f"load_{team}",\n    schedule=None')
    return f"{head}for team in ('a', 'b'):\n" + textwrap.indent(found + dag, "    ")


VALID = {
    # Two assets per file, and none of the arguments that `@asset` lacks.
    "dags/assets.py": """\
from airflow.sdk import asset, task


@asset(schedule="@daily", description="x", tags=["x"])
def orders():
    pass


@asset(schedule=[orders], description="x", tags=["x"])
def totals(orders):
    pass
""",
    # Only time needs a start date.
    "dags/by_hand.py": good("by_hand", ("    start_date=datetime(2026, 1, 1, tzinfo=UTC),\n", "")),
    "dags/by_asset.py": good(
        "by_asset",
        ("    start_date=datetime(2026, 1, 1, tzinfo=UTC),\n", ""),
        ("schedule=None", 'schedule=[Asset("x")]'),
        ("import DAG,", "import DAG, Asset,"),
    ),
    # Generated ids are not named like their file.
    "dags/generated.py": generated(),
    "dags/child-of.py": good("child_of"),
    # Packages under dags/ and files that Airflow does not parse.
    "dags/helpers/__init__.py": "",
    "dags/helpers/base.py": "from airflow.sdk import DAG\n\n\nclass TeamDag(DAG):\n    pass\n",
    "dags/helpers/pure.py": "from helpers import base\nVALUE = 1\n",
    "dags/helpers/relative.py": "from .pure import VALUE\n",
    "dags/templated.py": good(
        "templated",
        ("def first()", "def first(text)"),
        (
            "    first()",
            '    first("{{ ds }} {{ params.x }} {{ x if x is defined else range(2) }}")',
        ),
    ),
}


def test_correct_dags_of_every_kind_have_no_mistakes(repository, run):
    for path, text in VALID.items():
        (repository / path).parent.mkdir(exist_ok=True)
        (repository / path).write_text(text)
    status, lines = run(repository)
    assert status == 0, lines
