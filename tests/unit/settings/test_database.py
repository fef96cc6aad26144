import pytest

from tests.unit.settings.stacks import EKS


@pytest.mark.parametrize(("storage_gb", "max_storage_gb"), [(20, 22), (100, 110)])
def test_storage_autoscaling_starts_at_ten_percent(mistakes, storage_gb, max_storage_gb):
    size = {"kind": "rds", "storage_gb": storage_gb, "max_storage_gb": max_storage_gb}

    assert mistakes({**EKS, "database": size}) == []


@pytest.mark.parametrize(("storage_gb", "max_storage_gb"), [(20, 21), (100, 109), (1000, 1099)])
def test_a_smaller_growth_than_rds_accepts_is_refused(mistakes, storage_gb, max_storage_gb):
    size = {"kind": "rds", "storage_gb": storage_gb, "max_storage_gb": max_storage_gb}

    assert mistakes({**EKS, "database": size}) == [
        f"database: max_storage_gb {max_storage_gb} must be at least 10 % larger than storage_gb "
        f"{storage_gb}"
    ]
