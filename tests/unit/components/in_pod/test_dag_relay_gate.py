"""The rules of the gate, on commits and on working trees of real Git."""

import os
from pathlib import Path

import pytest

from components.in_pod import dag_relay_gate as gate
from tests.unit.components.in_pod.test_dag_relay_publish import FOLDERS, POINTER, git

LIMITS = gate.Limits(sub_path="dags", max_mb=4, max_file_mb=2, max_files=9)
TWICE = "a second time, and its DAG processor ends at that; replace it with a copy"
OUTSIDE = "leads out of the repository, where the pods have other files; replace it with a copy"


@pytest.fixture
def folder(tmp_path):
    git(tmp_path, "init", "--quiet", "-b", "main")
    write(tmp_path, {"dags/a.py": "one"})
    return tmp_path


def write(folder, files=None, links=None):
    for path, content in (files or {}).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    for path, target in (links or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(target)


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "Change")


def found(folder, limits=LIMITS, **options):
    """The findings, before and after the commit."""
    before = gate.check(gate.working_tree(folder, **options), limits)
    commit(folder)
    assert gate.check(gate.committed(folder, **options), limits) == before, (
        "`make check` and the relay must agree"
    )
    return list(map(str, before))


@pytest.mark.parametrize(
    ("links", "finding"),
    [
        (
            {"dags/above": ".."},
            f"dags/above: the link to .. leads Airflow to the folder dags {TWICE}",
        ),
        ({"dags/self": "."}, f"dags/self: the link to . leads Airflow to the folder dags {TWICE}"),
        (
            {"dags/twin": "team"},
            f"dags/twin: the link to team leads Airflow to the folder dags/team {TWICE}",
        ),
        (
            {"dags/one": "../include", "dags/two": "../include/"},
            f"dags/two: the link to ../include/ leads Airflow to the folder include {TWICE}",
        ),
        (
            {"dags/data": "../include", "include/back": "../dags/team"},
            f"include/back: the link to ../dags/team leads Airflow to the folder dags/team {TWICE}",
        ),
        (
            {"dags/by": "../by", "by": "dags"},
            f"dags/by: the link to ../by leads Airflow to the folder dags {TWICE}",
        ),
        ({"include/etc": "/etc"}, f"include/etc: the link to /etc {OUTSIDE}"),
        ({"up": "../.."}, f"up: the link to ../.. {OUTSIDE}"),
        ({"dags/team/up": "../../../x"}, f"dags/team/up: the link to ../../../x {OUTSIDE}"),
        (
            {"dags/loop": "loop"},
            "dags/loop: the link to loop leads back to itself; replace it with a copy",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_link_that_no_pod_can_follow_is_found(folder, links, finding):
    write(folder, {"dags/team/b.py": "", "include/c.txt": ""}, links)

    assert found(folder) == [finding]


@pytest.mark.parametrize(
    "links",
    [
        {"dags/c.txt": "../include/c.txt"},
        {"dags/include": "../include"},
        {"include/dags": "../dags"},
        {"dags/missing": "../nothing"},
        {"dags/deep": "../include/more", "include/d": "c.txt"},
    ],
    ids=lambda links: " ".join(links),
)
def test_a_harmless_link_is_accepted(folder, links):
    write(folder, {"include/c.txt": "", "include/more/d.txt": ""}, links)

    assert found(folder) == []


def test_the_dag_folder_may_be_a_link_itself(folder):
    (folder / "dags").rename(folder / "src")
    write(folder, links={"dags": "src"})
    assert found(folder) == []

    write(folder, links={"src/again": "../dags"})
    assert [line.partition(":")[0] for line in found(folder)] == ["src/again"]


def test_the_root_may_be_the_dag_folder(folder):
    limits = gate.Limits(sub_path=".", max_mb=4, max_file_mb=2, max_files=9)
    write(folder, links={"dags/above": ".."})

    assert found(folder, limits) == [
        f"dags/above: the link to .. leads Airflow to the folder . {TWICE}"
    ]


def test_size_and_number_of_files_are_limited(folder):
    write(folder, {f"data/{number}": "0" * 2**19 for number in range(9)})

    assert found(folder) == [
        "it has 10 files, and dags.max_files is 9",
        "its files are 5 MiB together, and dags.max_mb is 4; the largest are data/0 (1 MiB), data/1 "
        "(1 MiB), data/2 (1 MiB)",
    ]


def test_limits_are_inclusive(folder):
    write(folder, {"data": "0" * 2**21, "dags/a.py": "0" * 2**21})
    write(folder, dict.fromkeys("bcdefgh", ""))

    assert found(folder) == []


def test_names_that_airflow_cannot_store_are_found(folder):
    os.close(os.open(bytes(folder / "dags") + b"/caf\xe9.py", os.O_CREAT))
    long = "/".join(["x" * 200] * 5)
    write(folder, {f"dags/{long}": "", "dags/café.py": ""})

    assert found(folder) == [
        "dags/caf\\xe9.py: the name is not UTF-8, and Airflow cannot store it; rename the file",
        f"dags/{long}: the path has 1009 bytes, and Airflow stores 1000; shorten it",
    ]


def test_an_invalid_ignore_file_is_found(folder):
    write(
        folder,
        {
            "dags/.airflowignore": "# comment\nhelpers/\n!\n[z-a]  # range\nkept\\\n!fine\n[!a]\n",
            "dags/team/.airflowignore": b"caf\xe9",
        },
    )
    end = "and Airflow's DAG processor ends at that"
    assert found(folder) == [
        f"dags/.airflowignore: line {number} is not a pattern (found {text!r}), {end}; correct it"
        for number, text in ((3, "!"), (4, "[z-a]"), (5, "kept\\"))
    ] + [f"dags/team/.airflowignore: the file is not UTF-8, {end}; save it as UTF-8"]


def test_files_of_submodules_count(folder, tmp_path_factory):
    shared = tmp_path_factory.mktemp("shared")
    git(shared, "init", "--quiet", "-b", "main")
    write(shared, {"big.bin": "0" * 3_000_000})
    commit(shared)
    git(folder, *FOLDERS, "submodule", "--quiet", "add", str(shared), "dags/shared")

    (finding,) = found(folder)
    assert finding.startswith("dags/shared/big.bin: the file has 3 MiB, and dags.max_file_mb is 2")


@pytest.mark.parametrize("lfs", [False, True])
def test_a_file_of_lfs_counts_as_what_the_pods_get(folder, lfs):
    write(
        folder,
        {
            ".gitattributes": "*.bin filter=lfs\n",
            "pointer.bin": POINTER.format("0" * 64, 3_000_000),
        },
    )

    assert [line.partition(":")[0] for line in found(folder, lfs=lfs)] == ["pointer.bin"] * lfs


@pytest.mark.parametrize("lfs", [False, True])
def test_a_downloaded_file_of_lfs_counts_as_what_is_pushed(folder, lfs):
    write(folder, {".gitattributes": "*.bin filter=lfs\n", "file.bin": "0" * 3_000_000})

    findings = gate.check(gate.working_tree(folder, lfs), LIMITS)
    assert [finding.path for finding in findings] == ["file.bin"] * lfs


def test_ignored_and_deleted_files_are_not_pushed(folder):
    write(folder, {"deleted": "0" * 3_000_000})
    commit(folder)
    (folder / "deleted").unlink()
    write(folder, {".gitignore": "*.bin\n", "ignored.bin": "0" * 3_000_000})

    assert found(folder) == []


def test_both_repositories_have_the_same_gate():
    copy = Path(__file__).parents[4] / "dags-repo-example" / "checks" / "delivery.py"

    assert copy.read_text() == Path(gate.__file__).read_text(), (
        f"copy {gate.__file__} to {copy}: `make check` must report what the relay refuses"
    )
