"""A DAG file that is good, or good but for one mistake."""

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
    description="a good DAG",
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
    """Return a file whose DAG is good but for what is changed."""
    text = GOOD.format(name=name, imports=imports)
    for old, new in changes:
        assert text.count(old) == 1, f"the change of {old!r} would change nothing"
        text = text.replace(old, new)
    return text + end


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
