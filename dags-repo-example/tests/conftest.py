"""Isolates the tests from the Airflow configuration of the shell."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Before any import of Airflow, which reads its configuration once.
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = str(ROOT / ".airflow")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")
