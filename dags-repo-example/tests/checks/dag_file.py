"""DAG files for the tests: a correct one, and copies of it with one mistake."""

import re

GOOD = '''\
"""Documentation."""

import {imports}
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, dag, task


@task
def first() -> int:
    return 1


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    description="a correct DAG",
    doc_md=__doc__,
    default_args={{
        "owner": "team",
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
        "execution_timeout": timedelta(minutes=1),
    }},
    tags=["test"],
)
def {name}():
    first()


{name}()
'''


def good(name, *changes, imports="time", end=""):
    """Return a correct DAG file after some changes."""
    text = GOOD.format(name=name, imports=imports)
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is not in the file once: correct the test"
        text = text.replace(old, new)
    return text + end


def assert_reported(output, path, pattern):
    """Require a line `path:` that matches `line: message`."""
    lines = [line for line in output if line.startswith(f"{path}:")]
    assert any(re.match(f"{re.escape(path)}:{pattern}", line) for line in lines), lines or output


CLASSIC = """\
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

QUEUE = "gpu"

with DAG(
    "classic",
    schedule=None,
):
    BashOperator(
        task_id="run",
        bash_command="true",
        queue=QUEUE,
    )
"""
