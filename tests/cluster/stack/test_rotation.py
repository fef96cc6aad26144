"""A rotated secret restarts exactly the pods that use it."""

import pytest

from tests.harness.airflow_api import Api
from tests.harness.waiting import wait_for

USERS_OF_JWT = {"api-server", "scheduler"}
OTHERS = {"worker", "triggerer", "dag-processor", "statsd"}


@pytest.mark.slow
def test_a_rotated_jwt_key_restarts_only_its_users(settings, checkout, cluster):
    before = {part: cluster.revisions(part) for part in USERS_OF_JWT | OTHERS}
    settings(rotation={"jwt": 2})

    checkout.up()

    after = {part: cluster.revisions(part) for part in USERS_OF_JWT | OTHERS}
    assert {part for part in before if before[part] & after[part]} == OTHERS


@pytest.mark.slow
def test_airflow_works_with_rotated_passwords(settings, checkout, cluster):
    names = [
        ("airflow-admin", "password"),
        ("database-password", "password"),
        ("redis-config", "password"),
    ]
    before = [cluster.secret(*name) for name in names]
    settings(rotation={"admin": 2, "database": 2, "redis": 2})

    checkout.up()

    after = [cluster.secret(*name) for name in names]
    assert not set(before) & set(after), "an old password is still in use"
    wait_for(
        "the job that sets the password of the admin",
        lambda: (
            not cluster.get("pods", "-l", "component=create-user-job")
            or cluster.get(
                "pods", "-l", "component=create-user-job", "--field-selector=status.phase=Succeeded"
            )
        ),
    )
    with Api.open(cluster) as api:
        assert api.run("word_count")["state"] == "success"
