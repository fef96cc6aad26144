"""DAG files for a repository that Airflow follows."""

# Work that takes as many seconds as its run is given.
SLEEP = (
    "import time; from airflow.sdk import get_current_context; "
    "time.sleep(get_current_context()['dag_run'].conf['seconds'])"
)


def source(name: str, version: str = "one", *, work: str = "return 42", **arguments: str) -> str:
    """A DAG of one task, with its version as its tag. `arguments` are the decorator's, as Python text."""
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
