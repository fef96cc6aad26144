import re

import pytest

from settings import limits
from settings.database import (
    ContainerDatabaseSettings,
    RdsSettings,
    database_identifier,
    dump_prefix,
)
from settings.rds_ca import RDS_CA
from tests.unit.settings.stacks import EKS, LOCAL, changed

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


SERVER = {"kind": "existing", "host": "pg.example.com", "ca_file": str(RDS_CA)}
EXISTING = {**LOCAL, "database": {**SERVER, "max_connections": 200}}


def test_an_existing_database_is_verified_unless_tls_is_off(load, mistakes):
    assert load(EXISTING).database.uses_tls
    without = {"kind": "existing", "host": "pg.example.com", "max_connections": 200}
    assert mistakes({**LOCAL, "database": without}) == [
        "database: ca_file is required: pg.example.com is no endpoint of RDS, whose root certificates "
        "are the default; or set tls: false if the server has no TLS"
    ]
    assert not load({**LOCAL, "database": {**without, "tls": False}}).database.uses_tls
    of_rds = {**without, "host": "db.abc.eu-west-1.rds.amazonaws.com"}
    assert load({**LOCAL, "database": of_rds}).database.ca_file is None


def test_a_ca_file_without_tls_is_a_mistake(mistakes):
    assert mistakes(changed(EXISTING, "database.tls", False)) == [
        "database: ca_file needs tls: true"
    ]


def test_the_connections_of_an_existing_database_are_counted(mistakes):
    (line,) = mistakes(changed(EXISTING, "database.max_connections", 50))
    assert line.startswith(
        "database: accepts 50 connections, but Airflow with all its workers opens"
    )
    assert "raise max_connections if the server has them, or lower workers.max" in line


@pytest.mark.parametrize("user", ["", "1st", 'a"b', "a b", "a" * 59])
def test_a_user_that_is_no_plain_name_is_a_mistake(mistakes, user):
    """The role of KEDA has five more characters."""
    (line,) = mistakes(changed(EXISTING, "database.user", user))
    assert line.startswith("database.user: ")


TIME = "2026-11-28T10:00:00Z"


def _generation(**values):
    return {**EKS, "database": {"kind": "rds", **values}}


@pytest.mark.parametrize(
    "source",
    [
        "airflow-prod-3-2-2-20261129-091500",
        "rds:airflow-prod-2026-11-29-04-10",
        "arn:aws:rds:eu-west-1:111122223333:snapshot:rds:airflow-prod-2026-11-29-04-10",
        "2026-11-28T10:00:00Z",
        "arn:aws:rds:eu-west-1:111122223333:auto-backup:ab-0abc",
    ],
)
def test_a_later_generation_has_a_source(mistakes, source):
    assert mistakes(_generation(generation=2, restore_from=source, kept_generation=1)) == []
    assert mistakes(_generation(generation=5, restore_from=source)) == []


@pytest.mark.parametrize("source", ["", "a", "2026-11-28T10:00Z", "2026-11-28 10:00:00", "a--b"])
def test_another_source_is_a_mistake(mistakes, source):
    (found,) = mistakes(_generation(generation=2, restore_from=source))

    assert found.startswith("database.restore_from: should be the name or ARN of a snapshot")
    assert found.endswith(f"got {source!r}")


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({"generation": 2}, "generation 2 needs restore_from: only generation 1 begins empty"),
        (
            {"restore_from": "one-snapshot"},
            "restore_from one-snapshot needs a generation after 1: generation 1 begins empty. `make "
            "restore` sets both",
        ),
        (
            {"generation": 2, "restore_from": "one-snapshot", "kept_generation": 2},
            "kept_generation 2 must be lower than generation 2, the present one",
        ),
        (
            {"kept_generation": 1},
            "kept_generation 1 must be lower than generation 1, the present one",
        ),
        (
            {"generation": 2, "restore_from": "one-snapshot", "restore_time": TIME},
            f"restore_time {TIME} needs the ARN of a replicated backup in restore_from, got "
            "one-snapshot: write a point in time of the generation before into restore_from",
        ),
    ],
    ids=[
        "no source",
        "no generation",
        "kept is the present one",
        "kept without another one",
        "time of a snapshot",
    ],
)
def test_generations_that_do_not_fit_are_a_mistake(mistakes, values, mistake):
    assert mistakes(_generation(**values)) == [f"database: {mistake}"]


def test_a_replicated_backup_may_have_a_point_in_time(mistakes):
    backup = "arn:aws:rds:eu-west-1:111122223333:auto-backup:ab-0abc"
    given = _generation(generation=2, restore_from=backup, restore_time=TIME)

    assert mistakes(given) == []
    (found,) = mistakes(changed(given, "database.restore_time", "today"))
    assert found == (
        "database.restore_time: should be a point in time in UTC, such as 2026-11-28T10:00:00Z, got "
        "'today'"
    )


@pytest.mark.parametrize("region", ["eu-central", "EU-CENTRAL-1", "eu-central-1a", ""])
def test_a_second_region_has_the_form_of_a_region(mistakes, region):
    (found,) = mistakes(_generation(replicate_to=region))

    assert found.startswith("database.replicate_to: ")


@pytest.mark.parametrize(
    ("given", "generation", "identifier"),
    [
        ({}, None, "airflow-prod-g3"),
        ({}, 1, "airflow-prod"),
        ({}, 2, "airflow-prod-g2"),
        ({"identifier": "kept-1"}, None, "kept-1-g3"),
        ({"identifier": "a" * 63}, 12, f"{'a' * 59}-g12"),
        ({"identifier": f"{'a' * 59}-bbb"}, None, f"{'a' * 59}-g3"),
    ],
)
def test_each_generation_has_a_valid_name_of_its_own(given, generation, identifier):
    settings = RdsSettings(kind="rds", generation=3, restore_from="one-snapshot", **given)

    found = database_identifier(settings, "prod", generation)

    assert found == identifier
    assert re.fullmatch(limits.RDS_IDENTIFIER, found)


def test_a_container_has_nightly_dumps_by_default():
    settings = ContainerDatabaseSettings(kind="container")

    assert settings.backup_days == RDS.backup_days == 7


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        (
            {"backup_days": 0, "backup_storage_gb": 20},
            "database: backup_storage_gb 20 needs backup_days of 1 or more: remove it, or set backup_days",
        ),
        (
            {"backup_days": -1},
            "database.backup_days: Input should be greater than or equal to 0, got -1",
        ),
        (
            {"backup_days": 400},
            "database.backup_days: Input should be less than or equal to 365, got 400",
        ),
    ],
)
def test_dumps_that_cannot_be_kept_are_a_mistake(mistakes, given, mistake):
    assert mistakes({**LOCAL, "database": {"kind": "container", **given}}) == [mistake]


def test_the_name_of_a_dump_is_a_file_name_in_any_stack():
    assert dump_prefix("Team.A_eu", "3.3.2") == "Team-A-eu-3-3-2"
