"""The publish script of the relay, with real Git."""

import os
import shutil
import subprocess

import pytest

from ops.stack_files import ROOT

SCRIPT = ROOT / "components" / "in_pod" / "dag_relay_publish.sh"
GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Author",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_COMMITTER_NAME": "Author",
    "GIT_COMMITTER_EMAIL": "author@example.com",
}
# The submodules of these tests are local folders.
FOLDERS = ("-c", "protocol.file.allow=always")


def git(folder, *words):
    done = subprocess.run(  # noqa: S603 - fixed arguments
        ["git", *words],  # noqa: S607
        cwd=folder,
        env={**os.environ, **GIT},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


class Repository:
    """A checkout as git-sync creates it, and the published repository."""

    def __init__(self, folder):
        self.checkout = folder / "checkout"
        self.published = folder / "published.git"
        git(folder, "init", "--quiet", "-b", "main", str(self.checkout))

    def commit(self, files=None, *, amend=False):
        for path, text in (files or {}).items():
            target = self.checkout / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        git(self.checkout, "add", "--all")
        git(self.checkout, "commit", "--quiet", "-m", "Change", *(["--amend"] if amend else []))
        return git(self.checkout, "rev-parse", "HEAD")

    def publish(self, **env):
        """Exit status and output of the script."""
        done = subprocess.run(  # noqa: S603 - our own script
            ["bash", str(SCRIPT)],  # noqa: S607
            cwd=self.checkout,
            env={
                **os.environ,
                **GIT,
                "GITSYNC_HASH": git(self.checkout, "rev-parse", "HEAD"),
                "PUBLISHED": str(self.published),
                "BRANCH": "dags",
                "SUB_PATH": "dags",
                "MAX_MB": "2",
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def head(self):
        return git(self.published, "rev-parse", "dags")

    def read(self, path):
        return git(self.published, "show", f"dags:{path}")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def published(result):
    assert result == (0, ""), result
    return True


def test_the_pushed_commit_is_published_unchanged(repository):
    commit = repository.commit({"dags/a.py": "one"})

    assert published(repository.publish())
    assert repository.head == commit
    assert repository.read("dags/a.py") == "one"


def test_publishing_is_idempotent(repository):
    repository.commit({"dags/a.py": "one"})
    assert published(repository.publish())
    before = git(repository.published, "for-each-ref")

    assert published(repository.publish())
    assert git(repository.published, "for-each-ref") == before


@pytest.mark.parametrize(("amend", "commits"), [(False, "2"), (True, "1")], ids=["new", "forced"])
def test_a_new_or_force_pushed_commit_is_published(repository, amend, commits):
    repository.commit({"dags/a.py": "one"})
    assert published(repository.publish())
    commit = repository.commit({"dags/a.py": "two"}, amend=amend)

    assert published(repository.publish())
    assert repository.head == commit
    history = git(repository.published, "rev-list", "--count", "dags")
    assert history == commits, "bundles use older commits"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"dag/a.py": "in the wrong folder"}, "it has no folder dags (dags.sub_path)"),
        ({"dags/big.bin": "0" * 3_000_000}, "its files are 3 MiB together, and dags.max_mb is 2"),
    ],
    ids=["no folder", "too large"],
)
def test_an_invalid_commit_is_not_published(repository, files, reason):
    good = repository.commit({"dags/a.py": "good"})
    assert published(repository.publish())
    shutil.rmtree(repository.checkout / "dags")
    bad = repository.commit(files)

    status, output = repository.publish()

    assert (status, output) == (
        1,
        f"commit {bad} is not published, the last good one stays: {reason}\n",
    )
    assert repository.head == good


def test_an_interrupted_first_publish_starts_over(repository):
    repository.commit({"dags/a.py": "one"})
    left = repository.published.with_name("published.git.new")
    (left / "refs").mkdir(parents=True)

    assert published(repository.publish())
    assert not left.exists()


@pytest.fixture
def with_submodules(repository, tmp_path):
    """A repository whose submodule `shared` has its own submodule."""
    for name, inner in (("inner", None), ("shared", "inner")):
        folder = tmp_path / name
        git(tmp_path, "init", "--quiet", "-b", "main", name)
        (folder / f"{name}.py").write_text(f"text of {name}")
        if inner:
            git(folder, *FOLDERS, "submodule", "--quiet", "add", str(tmp_path / inner), "lib/inner")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "-m", name)
    where = str(tmp_path / "shared")
    git(repository.checkout, *FOLDERS, "submodule", "--quiet", "add", where, "dags/shared code")
    git(repository.checkout, *FOLDERS, "submodule", "--quiet", "update", "--init", "--recursive")
    repository.commit({"dags/a.py": "one"})
    return repository


def test_submodules_are_published_as_folders(with_submodules):
    assert published(with_submodules.publish())

    assert with_submodules.read("dags/a.py") == "one"
    assert with_submodules.read("dags/shared code/shared.py") == "text of shared"
    assert with_submodules.read("dags/shared code/lib/inner/inner.py") == "text of inner"
    listed = git(with_submodules.published, "ls-tree", "-r", "dags")
    assert "commit" not in {line.split()[1] for line in listed.splitlines()}


def test_submodule_commits_have_reproducible_hashes(with_submodules):
    assert published(with_submodules.publish())
    first = with_submodules.head

    assert published(with_submodules.publish())
    assert with_submodules.head == first
    assert git(with_submodules.published, "rev-parse", "dags~1") == git(
        with_submodules.checkout, "rev-parse", "HEAD"
    ), "the pushed commit must be the parent"


def test_the_checkout_is_not_modified(with_submodules):
    assert published(with_submodules.publish())

    assert git(with_submodules.checkout, "status", "--porcelain") == ""
