"""Large XComs in the bucket: until when, by the clean-up of the database."""

import pytest
import yaml

from components.airflow import xcom_bucket
from ops.stack_files import ROOT


def test_an_xcom_in_the_bucket_outlives_its_row():
    clean_up = yaml.safe_load((ROOT / "values/airflow.yaml").read_text())["databaseCleanup"]

    days = xcom_bucket.retention_days(["airflow.yaml", "aws.yaml"])
    assert days - clean_up["retentionDays"] > 7, "the clean-up is weekly"


@pytest.mark.parametrize(
    ("over", "days"),
    [({"enabled": False}, 0), ({"retentionDays": 10}, 40), ({}, 120)],
)
def test_the_files_in_values_decide(monkeypatch, over, days):
    files = {
        "values/airflow.yaml": {"databaseCleanup": {"enabled": True, "retentionDays": 90}},
        "values/aws.yaml": {"databaseCleanup": over},
    }
    monkeypatch.setattr(xcom_bucket, "read", files.__getitem__)

    assert xcom_bucket.retention_days(["airflow.yaml", "aws.yaml"]) == days
