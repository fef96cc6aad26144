import pytest

from tests.unit.settings.stacks import EKS, changed


@pytest.mark.parametrize(("storage_gb", "memory_mb"), [(3, 1024), (1, 341)])
def test_a_volume_of_three_times_the_memory_is_accepted(mistakes, storage_gb, memory_mb):
    redis = {"storage_gb": storage_gb, "memory_mb": memory_mb}

    assert mistakes({**EKS, "redis": redis}) == []


def test_a_smaller_volume_is_refused(mistakes):
    assert mistakes({**EKS, "redis": {"storage_gb": 3, "memory_mb": 1025}}) == [
        "redis: storage_gb 3 must be at least three times memory_mb 1025: it holds the append-only "
        "file and its rewrite"
    ]


@pytest.mark.parametrize("image", ["redis", "host:5000/redis", "redis:", "Redis:7"])
def test_an_image_without_a_tag_is_refused(mistakes, image):
    assert mistakes(changed(EKS, "redis.image", image)) == [
        "redis.image: should be an image with a tag, such as redis:7.2.16-bookworm, got "
        + repr(image)
    ]


@pytest.mark.parametrize(
    "image",
    [
        *("redis:7-bookworm", "redis:7.2.16-bookworm", "redis:8.2.1", "host:5000/team/redis:7.4.0"),
        *("valkey/valkey:8.1", "valkey/valkey:8.1.9-bookworm", "registry.example/broker:1"),
    ],
)
def test_redis_7_and_valkey_are_accepted(mistakes, image):
    assert mistakes(changed(EKS, "redis.image", image)) == []


@pytest.mark.parametrize("image", ["redis:6.2.14", "host:5000/redis:6"])
def test_a_redis_without_access_rules_is_refused(mistakes, image):
    assert mistakes(changed(EKS, "redis.image", image)) == [
        f"redis: image {image} is older than Redis 7, which lacks the access rules of the program; use "
        "redis:7.2.16-bookworm"
    ]
