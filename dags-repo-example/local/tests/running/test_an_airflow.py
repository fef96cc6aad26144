"""What a DAG author may expect of a local Airflow, in processes and in containers alike."""

import time

from local.tests.client import wait_for

WORKS_AND_WAITS = """
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task


@task
def wait():
    print("still at work", flush=True)
    signal = Path(__file__).with_name("go_on.txt")
    for _ in range(600):
        if signal.exists():
            return
        import time
        time.sleep(0.1)
    raise TimeoutError


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def {name}():
    wait()


{name}()
"""


def test_all_parts_are_healthy(airflow):
    health = airflow.call("GET", "/api/v2/monitor/health")
    assert {part: state["status"] for part, state in health.items()} == dict.fromkeys(
        ["metadatabase", "scheduler", "triggerer", "dag_processor"], "healthy"
    )


def test_every_dag_of_the_repository_is_there_and_imports(airflow):
    files = {path.stem for path in airflow.folder.glob("dags/[!_]*.py")}
    wait_for("the DAGs", lambda: files <= airflow.dag_ids(), 15)
    assert airflow.call("GET", "/api/v2/importErrors")["import_errors"] == []
    plugins = airflow.call("GET", "/api/v2/plugins")["plugins"]
    assert {plugin["name"] for plugin in plugins} >= {"working_days"}


def test_the_example_runs_and_its_log_can_be_read(airflow):
    run = airflow.run("word_count")
    assert "Top 10 words" in airflow.log("word_count", run, "print_top")


def test_a_saved_dag_is_there_within_3_seconds(airflow):
    dags = airflow.folder / "dags"
    took = []
    for name in ("saved_first", "saved_second", "saved_third"):
        began = time.monotonic()
        (dags / f"{name}.py").write_text(WORKS_AND_WAITS.format(name=name))
        wait_for(name, lambda name=name: name in airflow.dag_ids(), 10)
        took.append(time.monotonic() - began)
    print("seen after", ", ".join(f"{seconds:.1f} s" for seconds in took))
    assert max(took) <= 3


def test_the_log_of_a_task_can_be_read_while_it_runs(airflow):
    name = "at_work"
    (airflow.folder / "dags" / f"{name}.py").write_text(WORKS_AND_WAITS.format(name=name))
    wait_for(name, lambda: name in airflow.dag_ids(), 10)
    run = airflow.trigger(name)
    # The run lasts until the file is there, so whatever is read before was read while it ran.
    wait_for("its log", lambda: "still at work" in log_or_nothing(airflow, name, run), 30)
    assert airflow.state(name, run) == "running"
    (airflow.folder / "dags" / "go_on.txt").touch()
    wait_for("its end", lambda: airflow.state(name, run) == "success", 30)


def log_or_nothing(airflow, dag, run):
    try:
        return airflow.log(dag, run, "wait")
    except Exception:  # no task, no try, no log yet
        return ""
