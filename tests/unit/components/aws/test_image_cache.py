import pytest

from components.aws.image_cache import PullThroughCache, PullThroughCacheArgs
from settings.images import ImageCache

RULE = "aws:ecr/pullThroughCacheRule:PullThroughCacheRule"
REPOSITORY = "aws:ecr/repository:Repository"
SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ecr-pullthroughcache/docker-hub-Ab1"
CACHE = ImageCache(secret_arn=SECRET, prefix="airflow-dev")


@pytest.fixture
def cache(deploy):
    def run(*images):
        args = PullThroughCacheArgs(cache=CACHE, images=[CACHE.copy_of(image) for image in images])
        return deploy(lambda: PullThroughCache("image-cache", args))

    return run


def test_the_rule_logs_in_to_docker_hub_with_the_secret(cache):
    assert cache("redis:7").one(RULE).inputs == {
        "ecrRepositoryPrefix": "airflow-dev",
        "upstreamRegistryUrl": "registry-1.docker.io",
        "credentialArn": SECRET,
    }


def test_each_docker_hub_image_has_one_repository(cache):
    snapshot = cache("apache/airflow", "redis:7", "redis:8", "registry.k8s.io/git-sync:v4")

    names = {r.name: r.inputs["name"] for r in snapshot.all(REPOSITORY)}
    assert names == {
        "image-cache-apache-airflow": "airflow-dev/apache/airflow",
        "image-cache-library-redis": "airflow-dev/library/redis",
    }


def test_the_repositories_are_deleted_with_their_images(cache):
    repository = cache("redis:7").one(REPOSITORY)

    assert repository.inputs["forceDelete"] is True, "ECR refuses to delete a repository in use"
    assert repository.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
