"""The Git hook of Airflow's pods, with checkouts as git-sync creates them."""

import os
import subprocess
import time

import pytest

from ops.stack_files import ROOT

SCRIPT = ROOT / "components" / "in_pod" / "preserve_mtimes.sh"
PAST = 1_000_000_000


class Pod:
    """DAG folder of a pod: git-sync links `repo` to the checkout of the latest commit."""

    def __init__(self, folder):
        self.root = folder / "git"
        self.hooks = folder / "hooks"
        self.hooks.mkdir()
        hook = self.hooks / "post-index-change"
        hook.write_text(SCRIPT.read_text())
        hook.chmod(0o755)
        self.git(folder, "init", "--quiet", "-b", "main", str(self.root))
        self.git(self.root, "config", "core.hooksPath", str(self.hooks))

    def git(self, folder, *words, bundle=False):
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        if not bundle:
            env |= {"GITSYNC_ROOT": str(self.root), "GITSYNC_LINK": "repo"}
        author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", *author, *words],  # noqa: S607
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == "" or "HEAD is now" in done.stderr, done.stderr
        return done.stdout.strip()

    def commit(self, files):
        for path, text in files.items():
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink() if text is None else target.write_text(text)
        self.git(self.root, "add", "--all", ":!repo", ":!worktrees")
        self.git(self.root, "commit", "--quiet", "-m", "Change")
        return self.git(self.root, "rev-parse", "HEAD")

    def sync(self, commit):
        """The steps of git-sync v4: createWorktree, configureWorktree, publishSymlink."""
        checkout = self.root / "worktrees" / commit
        add = ["worktree", "add", "--quiet", "--force", "--detach", str(checkout), commit]
        self.git(self.root, *add, "--no-checkout")
        self.git(checkout, "reset", "--quiet", "--hard", commit, "--")
        link = self.root / "repo"
        link.unlink(missing_ok=True)
        link.symlink_to(checkout)

    def age(self):
        """Make all files old, as if Airflow had parsed them."""
        for path in (self.root / "repo").resolve().rglob("*.py"):
            os.utime(path, (PAST, PAST))

    def new(self):
        """Files that Airflow would parse."""
        repo = (self.root / "repo").resolve()
        return {str(p.relative_to(repo)) for p in repo.rglob("*.py") if p.stat().st_mtime != PAST}


@pytest.fixture
def pod(tmp_path):
    made = Pod(tmp_path)
    made.sync(made.commit({"dags/a.py": "a", "dags/b b.py": "b", "lib/\u00e4.py": "c"}))
    made.age()
    return made


def test_in_the_first_checkout_every_file_is_new(tmp_path):
    pod = Pod(tmp_path)
    pod.sync(pod.commit({"dags/a.py": "a"}))

    assert pod.new() == {"dags/a.py"}


def test_only_changed_files_are_parsed_again(pod):
    pod.sync(pod.commit({"dags/a.py": "another", "dags/new.py": "new"}))

    assert pod.new() == {"dags/a.py", "dags/new.py"}
    assert (pod.root / "repo" / "dags" / "a.py").read_text() == "another"
    assert (pod.root / "repo" / "dags" / "b b.py").read_text() == "b"


def test_unparsed_changes_stay_new_in_the_next_checkout(pod):
    pod.sync(pod.commit({"dags/a.py": "another"}))
    pod.sync(pod.commit({"dags/b b.py": "another"}))

    assert pod.new() == {"dags/a.py", "dags/b b.py"}


def test_a_moved_file_is_new(pod):
    pod.sync(pod.commit({"dags/a.py": None, "dags/moved.py": "a"}))

    assert pod.new() == {"dags/moved.py"}


def test_after_a_commit_without_changes_no_file_is_parsed(pod):
    pod.git(pod.root, "commit", "--quiet", "--allow-empty", "-m", "Release")
    pod.sync(pod.git(pod.root, "rev-parse", "HEAD"))

    assert pod.new() == set()


def test_a_missing_previous_checkout_is_harmless(pod):
    before = (pod.root / "repo").resolve()
    (pod.root / "repo").unlink()
    (pod.root / "repo").symlink_to(before.with_name("0" * 40))
    before.with_name("0" * 40).mkdir()

    pod.sync(pod.commit({"dags/a.py": "another"}))

    assert pod.new() == {"dags/a.py", "dags/b b.py", "lib/\u00e4.py"}


MODULE = "dags/team/_rates.py"
OTHER = "dags/other.py"  # depends on nothing


