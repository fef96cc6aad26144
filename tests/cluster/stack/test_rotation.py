"""A rotated secret restarts exactly the pods that use it."""

from functools import partial

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
def test_a_rotated_jwt_key_ends_no_task_and_no_session(start, settings, checkout, cluster):
    run = start(240)
    with Api.open(cluster) as before:
        token = before.token
    settings(rotation={"jwt": 2})

    checkout.up()

    with Api.open(cluster) as api:
        assert Api(url=api.url, token=token).state_of("sleeper", run, "answer") == "running"
        assert api.succeeded_at_first_try("sleeper", run)


@pytest.mark.slow
def test_other_rotated_keys_end_no_running_task(start, settings, checkout, cluster):
    settings(workers={"grace_seconds": 900})
    checkout.up()
    airflow = partial(cluster.exec, "deploy/airflow-scheduler", "scheduler", "airflow", "variables")
    airflow("set", "old", "of the previous key")
    run = start(300)
    settings(rotation={"fernet": 2, "redis": 2})

    checkout.up()

    assert airflow("get", "old").splitlines()[-1] == "of the previous key"
    with Api.open(cluster) as api:
        assert api.succeeded_at_first_try("sleeper", run)


@pytest.mark.slow
def test_airflow_works_with_rotated_passwords(followed, settings, checkout, cluster):
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
        run = api.start("sleeper", seconds=0)
        assert api.ended("sleeper", run)["state"] == "success"
