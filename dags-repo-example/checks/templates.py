"""Templates of tasks: Airflow renders them when the task runs, with undeclared names as errors."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.definitions.context import Context
from airflow.sdk.definitions.timetables.assets import AssetTriggeredTimetable
from jinja2 import Environment, TemplateError, TemplateNotFound, meta, nodes

from checks.syntax import Lines

# https://airflow.apache.org/docs/apache-airflow/stable/templates-ref.html
CONTEXT = set(Context.__annotations__)
# A run that an asset event starts has no logical date.
DATED = {
    *("logical_date", "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"),
    *("data_interval_start", "data_interval_end"),
    *("prev_data_interval_start_success", "prev_data_interval_end_success"),
}
# https://airflow.apache.org/docs/apache-airflow/stable/installation/upgrading_to_airflow3.html
REMOVED = {
    "execution_date": "logical_date",
    "next_execution_date": "data_interval_end",
    "next_ds": "data_interval_end | ds",
    "prev_execution_date": "data_interval_start",
    "prev_ds": "data_interval_start | ds",
    "prev_execution_date_success": "prev_data_interval_start_success",
    "yesterday_ds": "macros.ds_add(ds, -1)",
    "tomorrow_ds": "macros.ds_add(ds, 1)",
    "conf": "a value in params",
}


def check(dag: DAG, lines: Lines) -> Iterable[tuple[int, str, str]]:
    """Report line, rule and text of each template that fails when its task runs."""
    environment = dag.get_template_env()
    absent = DATED if isinstance(dag.timetable, AssetTriggeredTimetable) else set()
    for task in dag.tasks:
        # A mapped task has the arguments of `partial`.
        mapped = getattr(task, "partial_kwargs", None)
        for field in task.template_fields:
            value = getattr(task, field, None) if mapped is None else mapped.get(field)
            for text in texts(value):
                line = lines.task(task.task_id) or lines.dag(dag.dag_id)
                for rule, problem in check_text(
                    environment, text, tuple(task.template_ext), absent
                ):
                    yield line, rule, f"{field} of task {task.task_id} {problem}"


def texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from texts(each)
    elif isinstance(value, dict):
        yield from texts(list(value.values()))


def check_text(
    environment: Environment, text: str, endings: tuple[str, ...], absent: set[str]
) -> Iterable[tuple[str, str]]:
    where = ""
    if endings and text.endswith(endings):
        where = f" in {text}"
        try:
            text, _, _ = environment.loader.get_source(environment, text)
        except TemplateNotFound:
            folders = ", ".join(map(os.path.relpath, environment.loader.searchpath))
            yield (
                "script",
                (
                    f"names a file that does not exist (found {text!r}; searched in {folders}); correct "
                    "the path, which starts at the folder of the DAG file, or set template_searchpath. "
                    f"A command that only ends in {text[text.rindex('.') :]} needs a space at its end"
                ),
            )
            return
        except (TemplateError, UnicodeDecodeError) as error:
            yield "template", f"cannot be read (found {error}{where}); correct the file"
            return
    try:
        tree = environment.parse(text)
    except TemplateError as error:
        yield "template", f"is not a valid template (found {error}{where}); correct it"
        return
    optional = {
        test.node.name
        for test in tree.find_all(nodes.Test)
        if test.name in ("defined", "undefined") and isinstance(test.node, nodes.Name)
    }
    known = (CONTEXT - absent) | optional | environment.globals.keys()
    for name in sorted(meta.find_undeclared_variables(tree) - known):
        if name in absent:
            yield (
                "template",
                (
                    "uses a name that runs of an asset event lack, because they have no logical date "
                    f"(found {name}{where}); use dag_run.run_after"
                ),
            )
            continue
        close = REMOVED.get(name) or next(iter(get_close_matches(name, known, n=1)), None)
        fix = f"use {close}" if close else "pass it as params, and use params.NAME"
        yield "template", f"uses a name that Airflow does not provide (found {name}{where}); {fix}"
