"""Settings of the task logs."""

import pytest

from tests.unit.settings.stacks import LOCAL


@pytest.mark.parametrize("bucket", ["logs", "my.logs-2", "logs/airflow", "logs/team/a_1"])
def test_a_bucket_may_have_a_folder(load, bucket):
    assert load({**LOCAL, "logs": {"bucket": bucket}}).logs.bucket == bucket


@pytest.mark.parametrize("bucket", ["s3://logs", "Logs", "logs/", "l", "logs//"])
def test_a_bucket_is_a_name_and_a_folder(mistakes, bucket):
    (line,) = mistakes({**LOCAL, "logs": {"bucket": bucket}})

    assert line.startswith("logs.bucket: ")


def test_options_of_a_bucket_need_the_bucket(mistakes):
    logs = {"endpoint_url": "https://minio.example", "credentials_secret": "minio"}

    assert mistakes({**LOCAL, "logs": logs}) == [
        "logs: endpoint_url and credentials_secret need bucket"
    ]
    assert mistakes({**LOCAL, "logs": {"region": "eu-west-1"}}) == ["logs: region needs bucket"]


def test_credentials_are_no_part_of_the_endpoint(mistakes):
    logs = {"bucket": "logs", "endpoint_url": "https://user:hunter2@minio.example"}
    (line,) = mistakes({**LOCAL, "logs": logs})

    assert "must not contain credentials" in line
    assert "hunter2" not in line
