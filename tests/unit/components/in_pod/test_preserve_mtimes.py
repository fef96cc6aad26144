"""The Git hook of Airflow's pods, with checkouts as git-sync creates them."""

import os
import subprocess

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

    def git(self, folder, *words):
        env = {
            **os.environ,
            "GITSYNC_ROOT": str(self.root),
            "GITSYNC_LINK": "repo",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
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


def test_a_missing_previous_checkout_is_harmless(pod):
    before = (pod.root / "repo").resolve()
    (pod.root / "repo").unlink()
    (pod.root / "repo").symlink_to(before.with_name("0" * 40))
    before.with_name("0" * 40).mkdir()

    pod.sync(pod.commit({"dags/a.py": "another"}))

    assert pod.new() == {"dags/a.py", "dags/b b.py", "lib/\u00e4.py"}
