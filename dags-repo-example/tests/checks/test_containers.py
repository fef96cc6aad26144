"""Users, volumes and images in compose.yaml, and what .env adds to it."""

import os

import pytest

from tests.checks.compose_file import COMPOSE, ENV, PLATFORM

# Neither the image's user nor the one who runs this.
NOBODY = next(uid for uid in (4711, 4712) if uid != os.getuid())


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


def test_a_service_is_airflows_by_its_image_or_by_its_environment(told):
    user = ("${AIRFLOW_UID:-50000}:0", f"{NOBODY}:0")
    begin, end = COMPOSE.index("  environment: &airflow"), COMPOSE.index("  volumes:\n    - ./dags")
    by_image = told(user, (COMPOSE[begin:end], ""), ("      <<: *airflow-environment\n", ""))
    by_environment = told(user, ("image: apache/airflow:3.2.2", "build: ."))
    assert [len(by_image), len(by_environment)] == [1, 1]


def test_without_a_user_the_one_of_the_image_is_taken(told):
    assert told(('  user: "${AIRFLOW_UID:-50000}:0"\n', "")) == []


def test_a_group_other_than_the_images(told):
    (line,) = told(('-50000}:0"', '-50000}:50000"'))
    assert line.startswith("compose.yaml:3: the folders in the image belong to group 0")
    assert 'write user: "50000:0"' in line


def test_dag_where_dags_is_meant_and_not_there(told):
    assert told(("- ./dags:", "- ./dag:")) == [
        "compose.yaml:8: mounts a folder that is not there (found ./dag); write ./dags"
    ]


def test_what_is_merged_from_several_places_counts_and_the_first_of_them_wins(told):
    more = f"x-more: &more\n  image: apache/airflow:3.3.2\n  user: {NOBODY}\n\nservices:\n"
    alone = (
        "  scheduler:\n    <<: *airflow-common\n",
        "  scheduler:\n    <<: [*airflow-common, *more]\n",
    )
    assert told(("services:\n", more), alone) == []


def test_no_file_is_proposed_in_the_place_of_a_folder(told, tmp_path):
    (tmp_path / "dagz").touch()
    (line,) = told(("- ./dags:", "- ./dag:"))
    assert line.endswith("write ./dags")


def test_dag_where_dags_is_meant_and_there(told, tmp_path):
    (tmp_path / "dag").mkdir()
    assert told(("- ./dags:", "- ./dag:")) == [
        "compose.yaml:8: mounts another folder than the platform reads (found ./dag, platform.yaml has "
        "sub_path: dags); write ./dags:/opt/airflow/dags"
    ]


def test_a_folder_that_is_not_there_and_like_no_other(told):
    (line,) = told(("- ./logs:/opt/airflow/logs", "- ./keytab:/etc/keytab"))
    assert line.startswith(
        "compose.yaml:9: mounts a folder that is not there (found ./keytab); correct the"
    )


def test_a_folder_outside_of_this_repository_is_not_looked_for(told):
    assert told(("- ./logs:/opt/airflow/logs", "- /no/such/folder:/etc/keytab")) == []


def test_dags_where_airflow_does_not_look(told):
    lines = told((":/opt/airflow/dags:ro", ":/opt/airflow/dag:ro"))
    assert lines == [
        f"compose.yaml:8: service {service} has no DAGs at /opt/airflow/dags, where Airflow looks for "
        "them (found ./dags:/opt/airflow/dag); mount ./dags:/opt/airflow/dags"
        for service in ("scheduler", "worker")
    ]


def test_dags_that_come_with_the_image_are_left_alone(told):
    begin, end = COMPOSE.index("  volumes:\n    - ./dags"), COMPOSE.index("services:\n")
    assert told((COMPOSE[begin:end], "")) == []


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


@pytest.mark.parametrize("image", ["image: registry.example.com/airflow:7", "build: ."])
def test_an_image_of_your_own_is_not_compared(told, image):
    assert told(("image: apache/airflow:3.2.2", image)) == []


def test_what_says_nothing_about_airflow_is_passed_over(told):
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
    assert told(("  scheduler:\n", f"  odd:\n{odd}  scheduler:\n")) == []


def test_a_file_that_is_no_yaml(told):
    (line,) = told(("services:", "services: ]"))
    assert line.startswith("compose.yaml:10: is not YAML: ")


def test_a_file_that_is_no_list_of_keys(told):
    assert told(text="- services\n") == [
        "compose.yaml:1: is not a list of `key: value`; bring the file back from Git"
    ]


def test_a_file_that_is_no_text(told, tmp_path):
    (tmp_path / "compose.yaml").write_bytes(b"services: \xff")
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    (line,) = told(text="", env=None)
    assert line.startswith("compose.yaml:1: is not YAML: ")
    assert line.endswith("; save it as UTF-8 text")


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
