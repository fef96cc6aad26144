"""The backends of EKS and RDS, with a fake kubectl."""

import itertools
from unittest.mock import Mock

import pytest

from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.pods import Pods
from tests.engine.simulator.backends.postgres import Postgres
from tests.engine.simulator.cloud import Cloud

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def _kubectl():
    """Each Service has its own address."""
    addresses = (f"10.96.0.{number}" for number in itertools.count(1))
    kubectl = Mock()
    kubectl.get.side_effect = lambda kind, *_: (
        {"spec": {"clusterIP": next(addresses)}} if kind == "service" else {"items": []}
    )
    return kubectl


@pytest.fixture
def backends(monkeypatch):
    """The databases, and the webhook for pods."""
    monkeypatch.setattr(Postgres, "_parameters", lambda *_: {})
    cloud, kubectl, authority = Cloud(host="127.0.0.1"), _kubectl(), Authority()
    names = {}
    pods = Pods(cloud, kubectl, authority, "127.0.0.1", names, set())
    yield Postgres(cloud, kubectl, authority, names), pods
    pods.stop()
    cloud.stop()


def _host_aliases(pods):
    """Host aliases of a new pod."""
    spec = pods.mutate({"spec": {"containers": []}}, "airflow")["spec"]
    return {alias["hostnames"][0]: alias["ip"] for alias in spec.get("hostAliases", [])}


@pytest.fixture
def registry(backends):
    """Repositories of ECR, one with a cache rule, and the image that a pod runs."""
    _, pods = backends
    secret = pods.cloud.client("secretsmanager").create_secret(
        Name="ecr-pullthroughcache/docker-hub", SecretString="{}"
    )
    ecr = pods.cloud.client("ecr")
    ecr.create_pull_through_cache_rule(
        ecrRepositoryPrefix="airflow-dev",
        upstreamRegistryUrl="registry-1.docker.io",
        credentialArn=secret["ARN"],
    )
    for name in ("airflow-dev/library/redis", "airflow-dev/apache/airflow", "other/library/redis"):
        ecr.create_repository(repositoryName=name)

    def run(image):
        pod = {"spec": {"containers": [{"name": "c", "image": image}]}}
        return pods.mutate(pod, "airflow")["spec"]["containers"][0]["image"]

    return run


@pytest.mark.parametrize(
    ("image", "pulled"),
    [
        (f"{ECR}/airflow-dev/library/redis:7.2", "redis:7.2"),
        (f"{ECR}/airflow-dev/apache/airflow@sha256:0", "apache/airflow@sha256:0"),
        ("registry.k8s.io/git-sync/git-sync:v4", "registry.k8s.io/git-sync/git-sync:v4"),
        ("redis:7.2", "redis:7.2"),
    ],
)
def test_an_image_in_the_cache_is_pulled_from_docker_hub(registry, image, pulled):
    assert registry(image) == pulled


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (f"{ECR}/other/library/redis:7.2", "not found, and no cache rule has its prefix"),
        (f"{ECR}/airflow-dev/library/nginx:1", "repository airflow-dev/library/nginx does not"),
        (ECR.replace("1234", "4321") + "/airflow-dev/library/redis:7.2", "does not exist"),
        (ECR.replace("eu-", "us-") + "/airflow-dev/library/redis:7.2", "does not exist"),
    ],
    ids=["no rule", "no repository", "another account", "another Region"],
)
def test_an_image_that_is_not_in_the_cache_is_refused(registry, image, reason):
    with pytest.raises(LookupError, match=reason):
        registry(image)


def test_pods_resolve_only_existing_databases(backends):
    databases, pods = backends
    assert _host_aliases(pods) == {}

    first, _ = databases.create("first", "airflow", "password", "airflow")
    assert _host_aliases(pods) == {first: "10.96.0.1"}

    databases.delete("first")
    second, _ = databases.create("second", "airflow", "password", "airflow")
    assert _host_aliases(pods) == {second: "10.96.0.2"}
