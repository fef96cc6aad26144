"""The stack `local` with workers that KEDA scales from 0, and a DAG that takes as long as a run wants."""

import pytest

from tests.cluster.keda.scaling import Scaling
from tests.harness import dags

BY_TASKS = {
    "scaling": "queue",
    "min": 0,
    "max": 16,
    "concurrency": 1,
    "memory_mb": 1024,
    "grace_seconds": 600,
}


@pytest.fixture(scope="package")
def installed(checkout, up_and_down):
    """What `make up` said."""
    checkout.change("local", workers=BY_TASKS)
    # Among the files that the Git server of the stack starts with.
    sleeper = checkout.folder / "dags-repo-example" / "dags" / "sleeper.py"
    sleeper.write_text(dags.source("sleeper", work=dags.SLEEP))
    with up_and_down(checkout) as said:
        yield said


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
