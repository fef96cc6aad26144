"""A work folder with a DAG repository and a dump of Airflow 2, whose owner may run PostgreSQL."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.unit.docs.documents import ROOT

DUMP = Path(__file__).with_name("airflow-2.11.sql")
NOBODY = 65534


@pytest.fixture(scope="session")
def owner():
    """Options of `subprocess`: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


@pytest.fixture(scope="session")
def dag_repository(request):
    """A checkout whose environment `make` has created."""
    folder = (request.config.getoption("--dag-repository") or ROOT / "dags-repo-example").resolve()
    if not (folder / ".venv/ready").exists():
        pytest.fail(f"{folder} has no .venv: run `make check` there, or pass --dag-repository")
    return folder


@pytest.fixture(scope="session")
def work(dag_repository, owner):
    # Not `tmp_path`, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="migration-"))
    shutil.copy(DUMP, folder / "airflow-2.sql")
    (folder / "airflow-dags").symlink_to(dag_repository)
    if owner:
        os.chown(folder, owner["user"], owner["group"])
    yield folder
    shutil.rmtree(folder)
