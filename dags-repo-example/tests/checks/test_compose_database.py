"""Rules for the database connections in compose.yaml and .env."""

import pytest

from tests.checks.compose_file import COMPOSE, ENV, PASSWORD


def test_a_different_database_user_is_reported(mistakes):
    assert mistakes(("psycopg2://airflow:", "psycopg2://airflw:")) == [
        "compose.yaml:5: the database user in AIRFLOW__DATABASE__SQL_ALCHEMY_CONN does not match "
        "service postgres (found 'airflw', but POSTGRES_USER at compose.yaml:15 is 'airflow'); "
        "use 'airflow' in both places"
    ]


def test_a_different_user_of_the_result_backend_is_reported(mistakes):
    (line,) = mistakes(("db+postgresql://airflow:", "db+postgresql://postgres:"))
    assert line.startswith(
        "compose.yaml:6: the database user in AIRFLOW__CELERY__RESULT_BACKEND does"
    )
    assert "found 'postgres', but" in line


def test_an_unset_postgres_user_defaults_to_postgres(mistakes):
    lines = mistakes(("      POSTGRES_USER: airflow\n", ""))
    assert [line.split(": ")[0] for line in lines] == ["compose.yaml:5", "compose.yaml:6"]
    assert "found 'airflow', but POSTGRES_USER (not set) is 'postgres'" in lines[0]


