"""What compose.yaml and .env may say: the mistakes are made in a small folder, and told at once."""

import os

import pytest

from checks import compose, local
from checks.platform import Platform

PLATFORM = Platform(
    airflow="3.2.2",
    image="apache/airflow:3.2.2",
    sub_path="dags",
    queues=["default"],
    pools=["default_pool"],
)
COMPOSE = """\
x-airflow-common: &airflow-common
  image: apache/airflow:3.2.2
  user: "${AIRFLOW_UID:-50000}:0"
  environment: &airflow-environment
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: postgresql+psycopg2://airflow:${POSTGRES_PASSWORD}@postgres/airflow
    AIRFLOW__CELERY__RESULT_BACKEND: db+postgresql://airflow:${POSTGRES_PASSWORD:?}@postgres/airflow
  volumes:
    - ./dags:/opt/airflow/dags:ro
    - ./logs:/opt/airflow/logs
services:
  postgres:
    image: docker.io/library/postgres:16
    user: "999"
    environment:
      POSTGRES_USER: airflow
      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}
      POSTGRES_DB: airflow
    volumes:
      - data:/var/lib/postgresql/data
  scheduler:
    <<: *airflow-common
  worker:
    <<: *airflow-common
    environment:
      <<: *airflow-environment
      DUMB_INIT_SETSID: "0"
volumes:
  data:
"""
ENV = "POSTGRES_PASSWORD=correct-horse\n"
# Neither the image's user nor the one who runs this.
NOBODY = next(uid for uid in (4711, 4712) if uid != os.getuid())


@pytest.fixture
def told(tmp_path):
    """Return what is said about compose.yaml after some changes, and about .env."""
    (tmp_path / "dags").mkdir()

    def check(*changes, env=ENV, name="compose.yaml", text=COMPOSE, platform=PLATFORM):
        for old, new in changes:
            assert text.count(old) == 1, f"the change of {old!r} would change nothing"
            text = text.replace(old, new)
        if text:
            (tmp_path / name).write_text(text)
        if env is not None:
            (tmp_path / ".env").write_text(env)
        found, mistakes = compose.read(tmp_path)
        return [str(m) for m in sorted({*mistakes, *local.check(tmp_path, found, platform)})]

    return check


def test_a_correct_file_is_left_alone(told):
    assert told() == []


def test_an_author_who_has_neither_file_is_left_alone(told):
    assert told(text="", env=None) == []


def test_an_author_who_has_no_env_file_yet_is_left_alone(told):
    assert told(env=None) == []


@pytest.mark.parametrize("name", ["compose.yml", "docker-compose.yaml", "docker-compose.yml"])
def test_the_file_is_found_under_every_name_that_compose_knows(told, name):
    (line,) = told(("- ./dags:", "- ./dag:"), name=name)
    assert line.startswith(f"{name}:8: ")


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
    assert "correct-horse" not in line


def test_a_password_that_a_url_takes_apart_is_told_and_not_shown(told):
    lines = told(env="POSTGRES_PASSWORD=a/b\n")
    assert lines
    assert all("a/b" not in line for line in lines)


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
    assert (
        told(text="", env="AIRFLOW__CELERY__RESULT_BACKEND=db+postgresql://me:x@db/airflow\n") == []
    )


def test_connection_strings_in_the_env_file(told):
    env = f"{ENV}POSTGRES_USER=airflow\n\nAIRFLOW__CELERY__RESULT_BACKEND=db+postgresql://me:correct-horse@db/airflow\n"
    (line,) = told(text="", env=env)
    assert line.startswith(
        ".env:4: the database user of AIRFLOW__CELERY__RESULT_BACKEND is not the one of .env"
    )
    assert "found 'me' here, POSTGRES_USER at .env:2 is 'airflow'" in line


def test_connection_strings_in_a_file_of_variables(told, tmp_path):
    (tmp_path / "airflow.env").write_text(
        "# comment\nAIRFLOW__CORE__SQL_ALCHEMY_CONN=postgresql://root:correct-horse@postgres/airflow\n"
    )
    (line,) = told(('  user: "$', '  env_file: [airflow.env]\n  user: "$'))
    assert line.startswith("airflow.env:2: the database user of AIRFLOW__CORE__SQL_ALCHEMY_CONN")


def test_an_environment_that_is_written_as_a_list(told):
    mapping = COMPOSE[
        COMPOSE.index("      POSTGRES_USER") : COMPOSE.index("    volumes:\n      - data")
    ]
    as_list = "      - POSTGRES_USER=other\n      - POSTGRES_PASSWORD=${POSTGRES_PASSWORD}\n"
    lines = told((mapping, as_list + "      - POSTGRES_DB=airflow\n"))
    assert [line.split(": ")[0] for line in lines] == ["compose.yaml:5", "compose.yaml:6"]
    assert "POSTGRES_USER at compose.yaml:15 is 'other'" in lines[0]


def test_a_uid_that_is_nobodys(told):
    (line,) = told(("${AIRFLOW_UID:-50000}:0", f"{NOBODY}:0"))
    assert line == (
        f"compose.yaml:3: Airflow would run as a user who owns nothing (found user '{NOBODY}:0'); write "
        f"50000, the user in the image, or {os.getuid()}, which is you (`id -u`)"
    )


def test_a_uid_that_is_nobodys_in_the_env_file_is_told_there(told):
    (line,) = told(env=f"{ENV}# whose files?\nAIRFLOW_UID={NOBODY}\n")
    assert line.startswith(".env:3: Airflow would run as a user who owns nothing")


