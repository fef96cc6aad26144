"""Connection strings and the PostgreSQL that they lead to, in compose.yaml and .env."""

import pytest

from tests.checks.compose_file import COMPOSE, ENV, PASSWORD


def test_a_connection_string_with_another_user_than_postgres_has(told):
    assert told(("psycopg2://airflow:", "psycopg2://airflw:")) == [
        "compose.yaml:5: the database user of AIRFLOW__DATABASE__SQL_ALCHEMY_CONN is not the one of the "
        "service postgres (found 'airflw' here, POSTGRES_USER at compose.yaml:15 is 'airflow'); "
        "write 'airflow' in both places"
    ]


def test_a_result_backend_with_another_user_than_postgres_has(told):
    (line,) = told(("db+postgresql://airflow:", "db+postgresql://postgres:"))
    assert line.startswith(
        "compose.yaml:6: the database user of AIRFLOW__CELERY__RESULT_BACKEND is not"
    )
    assert "found 'postgres' here" in line


def test_a_postgres_whose_user_nobody_named_has_its_own_default(told):
    lines = told(("      POSTGRES_USER: airflow\n", ""))
    assert [line.split(": ")[0] for line in lines] == ["compose.yaml:5", "compose.yaml:6"]
    assert "found 'airflow' here, POSTGRES_USER, not set, is 'postgres'" in lines[0]


