"""Rules for users, mounts and images in compose.yaml and .env."""

import os

import pytest

from tests.checks.compose_file import COMPOSE, ENV, PLATFORM

# Neither the image's UID nor that of the current user.
UNKNOWN_UID = next(uid for uid in (4711, 4712) if uid != os.getuid())


def test_a_correct_compose_file_has_no_mistakes(mistakes):
    assert mistakes() == []


def test_compose_file_and_env_file_are_optional(mistakes):
    assert mistakes(text="", env=None) == []


def test_the_env_file_is_optional(mistakes):
    assert mistakes(env=None) == []


@pytest.mark.parametrize("name", ["compose.yml", "docker-compose.yaml", "docker-compose.yml"])
def test_every_file_name_of_docker_compose_is_read(mistakes, name):
    (line,) = mistakes(("- ./dags:", "- ./dag:"), name=name)
    assert line.startswith(f"{name}:8: ")


def test_an_unknown_uid_is_reported(mistakes):
    (line,) = mistakes(("${AIRFLOW_UID:-50000}:0", f"{UNKNOWN_UID}:0"))
    assert line == (
        f"compose.yaml:3: Airflow would run as a user that owns no files (found user '{UNKNOWN_UID}:0'); "
        f"use 50000, the image's user, or {os.getuid()}, your own (`id -u`)"
    )


def test_an_unknown_uid_is_reported_at_its_line_in_the_env_file(mistakes):
    (line,) = mistakes(env=f"{ENV}# comment\nAIRFLOW_UID={UNKNOWN_UID}\n")
    assert line.startswith(".env:3: Airflow would run as a user that owns no files")


def test_an_unknown_uid_is_reported_without_a_compose_file(mistakes):
    (line,) = mistakes(text="", env=f"AIRFLOW_UID={UNKNOWN_UID}\n")
    assert line.startswith(
        f".env:1: Airflow would run as a user that owns no files (found AIRFLOW_UID={UNKNOWN_UID})"
    )


@pytest.mark.parametrize("uid", [50000, os.getuid()])
def test_the_uid_of_the_image_and_your_own_are_accepted(mistakes, uid):
    assert mistakes(env=f"{ENV}AIRFLOW_UID={uid}\n") == []


def test_the_uid_of_the_image_is_accepted_without_compose_file(mistakes):
    assert mistakes(text="", env="AIRFLOW_UID=50000\n") == []


def test_airflow_services_are_known_by_image_or_environment(mistakes):
    user = ("${AIRFLOW_UID:-50000}:0", f"{UNKNOWN_UID}:0")
    begin, end = COMPOSE.index("  environment: &airflow"), COMPOSE.index("  volumes:\n    - ./dags")
    by_image = mistakes(user, (COMPOSE[begin:end], ""), ("      <<: *airflow-environment\n", ""))
    by_environment = mistakes(user, ("image: apache/airflow:3.3.2", "build: ."))
    assert [len(by_image), len(by_environment)] == [1, 1]


def test_a_service_without_user_is_accepted(mistakes):
    assert mistakes(('  user: "${AIRFLOW_UID:-50000}:0"\n', "")) == []


def test_a_group_other_than_the_images_is_reported(mistakes):
    (line,) = mistakes(('-50000}:0"', '-50000}:50000"'))
    assert line.startswith("compose.yaml:3: the image's folders belong to group 0")
    assert 'set user: "50000:0"' in line


def test_a_missing_mount_source_is_reported_with_a_close_match(mistakes):
    assert mistakes(("- ./dags:", "- ./dag:")) == [
        "compose.yaml:8: mounts a folder that does not exist (found ./dag); use ./dags"
    ]


def test_the_first_of_several_merged_mappings_wins(mistakes):
    more = f"x-more: &more\n  image: apache/airflow:3.3.2\n  user: {UNKNOWN_UID}\n\nservices:\n"
    merged = (
        "  scheduler:\n    <<: *airflow-common\n",
        "  scheduler:\n    <<: [*airflow-common, *more]\n",
    )
    assert mistakes(("services:\n", more), merged) == []


def test_a_close_match_is_a_folder_not_a_file(mistakes, tmp_path):
    (tmp_path / "dagz").touch()
    (line,) = mistakes(("- ./dags:", "- ./dag:"))
    assert line.endswith("use ./dags")


def test_an_existing_folder_other_than_the_dags_is_reported(mistakes, tmp_path):
    (tmp_path / "dag").mkdir()
    assert mistakes(("- ./dags:", "- ./dag:")) == [
        "compose.yaml:8: mounts another folder than the platform's DAG folder (found ./dag; platform.yaml "
        "has sub_path: dags); mount ./dags:/opt/airflow/dags"
    ]


def test_a_missing_mount_source_without_close_match_is_reported(mistakes):
    (line,) = mistakes(("- ./logs:/opt/airflow/logs", "- ./keytab:/etc/keytab"))
    assert line.startswith(
        "compose.yaml:9: mounts a folder that does not exist (found ./keytab); correct the"
    )


def test_a_mount_source_outside_the_repository_is_not_checked(mistakes):
    assert mistakes(("- ./logs:/opt/airflow/logs", "- /no/such/folder:/etc/keytab")) == []


