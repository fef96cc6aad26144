import pytest

from tests.unit.settings.stacks import EKS


@pytest.mark.parametrize(("storage_gb", "memory_mb"), [(3, 1024), (1, 341)])
def test_a_volume_of_three_times_the_memory_is_accepted(mistakes, storage_gb, memory_mb):
    redis = {"storage_gb": storage_gb, "memory_mb": memory_mb}

    assert mistakes({**EKS, "redis": redis}) == []


def test_a_smaller_volume_is_refused(mistakes):
    assert mistakes({**EKS, "redis": {"storage_gb": 3, "memory_mb": 1025}}) == [
        "redis: storage_gb 3 must be at least three times memory_mb 1025: it holds the append-only "
        "file and its rewrite"
    ]
