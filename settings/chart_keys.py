"""Checks the keys in values/ against the chart, offline.

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
from settings.versions import AIRFLOW_CHART

FILE = Path(__file__).with_suffix(".json")
VALUES = (
    "values/airflow.yaml",
    "values/database-tls.yaml",
    "values/aws.yaml",
    "values/local.yaml",
)


def mistakes() -> dict[str, list[str]]:
    """Mistakes in values/, by file."""
    known = json.loads(FILE.read_text())["keys"]
    return {file: list(_in_file(file, known)) for file in VALUES}


def _in_file(file: str, known: Mapping[str, Any]) -> Iterator[str]:
    try:
        values: Any = chart_values.read(file)
    except (OSError, ValueError, yaml.YAMLError) as invalid:
        yield f"should be a readable YAML file ({invalid})"
        return
    if isinstance(values, dict):
        yield from unknown_keys(cast(dict[str, Any], values), known)
    elif values is not None:
        yield "should be a map of chart values"


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
