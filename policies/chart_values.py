"""Chart values as Helm will see them: the files in order, then the wired values on top."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from policies.view import UNKNOWN, Resource, Secret, Stack, at, items

ROOT = Path(__file__).parents[1]
RELEASE = "kubernetes:helm.sh/v3:Release"


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Helm's merge: maps deeply, everything else replaces."""
    merged = dict(base)
    for key, value in over.items():
        both_maps = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both_maps else value
    return merged


@cache
def _read(path: str) -> dict[str, Any]:
    """Several rules ask, and reading YAML is what takes them time. Nobody changes the answer."""
    return yaml.safe_load(Path(ROOT, path).read_text())


def of(inputs: dict[str, Any]) -> dict[str, Any]:
    """All values of a release."""
    values: dict[str, Any] = {}
    for asset in inputs.get("valueYamlFiles") or []:
        values = merge(values, _read(asset["path"]))
    wired = inputs.get("values")
    return values if wired in (None, UNKNOWN) or isinstance(wired, Secret) else merge(values, wired)


def worker_sets(values: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Celery workers of the Airflow chart: where the values of a set stand, and what they come to."""
    given = at(values, "workers.celery")
    common: dict[str, Any] = given if isinstance(given, dict) else {}
    sets = [
        (f"workers.celery.sets.{each['name']}", {**common, **each})
        for each in items(common.get("sets"))
    ]
    return [("workers.celery", common), *sets] if common.get("enableDefault", True) else sets


def of_airflow(stack: Stack) -> list[tuple[Resource, dict[str, Any]]]:
    """The release of Airflow and its values, if the stack has one."""
    return [
        (release, of(release.inputs))
        for release in stack.all(RELEASE)
        if release.inputs.get("name") == "airflow"
    ]
