"""Docker Hub's images come through the pull-through cache of the account."""

import pytest

pytestmark = pytest.mark.slow
SECRET = "ecr-pullthroughcache/docker-hub"


@pytest.fixture
def secret(account):
    """The ARN of a Docker Hub login in the account."""
    secrets = account.client("secretsmanager")
    yield secrets.create_secret(Name=SECRET, SecretString="{}")["ARN"]
    secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)


def test_the_cache_serves_the_stack_and_goes_with_it(deploy, small_charts, account, dags, secret):
    missing = {"docker_hub_secret_arn": f"{secret}0"}
    stack = deploy("dev", small_charts, dags=dags, images=missing)
    status, output = stack.make("up")
    assert status != 0
    assert "SecretNotFoundException" in output

    stack.change(images={"docker_hub_secret_arn": secret})
    assert "Airflow is healthy." in stack.up()
    servers = [r for r in stack.state()["resources"] if r["type"].endswith(":StatefulSet")]
    images = {
        container["image"]
        for server in servers
        for container in server["inputs"]["spec"]["template"]["spec"]["containers"]
    }
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/airflow-dev"
    assert {image.split(":")[0] for image in images} == {
        f"{registry}/apache/airflow",
        f"{registry}/library/redis",
        "registry.k8s.io/git-sync/git-sync",
    }

    status, output = stack.make("down")
    assert status == 0, output
    assert account.inventory() == []
