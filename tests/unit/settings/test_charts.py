import pytest

from settings.versions import AIRFLOW_CHART, KEDA_CHART
from tests.unit.settings.stacks import EKS, changed


def test_charts_come_from_an_existing_directory(mistakes, load, tmp_path):
    (tmp_path / AIRFLOW_CHART.archive).touch()
    (tmp_path / KEDA_CHART.archive).touch()
    assert load(changed(EKS, "charts.source", str(tmp_path))).charts.source == str(tmp_path)

    (line,) = mistakes(changed(EKS, "charts.source", "nowhere"))
    assert line == (
        "charts.source: should be an https:// or oci:// repository, or a directory, got 'nowhere'"
    )


@pytest.mark.parametrize("source", ["https://charts.example.com", "oci://registry.example.com/x"])
def test_charts_come_from_a_repository(load, source):
    assert load(changed(EKS, "charts.source", source)).charts.source == source
