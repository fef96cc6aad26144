"""Mistakes with which the platform delivers no commit, in a Git repository."""

import subprocess

import pytest

from checks import delivery
from local import dag_files

LIMITS = delivery.Limits(sub_path="dags", max_mb=100, max_file_mb=50, max_files=20000)


@pytest.fixture
def pushed(repository):
    subprocess.run(["git", "init", "--quiet"], cwd=repository, check=True)
    return repository


def test_a_link_to_a_folder_above_is_the_only_mistake(pushed, run):
    (pushed / "dags" / "above").symlink_to("..")

    assert run(pushed) == (
        1,
        [
            "dags/above:1: the link to .. leads Airflow to the folder dags a second time, and its DAG "
            "processor ends at that; replace it with a copy",
            "1 mistake found.",
        ],
    )


def test_other_mistakes_are_reported_beside_a_large_file(pushed, run):
    with (pushed / "data.bin").open("wb") as file:
        file.truncate(101 * 2**20)
    (pushed / "dags" / "word_count.py").write_text("x = (\n")

    status, lines = run(pushed)

    assert status == 1
    assert lines[0] == (
        ".:1: its files are 102 MiB together, and dags.max_mb is 100; the largest are data.bin (101 MiB), "
        + lines[0].rpartition("(101 MiB), ")[2]
    )
    assert lines[1].startswith("dags/word_count.py:1: ")
    assert lines[2:] == [
        "data.bin:1: the file has 101 MiB, and dags.max_file_mb is 50: every worker copies it; keep data "
        "in an object store",
        "3 mistakes found.",
    ]


def test_no_excuse_accepts_what_the_platform_refuses(pushed, run):
    (pushed / "dags" / "above").symlink_to("..")
    with (pushed / "pyproject.toml").open("a") as file:
        file.write('"dags/*" = "a reason"\n')

    assert any(line.startswith("dags/above:1: ") for line in run(pushed)[1])


def test_an_unknown_failure_of_airflows_listing_is_reported(repository, run):
    # Without Git, nothing but Airflow looks at the link.
    (repository / "dags" / "above").symlink_to("..")

    status, lines = run(repository)

    assert status == 1
    assert lines[0].startswith(
        "dags/:1: Airflow cannot list the files of this folder, and its DAG "
    )
    assert lines[1:] == ["1 mistake found."]


@pytest.fixture
def lists(tmp_path):
    """Whether Airflow lists the files of a DAG folder with these links and this ignore file."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    for path in ("dags/team/b.py", "include/more/c.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    def check(links=(), ignore=b""):
        (tmp_path / "dags" / ".airflowignore").write_bytes(ignore)
        for path, target in dict(links).items():
            (tmp_path / path).symlink_to(target)
        found = delivery.check(delivery.working_tree(tmp_path), LIMITS)
        try:
            dag_files.listed(tmp_path / "dags")
        except Exception:
            assert found, "Airflow fails, and `make check` would accept it"
            return False
        return not found

    return check


@pytest.mark.parametrize(
    ("links", "listed"),
    [
        ({"dags/above": ".."}, False),
        ({"dags/self": "."}, False),
        ({"dags/twin": "team"}, False),
        ({"dags/one": "../include", "dags/two": "../include"}, False),
        ({"dags/data": "../include", "include/back": "../dags/team"}, False),
        ({"dags/data": "../include"}, True),
        ({"dags/c.txt": "../include/more/c.txt", "dags/missing": "nothing"}, True),
        ({"include/dags": "../dags"}, True),
    ],
)
def test_airflow_agrees_about_links(lists, links, listed):
    assert lists(links) is listed


@pytest.mark.parametrize(
    ("ignore", "listed"),
    [
        (b"!\n", False),
        (b"kept\\\n", False),
        (b"[z-a]\n", False),
        (b"caf\xe9\n", False),
        (b"# !\nhelpers/\n!fine\n[!a]\n[a-z]*.py\n**/x\n/\n//\n[\nback\\\\\n[]a]\n[a\n", True),
    ],
)
def test_airflow_agrees_about_ignore_files(lists, ignore, listed):
    assert lists(ignore=ignore) is listed
