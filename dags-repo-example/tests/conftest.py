"""Keep the tests away from any Airflow that the shell is set up for."""

import os
from pathlib import Path

# Airflow reads its settings once, on import: this must come first.
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = str(Path(__file__).parents[1] / ".airflow")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
