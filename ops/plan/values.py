"""Values of the Airflow chart in an offline plan, merged like Helm merges them."""

from typing import Any

from ops.plan.mock_engine import StackSnapshot
from policies import chart_values
from policies.chart_values import RELEASE, merge
from policies.view import at

__all__ = ["RELEASE", "at", "merge", "of_airflow"]


def of_airflow(snapshot: StackSnapshot) -> dict[str, Any]:
    """All values of the release `airflow`."""
    return chart_values.of(snapshot.one(RELEASE, "airflow-release").inputs)
