import shutil
from pathlib import Path

import pytest

from checks import platform

ROOT = Path(__file__).parents[2]


@pytest.fixture
def told(tmp_path):
    """Return what is said about platform.yaml after a change."""

    def check(old="", new=""):
        shutil.copy(ROOT / "platform.yaml", tmp_path)
        path = tmp_path / "platform.yaml"
        assert old in path.read_text(), f"the change of {old!r} would change nothing"
        path.write_text(path.read_text().replace(old, new, 1))
        found, mistakes = platform.read(tmp_path)
        return found, [str(mistake) for mistake in mistakes]

    return check


def test_the_committed_file_is_understood(told):
    found, mistakes = told()
    assert mistakes == []
    assert (found.sub_path, found.queues, found.pools) == ("dags", ["default"], ["default_pool"])


def test_a_missing_file_is_told(tmp_path):
    _, (mistake,) = platform.read(tmp_path)
    assert str(mistake) == (
        "platform.yaml:1: is missing; bring it back from Git, or ask the platform team"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "sub_path: dags",
            "subpath: dags",
            "platform.yaml:6: subpath is not a known key (known: airflow, ",
        ),
        ("sub_path: dags", "", "platform.yaml:1: sub_path is missing; "),
        (
            "[default]",
            "default",
            "platform.yaml:7: queues: Input should be a valid list (found 'default')",
        ),
        ("[default_pool]", "[]", "platform.yaml:8: pools: List should have at least 1 item"),
        (
            "airflow: 3.2.2",
            "airflow: 3",
            "platform.yaml:4: airflow: Input should be a valid string (found 3)",
        ),
        ("queues: [", "queues: ]", "platform.yaml:7: is not YAML: "),
    ],
)
def test_a_mistake_names_the_line_and_the_key(told, old, new, said):
    found, mistakes = told(old, new)
    assert found is None
    assert any(mistake.startswith(said) for mistake in mistakes), mistakes


def test_another_airflow_than_the_one_of_the_tests_is_told(told):
    _, mistakes = told("airflow: 3.2.2", "airflow: 3.3.2")
    assert mistakes == [
        "platform.yaml:4: the platform runs Airflow 3.3.2, this repository tests with another (found 3.2.2 "
        "in .venv); set apache-airflow==3.3.2 in requirements.in, `make lock`"
    ]


def test_a_broken_file_does_not_hide_what_is_wrong_elsewhere(repository, run):
    (repository / "platform.yaml").write_text("airflow: 3.2.2\n")
    (repository / "dags" / "word_count.py").write_text("x = 1\n")

    status, lines = run(repository)

    assert status == 1
    assert [line.split(": ")[0] for line in lines] == [
        "dags/word_count.py:1",
        *["platform.yaml:1"] * 4,
        "5 mistakes found.",
    ]
