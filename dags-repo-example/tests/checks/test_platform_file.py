import shutil
import sys
from pathlib import Path

import pytest

from checks import platform_file
from tests.checks.conftest import installed_python

ROOT = Path(__file__).parents[2]


@pytest.fixture
def read_changed(tmp_path):
    """Read platform.yaml after a change; return the platform and its mistakes."""

    def read(old="", new=""):
        shutil.copy(ROOT / "platform.yaml", tmp_path)
        path = tmp_path / "platform.yaml"
        assert old in path.read_text(), f"{old!r} is not in platform.yaml: correct the test"
        path.write_text(installed_python(path.read_text().replace(old, new, 1)))
        found, mistakes = platform_file.read(tmp_path)
        return found, [str(mistake) for mistake in mistakes]

    return read


def test_the_committed_platform_file_is_valid(read_changed):
    found, mistakes = read_changed()
    assert mistakes == []
    assert (found.sub_path, found.queues, found.pools) == ("dags", ["default"], ["default_pool"])


def test_a_missing_platform_file_is_reported(tmp_path):
    _, (mistake,) = platform_file.read(tmp_path)
    assert str(mistake) == (
        "platform.yaml:1: is missing; restore the file from Git, or ask the platform team"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "sub_path: dags",
            "subpath: dags",
            "platform.yaml:7: subpath is not a known key (known: airflow, ",
        ),
        ("sub_path: dags", "", "platform.yaml:1: sub_path is missing; "),
        (
            "[default]",
            "default",
            "platform.yaml:8: queues: Input should be a valid list (found 'default')",
        ),
        ("[default_pool]", "[]", "platform.yaml:9: pools: List should have at least 1 item"),
        (
            "airflow: 3.3.2",
            "airflow: 3",
            "platform.yaml:4: airflow: Input should be a valid string (found 3)",
        ),
        ("queues: [", "queues: ]", "platform.yaml:8: is not valid YAML: "),
    ],
)
def test_an_invalid_key_is_reported_with_its_line(read_changed, old, new, message):
    found, mistakes = read_changed(old, new)
    assert found is None
    assert any(mistake.startswith(message) for mistake in mistakes), mistakes


def test_a_different_installed_airflow_version_is_reported(read_changed):
    _, mistakes = read_changed("airflow: 3.3.2", "airflow: 3.2.2")
    assert mistakes == [
        "platform.yaml:4: airflow: the platform runs 3.2.2, but `make check` uses another version (found "
        "3.3.2 in .venv); set apache-airflow==3.2.2 in requirements.in and run `make lock`"
    ]


# Neither that of .venv nor the committed one, which `installed_python` replaces.
OTHER = f"{sys.version_info.major}.{sys.version_info.minor + 9}"
WARNING = f"platform.yaml:6: python: the platform's image has {OTHER}, but `make check` uses another version "


@pytest.mark.parametrize("pipeline", ["true", ""])
def test_another_python_fails_a_pipeline_and_warns_authors(
    read_changed, monkeypatch, capsys, pipeline
):
    monkeypatch.setenv("CI", pipeline)
    _, mistakes = read_changed('python: "3.12"', f'python: "{OTHER}"')
    printed = capsys.readouterr().out
    if pipeline:
        (text,) = mistakes
    else:
        assert mistakes == []
        text = printed.removeprefix("warning: ")
    assert text.startswith(WARNING)
    assert f"install Python {OTHER} and delete .venv" in text


def test_a_platform_file_without_python_is_accepted(read_changed):
    found, mistakes = read_changed('python: "3.12"', "")
    assert (found.python, mistakes) == (None, [])


def test_an_invalid_platform_file_hides_no_other_mistakes(repository, run):
    (repository / "platform.yaml").write_text("airflow: 3.3.2\n")
    (repository / "dags" / "word_count.py").write_text("x = (\n")

    status, lines = run(repository)

    assert status == 1
    assert [line.split(": ")[0] for line in lines] == [
        "dags/word_count.py:1",
        *["platform.yaml:1"] * 7,
        "8 mistakes found.",
    ]
