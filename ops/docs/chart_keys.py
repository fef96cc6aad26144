"""`python -m ops.docs.chart_keys CHARTS/airflow-VERSION.tgz`: writes settings/chart_keys.json.

Run it after a change of `AIRFLOW_CHART` in settings/versions.py; `make charts` fetches the archive.
"""

import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from settings.chart_keys import FILE
from settings.versions import AIRFLOW_CHART


def from_archive(archive: Path) -> dict[str, Any]:
    """Content of settings/chart_keys.json: the keys of the chart, without its schema."""
    with tarfile.open(archive) as files:

        def read(name: str) -> str:
            member = files.extractfile(f"{AIRFLOW_CHART.name}/{name}")
            assert member is not None, f"{name} is a directory"  # noqa: S101
            return member.read().decode()

        chart = yaml.safe_load(read("Chart.yaml"))
        schema = json.loads(read("values.schema.json"))
    keys = _keys(schema) or {}
    # Values of a dependency belong to its own chart; Helm hands `global` to all of them.
    free = ["global", *(dependency["name"] for dependency in chart.get("dependencies", []))]
    keys |= dict.fromkeys(free)
    return {"chart": f"{chart['name']} {chart['version']}", "keys": keys}


def _keys(schema: dict[str, Any]) -> dict[str, Any] | None:
    """Keys of an object, recursively. None: any keys, for example labels or a Kubernetes type."""
    properties = schema.get("properties")
    if not properties or schema.get("additionalProperties", False):
        return None
    return {name: _keys(properties[name]) for name in properties}


def text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    content = from_archive(Path(arguments[0]))
    expected = f"{AIRFLOW_CHART.name} {AIRFLOW_CHART.version}"
    if content["chart"] != expected:
        print(
            f"{arguments[0]} is chart {content['chart']}; settings/versions.py pins {expected}",
            file=sys.stderr,
        )
        return 1
    FILE.write_text(text(content))
    print(f"wrote settings/{FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
