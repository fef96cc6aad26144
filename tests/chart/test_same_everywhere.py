"""Chart defaults that the stack keeps are the same on a DAG author's machine."""

import tarfile
from pathlib import Path

import yaml

ENV = Path(__file__).parents[2] / "dags-repo-example" / "local" / "airflow.env"


def test_chart_defaults_match_the_local_airflow(charts):
    (archive,) = charts.glob("airflow-*.tgz")
    with tarfile.open(archive) as chart:
        values = yaml.safe_load(chart.extractfile("airflow/values.yaml"))
    core, logging = values["config"]["core"], values["config"]["logging"]

    expected = {
        f"AIRFLOW__CORE__AUTH_MANAGER={core['auth_manager']}",
        f"AIRFLOW__CORE__LOAD_EXAMPLES={core['load_examples']}",
        f"AIRFLOW__LOGGING__COLORED_CONSOLE_LOG={logging['colored_console_log']}",
    }
    missing = expected - set(ENV.read_text().splitlines())
    assert missing == set(), "set these lines in dags-repo-example/local/airflow.env"
