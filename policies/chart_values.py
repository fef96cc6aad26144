"""Chart values as Helm merges them: the value files in order, then `values`."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from policies.view import UNKNOWN, Resource, Secret, Stack, as_list, at

ROOT = Path(__file__).parents[1]
RELEASE = "kubernetes:helm.sh/v3:Release"


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge like Helm: maps recursively; other values are replaced."""
    merged = dict(base)
    for key, value in over.items():
        both_maps = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both_maps else value
    return merged


@cache
def read(path: str) -> dict[str, Any]:
    """Cached: parsing YAML dominates the run time of the rules. The result is read-only."""
    # libyaml parses the three files in 5 ms, the Python code of PyYAML in 47.
    return yaml.load(Path(ROOT, path).read_text(), Loader=yaml.CSafeLoader)


def of(inputs: dict[str, Any]) -> dict[str, Any]:
    """All values of a release."""
    values: dict[str, Any] = {}
    for asset in inputs.get("valueYamlFiles") or []:
        values = merge(values, read(asset["path"]))
    inline = inputs.get("values")
    if inline in (None, UNKNOWN) or isinstance(inline, Secret):
        return values
    return merge(values, inline)


def worker_sets(values: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The Celery worker sets of the Airflow chart: path and effective values."""
    given = at(values, "workers.celery")
    common: dict[str, Any] = given if isinstance(given, dict) else {}
    sets = [
        (f"workers.celery.sets.{each['name']}", {**common, **each})
        for each in as_list(common.get("sets"))
    ]
    return [("workers.celery", common), *sets] if common.get("enableDefault", True) else sets


def of_airflow(stack: Stack) -> list[tuple[Resource, dict[str, Any]]]:
    """The Airflow release and its values, if the stack has one."""
    return [
        (release, of(release.inputs))
        for release in stack.all(RELEASE)
        if release.inputs.get("name") == "airflow"
    ]