def test_a_postgres_that_asks_for_no_password(told):
    trust = ("POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}", "POSTGRES_HOST_AUTH_METHOD: trust")
    lines = told(trust, ("psycopg2://airflow:", "psycopg2://airflw:"))
    assert any("the database user of AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in line for line in lines)


def test_a_postgres_of_your_own_making(told):
    build = ("image: docker.io/library/postgres:16", "build: postgres")
    (line,) = told(build, ("psycopg2://airflow:", "psycopg2://airflw:"))
    assert line.startswith("compose.yaml:5: the database user of")


def test_another_database_name(told):
    (line,) = told(
        ("POSTGRES_DB: airflow", "POSTGRES_DB: metadata"),
        ("@postgres/airflow\n  v", "@postgres/metadata\n  v"),
    )
    assert line.startswith(
        "compose.yaml:5: the database name of AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    )
    assert "found 'airflow' here, POSTGRES_DB at compose.yaml:17 is 'metadata'" in line


def test_another_password_is_told_and_no_password_shown(told):
    lines = told(("psycopg2://airflow:${POSTGRES_PASSWORD}", "psycopg2://airflow:battery-staple"))
    (line,) = lines
    assert line.startswith(
        "compose.yaml:5: the database password of AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    )
    assert "POSTGRES_PASSWORD at compose.yaml:16; neither is shown" in line
    assert "write ${POSTGRES_PASSWORD} in both places" in line
    assert "battery-staple" not in line
    assert PASSWORD not in line


@pytest.mark.parametrize(
    "password", ["half/word", "half@word", "half@word#x", "half[word", "half?word"]
)
def test_a_password_that_takes_the_url_apart_is_told_and_not_shown(told, password):
    lines = told(env=f"POSTGRES_PASSWORD={password}\n")
    assert [line.split(": ")[0] for line in lines] == ["compose.yaml:5", "compose.yaml:6"]
    assert (
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN cannot be read as a URL (it is not shown)" in lines[0]
    )
    assert all("half" not in line and "word@" not in line for line in lines)


def test_a_password_that_takes_the_url_of_the_env_file_apart(told):
    url = "AIRFLOW__CELERY__RESULT_BACKEND=db+postgresql://me:a/b@db/airflow"
    (line,) = told(text="", env=f"POSTGRES_USER=me\nPOSTGRES_PASSWORD=a/b\n{url}\n")
    assert line.startswith(".env:3: AIRFLOW__CELERY__RESULT_BACKEND cannot be read as a URL")


def test_a_database_of_another_kind_in_the_env_file_is_not_compared(told):
    env = "POSTGRES_USER=me\nAIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:///airflow.db\n"
    assert told(text="", env=env) == []


def test_a_password_in_url_escapes_is_the_same_password(told):
    assert (
        told(("psycopg2://airflow:${POSTGRES_PASSWORD}", "psycopg2://airflow:correct%2Dhorse"))
        == []
    )


def test_a_host_that_no_service_is_called(told):
    (line,) = told(("PASSWORD}@postgres/", "PASSWORD}@localhost/"))
    assert line == (
        "compose.yaml:5: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN leads to a host that no service is called "
        "(found 'localhost'; services: postgres, scheduler, worker); write 'postgres' for the host"
    )


def test_a_database_elsewhere_is_not_compared(told):
    assert told(("airflow:${POSTGRES_PASSWORD}@postgres/", "x:y@db.example.com/")) == []


def test_a_connection_string_without_a_user(told):
    lines = told(("airflow:${POSTGRES_PASSWORD}@postgres/", "postgres/"))
    assert "found '' here, POSTGRES_USER" in lines[1]


def test_a_database_of_another_kind_is_not_compared(told):
    assert told(("postgresql+psycopg2://airflow:", "mysql://me:")) == []


def test_a_database_behind_another_service_is_not_compared(told):
    behind = "services:\n  pgbouncer:\n    image: pgbouncer\n"
    changed = [
        ("airflow:${POSTGRES_PASSWORD}@postgres/", "x:y@pgbouncer/"),
        ("services:\n", behind),
    ]
    assert told(*changed) == []


def test_a_database_that_is_not_in_the_file_is_not_compared(told):
    begin, end = COMPOSE.index("  postgres:\n"), COMPOSE.index("  scheduler:\n")
    assert told((COMPOSE[begin:end], "")) == []


def test_a_connection_string_in_the_env_file_alone_is_not_compared(told):
    alone = f"AIRFLOW__CELERY__RESULT_BACKEND=db+postgresql://me:{PASSWORD}@db/airflow\n"
    assert told(text="", env=alone) == []


def test_connection_strings_in_the_env_file(told):
    backend = f"AIRFLOW__CELERY__RESULT_BACKEND=db+postgresql://me:{PASSWORD}@db/airflow"
    env = f"{ENV}POSTGRES_USER=airflow\n\n{backend}\n"
    (line,) = told(text="", env=env)
    assert line.startswith(
        ".env:4: the database user of AIRFLOW__CELERY__RESULT_BACKEND is not the one of .env"
    )
    assert "found 'me' here, POSTGRES_USER at .env:2 is 'airflow'" in line


@pytest.mark.parametrize("files", ["[airflow.env]", "airflow.env", "[{path: airflow.env}]"])
def test_connection_strings_in_a_file_of_variables(told, tmp_path, files):
    (tmp_path / "airflow.env").write_text(
        f"# comment\nAIRFLOW__CORE__SQL_ALCHEMY_CONN=postgresql://root:{PASSWORD}@postgres/airflow\n"
    )
    (line,) = told(('  user: "$', f'  env_file: {files}\n  user: "$'))
    assert line.startswith("airflow.env:2: the database user of AIRFLOW__CORE__SQL_ALCHEMY_CONN")


def test_an_environment_that_is_written_as_a_list(told):
    mapping = COMPOSE[
        COMPOSE.index("      POSTGRES_USER") : COMPOSE.index("    volumes:\n      - data")
    ]
    as_list = "      - POSTGRES_USER=other\n      - POSTGRES_PASSWORD=${POSTGRES_PASSWORD}\n"
    lines = told((mapping, as_list + "      - POSTGRES_DB=airflow\n"))
    assert [line.split(": ")[0] for line in lines] == ["compose.yaml:5", "compose.yaml:6"]
    assert "POSTGRES_USER at compose.yaml:15 is 'other'" in lines[0]
