"""Chart values as Helm will see them: the files in order, then the wired values on top."""

from pathlib import Path
from typing import Any

import yaml

from plan.engine import ROOT, Declaration

RELEASE = "kubernetes:helm.sh/v3:Release"


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Helm's merge: maps deeply, everything else replaces."""
    merged = dict(base)
    for key, value in over.items():
        both_maps = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both_maps else value
    return merged


def of_airflow(declaration: Declaration) -> dict[str, Any]:
    """All values of the release `airflow`."""
    inputs = declaration.one(RELEASE, "airflow-release").inputs
    values: dict[str, Any] = {}
    for asset in inputs["valueYamlFiles"]:
        values = merge(values, yaml.safe_load(Path(ROOT, asset["path"]).read_text()))
    return merge(values, inputs["values"])


def at(values: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for key in path.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values