def test_a_uid_that_is_nobodys_is_told_without_a_compose_file(told):
    (line,) = told(text="", env=f"AIRFLOW_UID={NOBODY}\n")
    assert line.startswith(
        f".env:1: Airflow would run as a user who owns nothing (found AIRFLOW_UID={NOBODY})"
    )


@pytest.mark.parametrize("uid", [50000, os.getuid()])
def test_the_uid_of_the_image_and_your_own_are_right(told, uid):
    assert told(env=f"{ENV}AIRFLOW_UID={uid}\n") == []


def test_the_uid_of_the_image_is_right_without_a_compose_file(told):
    assert told(text="", env="AIRFLOW_UID=50000\n") == []


def test_a_group_other_than_the_images(told):
    (line,) = told(('-50000}:0"', '-50000}:50000"'))
    assert line.startswith("compose.yaml:3: the folders in the image belong to group 0")
    assert 'write user: "50000:0"' in line


def test_dag_where_dags_is_meant_and_not_there(told):
    assert told(("- ./dags:", "- ./dag:")) == [
        "compose.yaml:8: mounts a folder that is not there (found ./dag); write ./dags"
    ]


def test_dag_where_dags_is_meant_and_there(told, tmp_path):
    (tmp_path / "dag").mkdir()
    assert told(("- ./dags:", "- ./dag:")) == [
        "compose.yaml:8: mounts another folder than the platform reads (found ./dag, platform.yaml has "
        "sub_path: dags); write ./dags:/opt/airflow/dags"
    ]


def test_dags_where_airflow_does_not_look(told):
    lines = told((":/opt/airflow/dags:ro", ":/opt/airflow/dag:ro"))
    assert lines == [
        f"compose.yaml:8: service {service} has no DAGs at /opt/airflow/dags, where Airflow looks for "
        "them (found ./dags:/opt/airflow/dag); mount ./dags:/opt/airflow/dags"
        for service in ("scheduler", "worker")
    ]


def test_dags_that_one_service_does_not_have(told):
    (line,) = told(
        (
            '      DUMB_INIT_SETSID: "0"\n',
            '      DUMB_INIT_SETSID: "0"\n    volumes: [./logs:/opt/airflow/logs]\n',
        )
    )
    assert line.startswith("compose.yaml:23: service worker has no DAGs at /opt/airflow/dags")


@pytest.mark.parametrize(
    "volume",
    [
        "{type: bind, source: ./dag, target: /opt/airflow/dags}",
        "${PROJECT:-.}/dag:/opt/airflow/dags",
    ],
)
def test_a_volume_is_understood_however_it_is_written(told, volume):
    (line,) = told(("- ./dags:/opt/airflow/dags:ro", f"- {volume}"))
    assert line.startswith("compose.yaml:8: mounts a folder that is not there (found ./dag)")


def test_a_dag_folder_inside_a_larger_mount_is_found(told):
    assert (
        told(
            ("- ./dags:/opt/airflow/dags:ro", "- .:/repository"),
            (
                "    AIRFLOW__CELERY",
                "    AIRFLOW__CORE__DAGS_FOLDER: /repository/dags\n    AIRFLOW__CELERY",
            ),
        )
        == []
    )


def test_another_airflow_than_the_platforms(told):
    (line,) = told(("apache/airflow:3.2.2", "apache/airflow:3.3.2"))
    assert line == (
        "compose.yaml:2: the platform runs another Airflow (found apache/airflow:3.3.2; platform.yaml has "
        "apache/airflow:3.2.2); write apache/airflow:3.2.2"
    )


def test_a_file_that_is_no_yaml(told):
    (line,) = told(("services:", "services: ]"))
    assert line.startswith("compose.yaml:10: is not YAML: ")


def test_a_line_of_the_env_file_that_is_no_variable(told):
    (line,) = told(env=f"{ENV}\n'x\n")
    assert line.startswith(".env:3: is not NAME=value; ")


def test_the_folder_of_the_dags_is_the_one_that_the_platform_reads(told, tmp_path):
    (tmp_path / "flows").mkdir()
    (line,) = told(platform=PLATFORM.model_copy(update={"sub_path": "flows"}))
    assert line.startswith("compose.yaml:8: mounts another folder than the platform reads")
    assert line.endswith("write ./flows:/opt/airflow/dags")


def test_a_platform_file_that_cannot_be_read_hides_nothing(told):
    lines = told(
        ("psycopg2://airflow:", "psycopg2://airflw:"), ("- ./dags:", "- ./dag:"), platform=None
    )
    assert [line.split(": ")[0] for line in lines] == ["compose.yaml:5", "compose.yaml:8"]


def test_all_mistakes_are_told_at_once(told):
    lines = told(
        ("psycopg2://airflow:", "psycopg2://airflw:"),
        ("- ./dags:", "- ./dag:"),
        env=f"AIRFLOW_UID={NOBODY}\n",
    )
    assert [line.split(": ")[0] for line in lines] == [".env:1", "compose.yaml:5", "compose.yaml:8"]


def test_the_four_mistakes_of_old_are_told_before_anything_runs(repository, run):
    (repository / ".env").write_text(f"{ENV}AIRFLOW_UID={NOBODY}\n")
    text = COMPOSE.replace("psycopg2://airflow:", "psycopg2://postgres:").replace(
        "./dags:", "./dag:"
    )
    (repository / "compose.yaml").write_text(text)
    (repository / "dags" / "new.py").write_text("def new()\n    pass\n")

    status, lines = run(repository)

    assert status == 1
    assert [line.split(": ")[0] for line in lines] == [
        ".env:2",
        "compose.yaml:5",
        "compose.yaml:8",
        "dags/new.py:1",
        "4 mistakes found.",
    ]
