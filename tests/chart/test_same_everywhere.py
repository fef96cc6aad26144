"""A local Airflow of a DAG author has the defaults that only the chart sets."""

import tarfile
from pathlib import Path

import yaml

ENV = Path(__file__).parents[2] / "dags-repo-example" / "local" / "airflow.env"


def test_local_airflow_has_the_defaults_of_the_chart(charts):
    (archive,) = charts.glob("airflow-*.tgz")
    with tarfile.open(archive) as chart:
        values = yaml.safe_load(chart.extractfile("airflow/values.yaml"))
    core, logging = values["config"]["core"], values["config"]["logging"]

    expected = {
        f"AIRFLOW__CORE__AUTH_MANAGER={core['auth_manager']}",
        f"AIRFLOW__CORE__LOAD_EXAMPLES={core['load_examples']}",
        f"AIRFLOW__LOGGING__COLORED_CONSOLE_LOG={logging['colored_console_log']}",
    }
    assert expected - set(ENV.read_text().splitlines()) == set(), (
        "set these lines in dags-repo-example/local/airflow.env and correct the rows in differences.md"
    )
