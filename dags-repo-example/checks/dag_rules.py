"""Rules for the attributes of every DAG and task."""

import ast
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowDagCycleException
from airflow.serialization.serialized_objects import DagSerialization

from checks.mistake import Mistake
from checks.platform_file import Platform
from checks.syntax import Lines

# Condition, and the text if it is not met. The README gives the reasons.
DAG_RULES: list[tuple[Callable[[DAG], Any], str]] = [
    (lambda dag: dag.tags, 'has no tags; add tags=["..."], the UI filters DAGs by tag'),
    (lambda dag: dag.description, 'has no description; add description="..."'),
    (
        lambda dag: dag.doc_md,
        "has no documentation; add doc_md=__doc__ and a docstring to the file",
    ),
    (
        lambda dag: dag.start_date,
        "has no start date; add start_date=datetime(2026, 1, 1, tzinfo=UTC)",
    ),
    (
        lambda dag: not (dag.start_date and dag.start_date.microsecond),
        "has a start date that changes with every parse; use a fixed date, not now()",
    ),
    (
        lambda dag: not dag.catchup,
        "would create a run for every interval since its start date (found catchup=True); "
        "set catchup=False, and run a backfill for past dates",
    ),
]
TASK_RULES: list[tuple[Callable[[Any], Any], str]] = [
    (
        lambda task: task.owner != "airflow",
        'no owner (found the default \'airflow\'); add "owner": "your team" to default_args',
    ),
    (
        lambda task: task.retries >= 1,
        'no retries (found 0); add "retries": 2 to default_args, workers can stop at any time',
    ),
    (
        lambda task: task.retries < 1 or task.retry_delay > timedelta(0),
        'no delay before a retry; add "retry_delay": timedelta(seconds=30) to default_args',
    ),
    (
        lambda task: task.execution_timeout,
        'no timeout; add "execution_timeout": timedelta(minutes=5) to default_args',
    ),
]


def check(
    path: str, file: Path, dags: list[DAG], platform: Platform | None
) -> tuple[list[tuple[str, int]], set[Mistake]]:
    """Return the ids of a file's DAGs with their lines, and their mistakes."""
    lines = Lines(ast.parse(file.read_bytes()))
    if not dags:
        text = (
            "defines no DAG; call the @dag function at the end of the file, "
            f"or rename a shared module to _{file.name}"
        )
        return [], {Mistake(path, 1, text)}
    found, mistakes = [], set()
    for dag in dags:
        line = lines.dag(dag.dag_id)
        found.append((dag.dag_id, line))
        texts = [f"DAG '{dag.dag_id}' {text}" for rule, text in DAG_RULES if not rule(dag)]
        mistakes |= {Mistake(path, line, text) for text in [*texts, *check_serialization(dag)]}
        mistakes |= {Mistake(path, *located) for located in check_tasks(dag, lines)}
        if platform:
            mistakes |= {Mistake(path, *located) for located in check_targets(dag, lines, platform)}
    return found, mistakes


def check_serialization(dag: DAG) -> Iterable[str]:
    """Report why Airflow cannot serialize a DAG; with a cycle it would not terminate."""
    try:
        dag.validate()
        dag.check_cycle()
        DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    except AirflowDagCycleException as error:
        yield f"the tasks of DAG '{dag.dag_id}' form a cycle (found: {error}); remove one `>>`"
    except Exception as error:
        message = str(error).splitlines()[0]
        yield f"Airflow cannot serialize DAG '{dag.dag_id}' (found: {message}); correct that argument"


def check_tasks(dag: DAG, lines: Lines) -> Iterable[tuple[int, str]]:
    """Report each violated rule once per DAG, with all its tasks."""
    for rule, text in TASK_RULES:
        bad = [task.task_id for task in dag.tasks if not rule(task)]
        if bad:
            line = lines.dag(dag.dag_id)
            if len(bad) < len(dag.tasks):
                line = lines.task(bad[0]) or line
            have = f"task {bad[0]} has" if len(bad) == 1 else f"tasks {', '.join(bad)} have"
            yield line, f"{have} {text}"


def check_targets(dag: DAG, lines: Lines, platform: Platform) -> Iterable[tuple[int, str]]:
    """Report tasks whose queue or pool does not exist: they would never start."""
    for task in dag.tasks:
        for name, known in ("queue", platform.queues), ("pool", platform.pools):
            value = getattr(task, name)
            if value not in known:
                line = lines.argument(name, value) or lines.task(task.task_id)
                text = (
                    f"task {task.task_id} would never start, the platform has no such {name} "
                    f"(found {value!r}; platform.yaml has {', '.join(known)}); use a listed {name}"
                )
                yield line or lines.dag(dag.dag_id), text
