"""Rules for the attributes of every DAG and task."""

import ast
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.definitions.timetables.assets import AssetTriggeredTimetable
from airflow.sdk.exceptions import AirflowDagCycleException
from airflow.serialization.serialized_objects import DagSerialization

from checks import templates
from checks.dag_ids import FoundDag
from checks.mistake import Mistake
from checks.platform_file import Platform
from checks.syntax import Lines


def is_timed(dag: DAG) -> bool:
    """Return whether time starts runs: not for `schedule=None`, and not for assets."""
    timetable = dag.timetable
    return timetable.can_be_scheduled and not isinstance(timetable, AssetTriggeredTimetable)


# Rule, condition, and the text if it is not met. The README gives the reasons.
DAG_RULES: list[tuple[str, Callable[[DAG], Any], str]] = [
    ("tags", lambda dag: dag.tags, 'has no tags; add tags=["..."], the UI filters DAGs by tag'),
    ("description", lambda dag: dag.description, 'has no description; add description="..."'),
    (
        "doc",
        lambda dag: dag.doc_md,
        "has no documentation; add doc_md=__doc__ and a docstring to the file",
    ),
    (
        "start-date",
        lambda dag: dag.start_date or not is_timed(dag),
        "has no start date; add start_date=datetime(2026, 1, 1, tzinfo=UTC)",
    ),
    (
        "start-date",
        lambda dag: not (dag.start_date and dag.start_date.microsecond),
        "has a start date that changes with every parse; use a fixed date, not now()",
    ),
    (
        "catchup",
        lambda dag: not (dag.catchup and is_timed(dag)),
        "would create a run for every interval since its start date (found catchup=True); "
        "set catchup=False, and run a backfill for past dates",
    ),
]
# `@asset` has no arguments for the others.
ASSET_RULES = {"tags", "description"}
TASK_RULES: list[tuple[str, Callable[[Any], Any], str]] = [
    (
        "owner",
        lambda task: task.owner != "airflow",
        'no owner (found the default \'airflow\'); add "owner": "your team" to default_args',
    ),
    (
        "retries",
        lambda task: task.retries >= 1,
        'no retries (found 0); add "retries": 2 to default_args, workers can stop at any time',
    ),
    (
        "retry-delay",
        lambda task: task.retries < 1 or task.retry_delay > timedelta(0),
        'no delay before a retry; add "retry_delay": timedelta(seconds=30) to default_args',
    ),
    (
        "timeout",
        lambda task: task.execution_timeout,
        'no timeout; add "execution_timeout": timedelta(minutes=5) to default_args',
    ),
]


def check(
    root: Path, folder: Path, file: Path, dags: list[DAG], platform: Platform | None
) -> tuple[list[FoundDag], set[Mistake]]:
    """Return the DAGs of a file, and their mistakes."""
    found, mistakes = [], set()
    for dag in dags:
        # A DAG that a shared module creates has its lines there.
        made_in = Path(dag.fileloc)
        source = made_in if made_in.is_relative_to(folder) else file
        lines = Lines(ast.parse(source.read_bytes()))
        path, line = str(source.relative_to(root)), lines.dag(dag.dag_id)
        is_asset = lines.is_asset(dag.task_ids)
        is_named = not is_asset and source == file and lines.has_dag(dag.dag_id)
        own_line = line if source == file else 1
        found.append(FoundDag(dag.dag_id, str(file.relative_to(root)), own_line, is_named))
        # As Airflow does: a relative path of a script starts at the DAG file.
        dag.fileloc = str(file)
        located = [
            *(
                (line, name, f"DAG '{dag.dag_id}' {text}")
                for name, rule, text in DAG_RULES
                if not rule(dag) and (name in ASSET_RULES or not is_asset)
            ),
            *((line, "", text) for text in check_serialization(dag)),
            *check_tasks(dag, lines),
            *templates.check(dag, lines),
        ]
        if platform:
            located += check_targets(dag, lines, platform)
        mistakes |= {Mistake(path, line, text, rule) for line, rule, text in located}
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
        message = " ".join(str(error).split())
        yield f"Airflow cannot serialize DAG '{dag.dag_id}' (found: {message}); correct that argument"


def check_tasks(dag: DAG, lines: Lines) -> Iterable[tuple[int, str, str]]:
    """Report each violated rule once per DAG, with all its tasks."""
    # The task of a plain `@asset` has no arguments.
    tasks = [task for task in dag.tasks if task.task_type != "_AssetMainOperator"]
    for name, rule, text in TASK_RULES:
        bad = [task.task_id for task in tasks if not rule(task)]
        if bad:
            line = lines.dag(dag.dag_id)
            if len(bad) < len(dag.tasks):
                line = lines.task(bad[0]) or line
            have = f"task {bad[0]} has" if len(bad) == 1 else f"tasks {', '.join(bad)} have"
            yield line, name, f"{have} {text}"


def check_targets(dag: DAG, lines: Lines, platform: Platform) -> Iterable[tuple[int, str, str]]:
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
                yield line or lines.dag(dag.dag_id), name, text
