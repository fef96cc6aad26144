"""DAG files."""

# Sleeps for the number of seconds in the run's conf.
SLEEP = (
    "import time; from airflow.sdk import get_current_context; "
    "time.sleep(get_current_context()['dag_run'].conf['seconds'])"
)


def source(name: str, version: str = "one", *, work: str = "return 42", **arguments: str) -> str:
    """A DAG of one task, tagged with its version. `arguments` of the decorator are Python text."""
    given = {"schedule": "None", "tags": f'["{version}"]', **arguments}
    return f"""
from datetime import datetime

from airflow.sdk import dag, task

@dag({", ".join(f"{key}={text}" for key, text in given.items())})
def {name}():
    @task
    def answer():
        {work}
    answer()

{name}()
"""
