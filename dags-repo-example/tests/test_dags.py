"""What every DAG of this repository promises, whatever it does."""

from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.file import list_py_file_paths, might_contain_dag

ROOT = Path(__file__).parents[1]
BAG = DagBag(ROOT / "dags")
# Everything that .airflowignore does not exclude, also files that Airflow would pass over silently.
FILES = sorted(map(Path, list_py_file_paths(ROOT / "dags", safe_mode=False)))

every_dag = pytest.mark.parametrize("dag", BAG.dags.values(), ids=BAG.dags.keys())


def test_every_file_imports_without_error():
    assert FILES, "no DAG file in dags/, which is the only folder that the platform reads"
    assert not BAG.import_errors, "\n".join(BAG.import_errors.values())


def test_no_file_uses_what_airflow_is_about_to_remove():
    assert not BAG.captured_warnings


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_defines_one_dag_that_is_named_like_the_file(file):
    found = [dag.dag_id for dag in BAG.dags.values() if dag.fileloc == str(file)]
    assert found == [file.stem], "an alert names the DAG, so its file must be found by that name"


def test_no_dag_lies_where_the_platform_does_not_look():
    elsewhere = {*ROOT.glob("*.py"), *ROOT.glob("[!.]*/*.py")} - {
        *ROOT.glob("dags/*.py"),
        *ROOT.glob("tests/*.py"),
    }
    lost = [str(path.relative_to(ROOT)) for path in elsewhere if might_contain_dag(str(path), True)]
    assert lost == [], "only dags/ is read"


@every_dag
def test_a_dag_can_be_stored_by_the_dag_processor(dag):
    stored = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert stored.task_ids == dag.task_ids


@every_dag
def test_a_dag_says_whose_it_is_and_what_it_does(dag):
    assert dag.tags, "the list of DAGs is filtered by tag"
    assert dag.description, "shown in the list of DAGs"
    assert dag.doc_md, "shown on the page of the DAG"
    assert [task.task_id for task in dag.tasks if task.owner == "airflow"] == [], "no owner"


@every_dag
def test_a_dag_starts_on_a_fixed_day_and_leaves_the_past_alone(dag):
    assert dag.start_date, "no start date"
    assert not dag.start_date.microsecond, "a start date made from now() moves with every parse"
    assert not dag.catchup, "switching the DAG on would start a run for every day since"


@every_dag
def test_a_task_survives_the_loss_of_its_worker_and_never_hangs(dag):
    for task in dag.tasks:
        assert task.retries >= 1, f"{task.task_id}: workers come and go"
        assert task.retry_delay > timedelta(0), (
            f"{task.task_id}: no pause in which the cause may pass"
        )
        assert task.execution_timeout, f"{task.task_id}: would keep a worker busy for ever"
