"""settings/chart_keys.json, with which `make plan` checks values/, matches the chart."""

import json

from ops.docs import chart_keys
from settings.chart_keys import FILE, unknown_keys


def test_the_listed_keys_are_those_of_the_archive(airflow_chart):
    assert json.loads(FILE.read_text()) == chart_keys.from_archive(airflow_chart), (
        f"run `python -m ops.docs.chart_keys {airflow_chart}` and commit settings/{FILE.name}"
    )


def test_every_default_value_has_a_listed_key(chart_defaults):
    known = json.loads(FILE.read_text())["keys"]

    assert list(unknown_keys(chart_defaults, known)) == [], "make plan would refuse a valid key"
