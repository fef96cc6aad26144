"""Keep the tests away from any Airflow that the shell is set up for."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Airflow reads its settings once, on import: this must come first.
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = str(ROOT / ".airflow")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")