@pytest.mark.parametrize(
    "text",
    [
        "from _rates import rate\n",
        "import team._rates as rates\n",
        "from team import _rates\n",
        "from .team._rates import rate, other\n",
        "from . import (\n    first,\n    _rates as rates,  # why\n)\n",
        "from team import (first, _rates)\n",
        "try:\n    from team._rates import rate\nexcept ImportError:\n    pass\n",
        "rates = importlib.import_module('team._rates')\n",
    ],
)
def test_files_that_import_a_changed_module_are_parsed(pod, text):
    pod.sync(pod.commit({"dags/reader.py": text, MODULE: "1", OTHER: "# _rates\n"}))
    pod.age()
    pod.sync(pod.commit({MODULE: "2"}))

    assert pod.new() == {MODULE, "dags/reader.py"}


def test_files_that_import_a_deleted_module_are_parsed(pod):
    pod.sync(pod.commit({"dags/reader.py": "import _rates\n", "dags/_rates.py": "1"}))
    pod.age()
    pod.sync(pod.commit({"dags/_rates.py": None}))

    assert pod.new() == {"dags/reader.py"}


def test_modules_between_a_change_and_a_dag_are_followed(pod):
    files = {
        "dags/team/__init__.py": "from ._rates import rate\n",
        MODULE: "1",
        "dags/reader.py": "from team import rate\n",
        OTHER: "from airflow.sdk import dag\n",
    }
    pod.sync(pod.commit(files))
    pod.age()
    pod.sync(pod.commit({MODULE: "2"}))

    assert pod.new() == {MODULE, "dags/team/__init__.py", "dags/reader.py"}


def test_a_dag_file_affects_no_file_that_only_mentions_it(pod):
    files = {
        "dags/task.py": "1",
        "dags/other.py": "from airflow.sdk import task\n# task\nTriggerDagRunOperator('task')\n",
    }
    pod.sync(pod.commit(files))
    pod.age()
    pod.sync(pod.commit({"dags/task.py": "2"}))

    assert pod.new() == {"dags/task.py"}


@pytest.mark.parametrize(
    "text",
    [
        "Path(__file__).with_name('tables.yaml')\n",
        'open("../include/tables.yaml")\n',
        "(Path(__file__).parents[1] / 'include').iterdir()\n",
        "glob('**/*.yaml')\n",
    ],
)
def test_files_that_read_a_changed_data_file_are_parsed(pod, text):
    data = "include/tables.yaml"
    pod.sync(pod.commit({"dags/reader.py": text, data: "a: 1", OTHER: "'tables'\n"}))
    pod.age()
    pod.sync(pod.commit({data: "a: 2"}))

    assert pod.new() == {"dags/reader.py"}


def test_names_that_are_no_plain_text_are_harmless(pod):
    pod.sync(pod.commit({"dags/reader.py": "open('a+(b.sql')\n"}))
    pod.age()
    pod.sync(pod.commit({"dags/a+(b.sql": "1", "dags/[c.py": "1", "a b/\u00e4.txt": "1"}))

    assert pod.new() == {"dags/reader.py", "dags/[c.py"}


def test_in_a_bundle_files_that_import_a_change_are_parsed(tmp_path):
    """GitDagBundle resets one checkout: Git gives only changed files a new time."""
    pod = Pod(tmp_path)
    pod.commit({"dags/reader.py": "import _rates\n", "dags/_rates.py": "1", OTHER: "1"})
    checkout = tmp_path / "checkout"
    pod.git(tmp_path, "clone", "--quiet", str(pod.root), str(checkout))
    pod.git(checkout, "config", "core.hooksPath", str(pod.hooks))
    for path in checkout.rglob("*.py"):
        os.utime(path, (PAST, PAST))
    pod.git(checkout, "update-index", "--refresh")
    commit = pod.commit({"dags/_rates.py": "2"})
    pod.git(checkout, "fetch", "--quiet")
    pod.git(checkout, "reset", "--quiet", "--hard", commit, "--", bundle=True)

    new = {
        str(p.relative_to(checkout)) for p in checkout.rglob("*.py") if p.stat().st_mtime != PAST
    }
    assert new == {"dags/_rates.py", "dags/reader.py"}
    assert (checkout / "dags" / "_rates.py").read_text() == "2"

    times = {path: path.stat().st_mtime for path in checkout.rglob("*.py")}
    pod.git(checkout, "reset", "--quiet", "--hard", commit, "--", bundle=True)
    assert times == {path: path.stat().st_mtime for path in times}, "Airflow resets it each second"


def test_a_change_during_a_parse_is_newer_than_its_end(pod):
    pod.sync(pod.commit({"dags/reader.py": "import _rates\n", "dags/_rates.py": "1"}))
    pod.age()
    pod.sync(pod.commit({"dags/_rates.py": "2"}))

    ahead = (pod.root / "repo" / "dags" / "reader.py").stat().st_mtime - time.time()
    assert 3 < ahead <= 5, "Airflow compares it with the end of the last parse"
