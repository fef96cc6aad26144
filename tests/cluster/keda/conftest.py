"""The stack `local` with workers that KEDA scales from 0, and a DAG that takes as long as a run wants."""

import pytest

from tests.cluster import dags
from tests.cluster.keda.scaling import Scaling
from tests.cluster.platform import Api

BY_TASKS = {"scaling": "queue", "min": 0, "max": 3, "grace_seconds": 600}
SLEEP = (
    "import time; from airflow.sdk import get_current_context; "
    "time.sleep(get_current_context()['dag_run'].conf['seconds'])"
)


@pytest.fixture(scope="package")
def installed(checkout, up_and_down):
    """What `make up` said."""
    checkout.change("local", workers=BY_TASKS)
    # Among the files that the Git server of the stack starts with.
    sleeper = checkout.folder / "dags-repo-example" / "dags" / "sleeper.py"
    sleeper.write_text(dags.source("sleeper", work=SLEEP))
    with up_and_down(checkout) as said:
        yield said


@pytest.fixture
def api(installed, cluster):
    with Api.open(cluster) as opened:
        yield opened


@pytest.fixture
def scaling(installed, cluster):
    return Scaling(cluster=cluster)


@pytest.fixture
def mode(installed, checkout):
    """Let the number of workers follow something else, if it does not yet."""

    def change(**workers):
        before = checkout.file("local").read_text()
        checkout.change("local", workers={**BY_TASKS, **workers})
        if checkout.file("local").read_text() != before:
            checkout.up()

    return change
