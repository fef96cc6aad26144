"""What every DAG has to have, whatever it does."""

import ast
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowDagCycleException
from airflow.serialization.serialized_objects import DagSerialization

from checks.mistake import Mistake
from checks.platform import Platform
from checks.syntax import Lines

# What a DAG lacks, and what to do. The reasons are in the README.
OF_A_DAG: list[tuple[Callable[[DAG], Any], str]] = [
    (lambda dag: dag.tags, 'has no tags; add tags=["..."], the list of DAGs is filtered by them'),
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
        "has a start date that moves with every parse; write a fixed day, not now()",
    ),
    (
        lambda dag: not dag.catchup,
        "would start a run for every day since its start date (found catchup=True); "
        "set catchup=False, and use a backfill for past days",
    ),
]
OF_A_TASK: list[tuple[Callable[[Any], Any], str]] = [
    (
        lambda task: task.owner != "airflow",
        'no owner (found \'airflow\', which is nobody); add "owner": "your team" to default_args',
    ),
    (
        lambda task: task.retries >= 1,
        'no retries (found 0); add "retries": 2 to default_args, workers come and go',
    ),
    (
        lambda task: task.retries < 1 or task.retry_delay > timedelta(0),
        'no pause before a retry; add "retry_delay": timedelta(seconds=30) to default_args',
    ),
    (
        lambda task: task.execution_timeout,
        'no time limit; add "execution_timeout": timedelta(minutes=5) to default_args',
    ),
]


def check(
    path: str, file: Path, dags: list[DAG], platform: Platform | None
) -> tuple[list[tuple[str, int]], set[Mistake]]:
    """Return the ids of a file's DAGs with their lines, and what is wrong with them."""
    lines = Lines(ast.parse(file.read_bytes()))
    if not dags:
        text = (
            "defines no DAG; call the function under @dag at the end of the file, "
            f"or name the file _{file.name} if DAGs only share it"
        )
        return [], {Mistake(path, 1, text)}
    found, mistakes = [], set()
    for dag in dags:
        line = lines.dag(dag.dag_id)
        found.append((dag.dag_id, line))
        texts = [f"DAG '{dag.dag_id}' {text}" for good, text in OF_A_DAG if not good(dag)]
        mistakes |= {Mistake(path, line, text) for text in [*texts, *stored(dag)]}
        mistakes |= {Mistake(path, *text) for text in of_tasks(dag, lines)}
        if platform:
            mistakes |= {Mistake(path, *text) for text in of_platform(dag, lines, platform)}
    return found, mistakes


def stored(dag: DAG) -> Iterable[str]:
    """Tell what keeps Airflow from storing a DAG; to Airflow a cycle has no end."""
    try:
        dag.validate()
        dag.check_cycle()
        DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    except AirflowDagCycleException as error:
        yield f"the tasks of DAG '{dag.dag_id}' wait for each other (found: {error}); take one `>>` out"
    except Exception as error:
        said = str(error).splitlines()[0]
        yield f"Airflow cannot store DAG '{dag.dag_id}' ({said}); correct that argument"


def of_tasks(dag: DAG, lines: Lines) -> Iterable[tuple[int, str]]:
    """Tell which tasks lack what, all tasks of a DAG in one sentence."""
    for good, text in OF_A_TASK:
        bad = [task.task_id for task in dag.tasks if not good(task)]
        if bad:
            line = lines.dag(dag.dag_id)
            if len(bad) < len(dag.tasks):
                line = lines.task(bad[0]) or line
            have = f"task {bad[0]} has" if len(bad) == 1 else f"tasks {', '.join(bad)} have"
            yield line, f"{have} {text}"


def of_platform(dag: DAG, lines: Lines, platform: Platform) -> Iterable[tuple[int, str]]:
    """Tell which tasks would wait for ever for a queue or a pool that is not there."""
    for task in dag.tasks:
        for name, known in ("queue", platform.queues), ("pool", platform.pools):
            value = getattr(task, name)
            if value not in known:
                line = lines.argument(name, value) or lines.task(task.task_id)
                yield (
                    line or lines.dag(dag.dag_id),
                    f"task {task.task_id} would wait for ever: the platform has no such {name} (found "
                    f"{value!r}; platform.yaml has {', '.join(known)}); use one of those",
                )
