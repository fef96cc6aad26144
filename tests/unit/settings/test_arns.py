import re

import pytest

from settings import arns
from settings.airflow import AirflowSettings
from settings.cluster import EksSettings
from settings.workers import WorkerSettings

GOV = "arn:aws-us-gov:iam::111122223333:role/admins"


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-west-1", "aws"),
        ("us-west-2", "aws"),
        ("us-gov-west-1", "aws-us-gov"),
        ("cn-north-1", "aws-cn"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_a_region_has_one_partition(region, partition):
    assert arns.partition(region) == partition


@pytest.mark.parametrize(
    ("arn", "accepted"),
    [
        (GOV, True),
        ("arn:aws-cn:iam::111122223333:user/anna", True),
        ("arn:awsome:iam::111122223333:role/admins", False),
        ("arn:aws:iam::1234:role/admins", False),
        ("arn:aws:iam:eu-west-1:111122223333:role/admins", False),
    ],
)
def test_the_form_of_a_principal(arn, accepted):
    assert bool(re.fullmatch(arns.PRINCIPAL, arn)) is accepted


def _misplaced(region, **sections):
    return dict(arns.misplaced(sections, region))


def test_an_arn_of_another_partition_is_a_mistake():
    cluster = EksSettings(kind="eks", private_endpoint=True, admin_role_arns=(GOV,))

    (found,) = _misplaced("eu-west-1", cluster=cluster).items()

    assert found == (
        "cluster.admin_role_arns.0",
        "is in the partition aws-us-gov, but eu-west-1 (aws:region) is in aws: use an ARN that starts with "
        f"arn:aws:, got {GOV!r}",
    )
    assert _misplaced("us-gov-west-1", cluster=cluster) == {}


def test_the_arn_of_a_queue_is_checked():
    workers = WorkerSettings(iam_policy_arn="arn:aws:iam::aws:policy/ReadOnlyAccess")

    assert list(_misplaced("cn-north-1", queues={"etl": workers})) == ["queues.etl.iam_policy_arn"]


def test_free_text_may_name_any_arn():
    elsewhere = "arn:aws:kms:us-east-1:111122223333:key/1"
    airflow = AirflowSettings(config={"aws": {"cloudwatch_task_handler_x": elsewhere}})

    assert _misplaced("eu-west-1", airflow=airflow) == {}
