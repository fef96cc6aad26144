"""Runs inside the image: imports every DAG and reports import errors."""

import sys

from airflow.dag_processing.dagbag import DagBag

DAGS = "/opt/airflow/dags"

sys.path.insert(0, DAGS)  # like Airflow, so that DAGs can import shared modules
bag = DagBag(DAGS)
for path, error in bag.import_errors.items():
    print(f"{path}:\n{error}", file=sys.stderr)
print("imported:", ", ".join(sorted(bag.dags)) or "no DAG")
sys.exit(bool(bag.import_errors) or not bag.dags)
