"""A rotated secret restarts exactly the pods that use it, and everything goes on."""

import pytest

from tests.harness.airflow_api import Api
from tests.harness.waiting import wait_for

USERS_OF_JWT = {"api-server", "scheduler"}
OTHERS = {"worker", "triggerer", "dag-processor", "statsd"}


@pytest.mark.slow
def test_a_new_jwt_key_restarts_only_the_api_server_and_the_scheduler(settings, checkout, cluster):
    before = {part: cluster.revisions(part) for part in USERS_OF_JWT | OTHERS}
    settings(rotation={"jwt": 2})

    checkout.up()

    after = {part: cluster.revisions(part) for part in USERS_OF_JWT | OTHERS}
    assert {part for part in before if before[part] & after[part]} == OTHERS


@pytest.mark.slow
def test_new_passwords_take_effect_and_airflow_goes_on(settings, checkout, cluster):
    names = [
        ("airflow-admin", "password"),
        ("database-password", "password"),
        ("redis-config", "password"),
    ]
    before = [cluster.secret(*name) for name in names]
    settings(rotation={"admin": 2, "database": 2, "redis": 2})

    checkout.up()

    after = [cluster.secret(*name) for name in names]
    assert not set(before) & set(after), "every one of them is new"
    wait_for(
        "the job that sets the password of admin",
        lambda: (
            not cluster.get("pods", "-l", "component=create-user-job")
            or cluster.get(
                "pods", "-l", "component=create-user-job", "--field-selector=status.phase=Succeeded"
            )
        ),
    )
    with Api.open(cluster) as api:
        assert api.run("word_count")["state"] == "success"
