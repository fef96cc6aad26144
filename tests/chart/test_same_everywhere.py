"""What nobody but the chart sets is the same on a DAG author's machine."""

import tarfile
from pathlib import Path

import yaml

ENV = Path(__file__).parents[2] / "dags-repo-example" / "local" / "airflow.env"


def test_the_charts_own_options_hold_on_the_authors_machine(charts):
    (archive,) = charts.glob("airflow-*.tgz")
    with tarfile.open(archive) as chart:
        values = yaml.safe_load(chart.extractfile("airflow/values.yaml"))
    core, logging = values["config"]["core"], values["config"]["logging"]

    lines = ENV.read_text().splitlines()
    assert f"AIRFLOW__CORE__AUTH_MANAGER={core['auth_manager']}" in lines
    assert f"AIRFLOW__CORE__LOAD_EXAMPLES={core['load_examples']}" in lines
    assert f"AIRFLOW__LOGGING__COLORED_CONSOLE_LOG={logging['colored_console_log']}" in lines
