"""The stack `local` with workers that KEDA scales from zero, and a DAG of configurable duration."""

import pytest

from tests.cluster.keda.scaling import Scaling
from tests.harness import dags

BY_QUEUE = {
    "scaling": "queue",
    "min": 0,
    "max": 16,
    "concurrency": 1,
    "memory_mb": 1024,
    "grace_seconds": 600,
}


@pytest.fixture(scope="package")
def installed(checkout, up_and_down):
    """The output of `make up`."""
    checkout.change("local", workers=BY_QUEUE)
    # In the first commit of the stack's Git server.
    sleeper = checkout.folder / "dags-repo-example" / "dags" / "sleeper.py"
    sleeper.write_text(dags.source("sleeper", work=dags.SLEEP))
    with up_and_down(checkout) as output:
        yield output


@pytest.fixture
def scaling(installed, cluster):
    return Scaling(cluster=cluster)


@pytest.fixture
def mode(installed, checkout):
    """Change the scaling of the workers, if it differs."""

    def change(**workers):
        before = checkout.file("local").read_text()
        checkout.change("local", workers={**BY_QUEUE, **workers})
        if checkout.file("local").read_text() != before:
            checkout.up()

    return change