def test_a_wrong_mount_target_of_the_dags_is_reported(mistakes):
    lines = mistakes((":/opt/airflow/dags:ro", ":/opt/airflow/dag:ro"))
    assert lines == [
        f"compose.yaml:8: service {service} has no mount at /opt/airflow/dags, where Airflow reads "
        "DAGs (found ./dags:/opt/airflow/dag); mount ./dags:/opt/airflow/dags"
        for service in ("scheduler", "worker")
    ]


def test_dags_in_the_image_need_no_mount(mistakes):
    begin, end = COMPOSE.index("  volumes:\n    - ./dags"), COMPOSE.index("services:\n")
    assert mistakes((COMPOSE[begin:end], "")) == []


def test_a_service_without_the_dags_is_reported(mistakes):
    (line,) = mistakes(
        (
            '      DUMB_INIT_SETSID: "0"\n',
            '      DUMB_INIT_SETSID: "0"\n    volumes: [./logs:/opt/airflow/logs]\n',
        )
    )
    assert line.startswith("compose.yaml:23: service worker has no mount at /opt/airflow/dags")


@pytest.mark.parametrize(
    "volume",
    [
        "{type: bind, source: ./dag, target: /opt/airflow/dags}",
        "${PROJECT:-.}/dag:/opt/airflow/dags",
    ],
)
def test_every_notation_of_a_bind_mount_is_read(mistakes, volume):
    (line,) = mistakes(("- ./dags:/opt/airflow/dags:ro", f"- {volume}"))
    assert line.startswith("compose.yaml:8: mounts a folder that does not exist (found ./dag)")


def test_a_dag_folder_inside_a_larger_mount_is_accepted(mistakes):
    assert (
        mistakes(
            ("- ./dags:/opt/airflow/dags:ro", "- .:/repository"),
            (
                "    AIRFLOW__CELERY",
                "    AIRFLOW__CORE__DAGS_FOLDER: /repository/dags\n    AIRFLOW__CELERY",
            ),
        )
        == []
    )


def test_an_image_of_another_airflow_version_is_reported(mistakes):
    (line,) = mistakes(("apache/airflow:3.3.2", "apache/airflow:3.2.2"))
    assert line == (
        "compose.yaml:2: image is not the platform's Airflow version (found apache/airflow:3.2.2; "
        "platform.yaml has apache/airflow:3.3.2); use apache/airflow:3.3.2"
    )


@pytest.mark.parametrize("image", ["image: registry.example.com/airflow:7", "build: ."])
def test_a_custom_image_is_not_compared(mistakes, image):
    assert mistakes(("image: apache/airflow:3.3.2", image)) == []


def test_unrelated_and_invalid_keys_are_ignored(mistakes):
    odd = """\
    env_file: [{path: .env, required: false}, {required: false}]
    environment:
      TZ:
  other:
    image: [not, text]
    environment: [TZ, [not, text]]
    volumes:
      - /anonymous
      - [not, text]
      - {type: tmpfs, target: /scratch}
      - {type: bind, source: /no/such/folder}
      - {type: volume, source: data, target: /data}
  nothing:
"""
    assert mistakes(("  scheduler:\n", f"  odd:\n{odd}  scheduler:\n")) == []


def test_invalid_yaml_is_reported(mistakes):
    (line,) = mistakes(("services:", "services: ]"))
    assert line.startswith("compose.yaml:10: is not valid YAML: ")


def test_a_compose_file_that_is_not_a_mapping_is_reported(mistakes):
    assert mistakes(text="- services\n") == [
        "compose.yaml:1: is not a YAML mapping (`key: value`); restore the file from Git"
    ]


def test_a_compose_file_that_is_not_utf_8_is_reported(mistakes, tmp_path):
    (tmp_path / "compose.yaml").write_bytes(b"services: \xff")
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    (line,) = mistakes(text="", env=None)
    assert line.startswith("compose.yaml:1: is not valid YAML: ")
    assert line.endswith("; save it as UTF-8 text")


def test_an_invalid_line_of_the_env_file_is_reported(mistakes):
    (line,) = mistakes(env=f"{ENV}\n'x\n")
    assert line.startswith(".env:3: is not NAME=value; ")


def test_the_sub_path_of_the_platform_is_the_folder_to_mount(mistakes, tmp_path):
    (tmp_path / "flows").mkdir()
    (line,) = mistakes(platform=PLATFORM.model_copy(update={"sub_path": "flows"}))
    assert line.startswith("compose.yaml:8: mounts another folder than the platform's DAG folder")
    assert line.endswith("mount ./flows:/opt/airflow/dags")


def test_compose_mistakes_are_reported_without_a_platform_file(mistakes):
    lines = mistakes(
        ("psycopg2://airflow:", "psycopg2://airflw:"), ("- ./dags:", "- ./dag:"), platform=None
    )
    assert [line.split(": ")[0] for line in lines] == ["compose.yaml:5", "compose.yaml:8"]


def test_mistakes_of_all_files_are_reported_at_once(repository, run):
    (repository / ".env").write_text(f"{ENV}AIRFLOW_UID={UNKNOWN_UID}\n")
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
