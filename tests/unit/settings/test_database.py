import re

import pytest

from settings import limits
from settings.database import RdsSettings, database_identifier
from tests.unit.settings.stacks import EKS, changed

RDS = RdsSettings(kind="rds")


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


@pytest.mark.parametrize(
    ("stack_name", "identifier"),
    [
        ("prod", "airflow-prod"),
        ("my_stack", "airflow-my-stack"),
        ("2nd", "airflow-2nd"),
        ("Team.A__eu-", "airflow-team-a-eu"),
        ("_", "airflow"),
        ("a" * 100, f"airflow-{'a' * 55}"),
        (f"{'a' * 54}-{'b' * 45}", f"airflow-{'a' * 54}"),
    ],
)
def test_the_identifier_of_any_stack_name_is_valid_for_rds(stack_name, identifier):
    found = database_identifier(RDS, stack_name)

    assert found == identifier
    assert re.fullmatch(limits.RDS_IDENTIFIER, found)


def test_an_identifier_in_the_stack_file_is_kept():
    settings = RdsSettings(kind="rds", identifier="database-instance-0a1b2c3")

    assert database_identifier(settings, "prod") == "database-instance-0a1b2c3"


@pytest.mark.parametrize("given", ["", "Airflow", "2nd", "my_stack", "a--b", "a-", "a" * 64])
def test_an_identifier_that_rds_refuses_is_a_mistake(mistakes, given):
    assert mistakes(changed(EKS, "database.identifier", given)) == [
        "database.identifier: should be up to 63 lowercase letters, digits and single hyphens, starting "
        f"with a letter, such as airflow-prod, got {given!r}"
    ]


@pytest.mark.parametrize("given", ["a", "airflow-prod", "a" * 63])
def test_an_identifier_that_rds_accepts_is_no_mistake(mistakes, given):
    assert mistakes(changed(EKS, "database.identifier", given)) == []
