import pytest

from settings import versions
from settings.images import ImageCache, ImageSettings, Mirror, image_cache
from tests.unit.settings.stacks import EKS, LOCAL, changed

SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ecr-pullthroughcache/docker-hub-Ab1"
ECR = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
CACHE = ImageCache(secret_arn=SECRET, prefix="airflow-prod")
CACHED = changed(EKS, "images.docker_hub_secret_arn", SECRET)


@pytest.mark.parametrize(
    ("image", "cached"),
    [
        ("redis:7.2", "library/redis:7.2"),
        ("apache/airflow", "apache/airflow"),
        ("apache/airflow@sha256:0", "apache/airflow@sha256:0"),
        ("docker.io/library/redis:7.2", "library/redis:7.2"),
        ("docker.io/redis:7.2", "library/redis:7.2"),
        ("registry-1.docker.io/apache/airflow:3", "apache/airflow:3"),
    ],
)
def test_an_image_of_docker_hub_is_named_in_the_cache(image, cached):
    assert CACHE.copy_of(image) == f"{ECR}/airflow-prod/{cached}"


@pytest.mark.parametrize(
    "image",
    [
        "123412341234.dkr.ecr.eu-west-1.amazonaws.com/airflow:3",
        "ghcr.io/kedacore/keda:2",
        "registry.k8s.io/git-sync/git-sync:v4.4.2",
        "host:5000/airflow",
        "localhost/airflow:3",
    ],
)
def test_an_image_of_another_registry_keeps_its_name(image):
    assert CACHE.copy_of(image) == image
    assert CACHE.repository(image) is None


@pytest.mark.parametrize("image", ["redis:7.2", "redis@sha256:0", "redis"])
def test_the_repository_has_neither_tag_nor_digest(image):
    assert CACHE.repository(CACHE.copy_of(image)) == "airflow-prod/library/redis"


@pytest.mark.parametrize(
    ("stack", "prefix"),
    [
        ("dev", "airflow-dev"),
        ("My_Stack.2", "airflow-my-stack-2"),
        ("a-long-name-of-a-b-stack", "airflow-a-long-name-of-a-b-sta"),
        ("a-long-name-of-a-b-st-ack", "airflow-a-long-name-of-a-b-st"),
    ],
)
def test_the_prefix_is_valid_and_follows_the_stack_name(stack, prefix):
    cache = image_cache(ImageSettings(docker_hub_secret_arn=SECRET), stack)

    assert cache is not None
    assert cache.prefix == prefix
    assert len(prefix) <= 30, "the limit of ECR"


def test_the_settings_name_the_images_in_the_cache(load):
    given = changed(CACHED, "airflow.digest", f"sha256:{'a' * 64}")
    settings = load(given)

    assert settings.airflow.image_reference == (
        f"{ECR}/airflow-prod/apache/airflow@sha256:{'a' * 64}"
    )
    assert settings.redis.image_reference == f"{ECR}/airflow-prod/library/redis:7.2.16-bookworm"
    assert settings.dags.git_sync_reference.startswith("registry.k8s.io/")


def test_the_official_image_has_both_architectures_in_the_cache(load):
    assert load(CACHED).airflow.image_architectures == ("amd64", "arm64")


def test_without_a_secret_every_image_keeps_its_name(load):
    assert load(EKS).airflow.image_reference.startswith("apache/airflow:")
    assert load(EKS).image_cache("prod") is None


@pytest.mark.parametrize(
    "secret",
    [
        "docker-hub",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:docker-hub",
        "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:ecr-pullthroughcache/docker-hub",
    ],
)
def test_a_secret_that_ecr_refuses_is_refused(mistakes, secret):
    (line,) = mistakes(changed(EKS, "images.docker_hub_secret_arn", secret))

    assert line.startswith("images.docker_hub_secret_arn: String should match pattern")


def test_an_existing_cluster_has_no_cache(mistakes):
    assert mistakes(changed(LOCAL, "images.docker_hub_secret_arn", SECRET)) == [
        "images.docker_hub_secret_arn: needs cluster.kind: eks: the cache is in ECR, which the nodes of "
        "an existing cluster may not be able to read; remove this setting, and set images.registry "
        "to a mirror"
    ]


MIRROR = "registry.example.com:5000/mirror"


@pytest.mark.parametrize(
    ("image", "copy"),
    [
        ("redis:7.2", f"{MIRROR}/library/redis:7.2"),
        ("docker.io/redis:7.2", f"{MIRROR}/library/redis:7.2"),
        ("apache/airflow@sha256:0", f"{MIRROR}/apache/airflow@sha256:0"),
        ("registry.k8s.io/git-sync/git-sync:v4", f"{MIRROR}/git-sync/git-sync:v4"),
        ("registry.example.com:5000/own/airflow:1", "registry.example.com:5000/own/airflow:1"),
    ],
)
def test_public_images_have_a_copy_in_the_registry(image, copy):
    assert Mirror(registry=MIRROR).copy_of(image) == copy


def test_every_image_of_the_settings_is_pulled_from_the_registry(load):
    settings = load(changed(LOCAL, "images.registry", MIRROR))

    for image in (
        settings.airflow.image_reference,
        settings.dags.git_sync_reference,
        settings.redis.image_reference,
        settings.database.image_reference,
    ):
        assert image.startswith(f"{MIRROR}/")
    assert settings.airflow.image_architectures == ("amd64", "arm64")


def test_keda_s_images_are_listed_where_it_is_installed(load):
    listed = {
        scaling: load(changed(LOCAL, "workers.scaling", scaling)).all_images
        for scaling in ("cpu", "queue")
    }

    assert set(listed["queue"]) - set(listed["cpu"]) == set(versions.KEDA_IMAGES)


@pytest.mark.parametrize(
    "registry", ["https://r.example.com", "r.example.com/", "r.example.com/a:1"]
)
def test_another_form_of_a_registry_is_refused(mistakes, registry):
    (line,) = mistakes(changed(EKS, "images.registry", registry))

    assert line.startswith("images.registry: ")


def test_two_sources_of_images_are_refused(mistakes):
    given = changed(CACHED, "images.registry", MIRROR)

    assert mistakes(given) == [
        "images: has registry and docker_hub_secret_arn, two sources of images; keep one"
    ]
