"""Checks the files of values/ offline: keys of the chart, options and variables of Airflow.

The chart's own schema is in its archive, and Helm reads it during `make up` only. Therefore
chart_keys.json lists the keys of the pinned chart (`python -m ops.docs.chart_keys` writes it).
"""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import yaml

from policies import chart_values
from settings import options, versions
from settings.airflow import DERIVED_OPTIONS
from settings.versions import AIRFLOW_CHART

FILE = Path(__file__).with_suffix(".json")
VALUES = (
    "values/airflow.yaml",
    "values/database-tls.yaml",
    "values/aws.yaml",
    "values/local.yaml",
)


def mistakes(version: str = versions.AIRFLOW) -> dict[str, list[str]]:
    """Mistakes in values/, by file, for a version of Airflow."""
    known = json.loads(FILE.read_text())["keys"]
    return {file: list(_in_file(file, known, version)) for file in VALUES}


def _in_file(file: str, known: Mapping[str, Any], version: str) -> Iterator[str]:
    try:
        values: Any = chart_values.read(file)
    except (OSError, ValueError, yaml.YAMLError) as invalid:
        yield f"should be a readable YAML file ({invalid})"
        return
    if isinstance(values, dict):
        given = cast(dict[str, Any], values)
        yield from unknown_keys(given, known)
        yield from _deprecated_keys(given)
        config: Any = given.get("config") or {}
        yield from (f"config.{n}: {what}" for n, what in options.mistakes(config, version=version))
        yield from _variables(given, version)
    elif values is not None:
        yield "should be a map of chart values"


def _deprecated_keys(values: Mapping[str, Any]) -> Iterator[str]:
    """Former names of keys of `workers.celery`, which the values of a queue replace."""
    for key in values.get("workers") or {}:
        if key not in ("celery", "kubernetes"):
            yield f"workers.{key}: is deprecated in the chart; write workers.celery.{key} instead"


def _variables(values: Mapping[str, Any], version: str, above: str = "") -> Iterator[str]:
    """Environment variables that the program or the chart sets, anywhere in a file."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _variables(cast(dict[str, Any], value), version, f"{above}{key}.")
        elif key in ("env", "secret") and isinstance(value, list):
            for entry in cast(list[dict[str, Any]], value):
                name = str(entry.get("name") or entry.get("envName"))
                if what := options.not_free(name, version, DERIVED_OPTIONS):
                    yield f"{above}{key}.{name}: {what}"


def unknown_keys(
    values: Mapping[str, Any], known: Mapping[str, Any], above: str = ""
) -> Iterator[str]:
    """One line per key that `known` lacks. Below a key without a map in `known`, every key is valid."""
    for key, value in values.items():
        path = f"{above}{key}"
        if key not in known:
            similar = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {above}{similar[0]}?" if similar else ""
            yield f"{path}: is not a key of chart {AIRFLOW_CHART.name} {AIRFLOW_CHART.version}{hint}"
        elif isinstance(value, dict) and isinstance(known[key], dict):
            yield from unknown_keys(cast(dict[str, Any], value), known[key], f"{path}.")