def test_a_postgres_with_trust_authentication_is_compared(mistakes):
    trust = ("POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}", "POSTGRES_HOST_AUTH_METHOD: trust")
    lines = mistakes(trust, ("psycopg2://airflow:", "psycopg2://airflw:"))
    assert any("the database user in AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in line for line in lines)


def test_a_custom_postgres_image_is_compared(mistakes):
    build = ("image: docker.io/library/postgres:16", "build: postgres")
    (line,) = mistakes(build, ("psycopg2://airflow:", "psycopg2://airflw:"))
    assert line.startswith("compose.yaml:5: the database user in")


def test_a_different_database_name_is_reported(mistakes):
    (line,) = mistakes(
        ("POSTGRES_DB: airflow", "POSTGRES_DB: metadata"),
        ("@postgres/airflow\n  v", "@postgres/metadata\n  v"),
    )
    assert line.startswith(
        "compose.yaml:5: the database name in AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    )
    assert "found 'airflow', but POSTGRES_DB at compose.yaml:17 is 'metadata'" in line


def test_a_different_password_is_reported_but_not_shown(mistakes):
    lines = mistakes(
        ("psycopg2://airflow:${POSTGRES_PASSWORD}", "psycopg2://airflow:battery-staple")
    )
    (line,) = lines
    assert line.startswith(
        "compose.yaml:5: the database password in AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    )
    assert "POSTGRES_PASSWORD at compose.yaml:16; the values are not shown" in line
    assert "use ${POSTGRES_PASSWORD} in both places" in line
    assert "battery-staple" not in line
    assert PASSWORD not in line


@pytest.mark.parametrize(
    "password", ["half/word", "half@word", "half@word#x", "half[word", "half?word"]
)
def test_a_password_that_breaks_the_url_is_reported_not_shown(mistakes, password):
    lines = mistakes(env=f"POSTGRES_PASSWORD={password}\n")
    assert [line.split(": ")[0] for line in lines] == ["compose.yaml:5", "compose.yaml:6"]
    assert (
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN is not a valid URL (the value is not shown)"
        in lines[0]
    )
    assert all("half" not in line and "word@" not in line for line in lines)


def test_a_password_that_breaks_an_env_file_url_is_reported(mistakes):
    url = "AIRFLOW__CELERY__RESULT_BACKEND=db+postgresql://me:a/b@db/airflow"
    (line,) = mistakes(text="", env=f"POSTGRES_USER=me\nPOSTGRES_PASSWORD=a/b\n{url}\n")
    assert line.startswith(".env:3: AIRFLOW__CELERY__RESULT_BACKEND is not a valid URL")


def test_only_postgresql_urls_of_the_env_file_are_compared(mistakes):
    env = "POSTGRES_USER=me\nAIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:///airflow.db\n"
    assert mistakes(text="", env=env) == []


def test_a_percent_encoded_password_matches(mistakes):
    assert (
        mistakes(("psycopg2://airflow:${POSTGRES_PASSWORD}", "psycopg2://airflow:correct%2Dhorse"))
        == []
    )


def test_a_host_that_is_not_a_service_is_reported(mistakes):
    (line,) = mistakes(("PASSWORD}@postgres/", "PASSWORD}@localhost/"))
    assert line == (
        "compose.yaml:5: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN points to a host that is not a service "
        "(found 'localhost'; services: postgres, scheduler, worker); use 'postgres' as the host"
    )


def test_a_database_on_an_external_host_is_not_compared(mistakes):
    assert mistakes(("airflow:${POSTGRES_PASSWORD}@postgres/", "x:y@db.example.com/")) == []


def test_a_connection_string_without_a_user_is_reported(mistakes):
    lines = mistakes(("airflow:${POSTGRES_PASSWORD}@postgres/", "postgres/"))
    assert "found '', but POSTGRES_USER" in lines[1]


def test_only_postgresql_urls_of_a_service_are_compared(mistakes):
    assert mistakes(("postgresql+psycopg2://airflow:", "mysql://me:")) == []


def test_a_database_behind_another_service_is_not_compared(mistakes):
    pgbouncer = "services:\n  pgbouncer:\n    image: pgbouncer\n"
    changed = [
        ("airflow:${POSTGRES_PASSWORD}@postgres/", "x:y@pgbouncer/"),
        ("services:\n", pgbouncer),
    ]
    assert mistakes(*changed) == []


def test_a_database_without_a_service_is_not_compared(mistakes):
    begin, end = COMPOSE.index("  postgres:\n"), COMPOSE.index("  scheduler:\n")
    assert mistakes((COMPOSE[begin:end], "")) == []


def test_an_env_file_url_without_postgres_user_is_not_compared(mistakes):
    env = f"AIRFLOW__CELERY__RESULT_BACKEND=db+postgresql://me:{PASSWORD}@db/airflow\n"
    assert mistakes(text="", env=env) == []


def test_connection_strings_of_the_env_file_are_compared(mistakes):
    backend = f"AIRFLOW__CELERY__RESULT_BACKEND=db+postgresql://me:{PASSWORD}@db/airflow"
    env = f"{ENV}POSTGRES_USER=airflow\n\n{backend}\n"
    (line,) = mistakes(text="", env=env)
    assert line.startswith(
        ".env:4: the database user in AIRFLOW__CELERY__RESULT_BACKEND does not match .env"
    )
    assert "found 'me', but POSTGRES_USER at .env:2 is 'airflow'" in line


@pytest.mark.parametrize("files", ["[airflow.env]", "airflow.env", "[{path: airflow.env}]"])
def test_connection_strings_of_an_env_file_key_are_compared(mistakes, tmp_path, files):
    (tmp_path / "airflow.env").write_text(
        f"# comment\nAIRFLOW__CORE__SQL_ALCHEMY_CONN=postgresql://root:{PASSWORD}@postgres/airflow\n"
    )
    (line,) = mistakes(('  user: "$', f'  env_file: {files}\n  user: "$'))
    assert line.startswith("airflow.env:2: the database user in AIRFLOW__CORE__SQL_ALCHEMY_CONN")


def test_an_environment_written_as_a_list_is_read(mistakes):
    mapping = COMPOSE[
        COMPOSE.index("      POSTGRES_USER") : COMPOSE.index("    volumes:\n      - data")
    ]
    as_list = "      - POSTGRES_USER=other\n      - POSTGRES_PASSWORD=${POSTGRES_PASSWORD}\n"
    lines = mistakes((mapping, as_list + "      - POSTGRES_DB=airflow\n"))
    assert [line.split(": ")[0] for line in lines] == ["compose.yaml:5", "compose.yaml:6"]
    assert "POSTGRES_USER at compose.yaml:15 is 'other'" in lines[0]
