"""The scripts that publish a commit in the relay, with real Git."""

import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops.stack_files import ROOT
from tests.harness.relay_gate import free_port, running_gate
from tests.harness.waiting import wait_for

SCRIPTS = ROOT / "components" / "in_pod"
GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
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
    """A checkout as git-sync creates it, the published repository, and the scripts."""

    def __init__(self, folder, gate):
        folder.mkdir(exist_ok=True)
        self.gate = gate
        self.checkout = folder / "checkout"
        self.published = folder / "dags.git"
        git(folder, "init", "--quiet", "-b", "main", str(self.checkout))
        for name in ("fetch", "publish", "combine", "renew"):
            shutil.copy(SCRIPTS / f"dag_relay_{name}.sh", folder / name)
            (folder / name).chmod(0o755)

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
            [str(self.published.with_name("publish"))],
            cwd=self.checkout,
            env={
                **os.environ,
                **GIT,
                "GITSYNC_HASH": git(self.checkout, "rev-parse", "HEAD"),
                "PUBLISHED": str(self.published),
                "REJECTED": str(self.rejected),
                "BRANCH": "dags",
                "SUB_PATH": "dags",
                "GATE_PORT": str(self.gate),
                "GIT_CONFIG_SYSTEM": str(SCRIPTS / "gitconfig"),
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def rejected(self):
        return self.published.with_name("rejected")

    @property
    def head(self):
        return git(self.published, "rev-parse", "dags")

    def read(self, path):
        return git(self.published, "show", f"dags:{path}")


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("relay")
    with running_gate(folder, MAX_MB=4, MAX_FILE_MB=2, MAX_FILES=20) as port:
        yield port


@pytest.fixture
def repository(tmp_path, gate):
    return Repository(tmp_path, gate)


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


def refused(repository, **env):
    """The reason why a commit is not published; the last good one must stay."""
    good = repository.head
    bad = git(repository.checkout, "rev-parse", "HEAD")
    status, output = repository.publish(**env)
    prefix = f"commit {bad} is not published, the last good one stays: "
    assert (status, output[: len(prefix)]) == (1, prefix), output
    assert repository.head == good
    assert repository.rejected.read_text() == output, "`make dags` shows it"
    return output.removeprefix(prefix).rstrip()


@pytest.fixture
def good(repository):
    repository.commit({"dags/a.py": "good"})
    assert published(repository.publish())
    return repository


def test_a_commit_without_the_dag_folder_is_not_published(good):
    git(good.checkout, "mv", "dags", "dag")
    good.commit()

    assert refused(good) == "it has no folder dags (dags.sub_path)"


def test_all_mistakes_of_a_commit_are_reported_at_once(good):
    (good.checkout / "dags" / "above").symlink_to("..")
    good.commit({"data/one.bin": "0" * 3_000_000, "data/two.bin": "0" * 1_500_000})

    assert refused(good) == (
        "its files are 5 MiB together, and dags.max_mb is 4; the largest are data/one.bin (3 MiB), "
        "data/two.bin (2 MiB), dags/a.py (1 MiB); "
        "dags/above: the link to .. leads Airflow to the folder dags a second time, and its DAG "
        "processor ends at that; replace it with a copy; "
        "data/one.bin: the file has 3 MiB, and dags.max_file_mb is 2: every worker copies it; keep "
        "data in an object store"
    )


def test_the_next_good_commit_is_published_after_a_bad_one(good):
    link = good.checkout / "dags" / "above"
    link.symlink_to("..")
    good.commit({"big.bin": "0" * 3_000_000})
    assert refused(good)
    link.unlink()
    (good.checkout / "big.bin").unlink()
    commit = good.commit()

    assert published(good.publish())
    assert good.head == commit
    assert not good.rejected.exists(), "`make dags` would still show the reason"


def test_a_mistake_in_a_submodule_is_one_of_the_commit(with_submodules):
    assert published(with_submodules.publish())
    inner = with_submodules.checkout / "dags" / "shared code" / "lib" / "inner"
    (inner / "again").symlink_to("../..")
    for folder in (inner, inner.parents[1], with_submodules.checkout):
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "-m", "Change")

    assert "dags/shared code/lib/inner/again: the link to ../.. leads" in refused(with_submodules)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


@pytest.mark.parametrize(("lfs", "counts"), [("false", False), ("true", True)])
def test_a_pointer_of_lfs_counts_as_what_the_pods_get(good, lfs, counts):
    good.commit({"dags/big.bin": POINTER.format("0" * 64, 3_000_000)})

    status, output = good.publish(LFS=lfs)
    assert ("dags/big.bin: the file has 3 MiB" in output) is counts, "the gate reads the pointer"
    assert counts or status == 0


def test_a_commit_waits_for_the_gate(good):
    commit = good.commit({"dags/a.py": "new"})

    status, output = good.publish(GATE_PORT=str(free_port()))
    assert status == 1
    assert f"commit {commit} waits: the container gate gives no answer: " in output
    assert not good.rejected.exists(), "the commit is not to blame"
    assert published(good.publish())


def test_only_a_complete_answer_of_the_gate_counts(good):
    good.commit({"dags/a.py": "new"})
    with socket.create_server(("127.0.0.1", 0)) as killed, ThreadPoolExecutor() as pool:
        result = pool.submit(good.publish, GATE_PORT=str(killed.getsockname()[1]))
        killed.accept()[0].close()

    assert result.result()[0] == 1


def test_large_files_are_kept_in_packs(good):
    good.commit({"dags/big.bin": os.urandom(500_000).hex()})
    assert published(good.publish())

    counted = git(good.published, "count-objects", "-v").splitlines()
    assert "count: 0" in counted, "a loose object is compressed again for each client"


def test_an_interrupted_first_publish_starts_over(repository):
    repository.commit({"dags/a.py": "one"})
    left = repository.published.with_name("dags.git.new")
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


@pytest.fixture
def bundle(repository, tmp_path):
    """A worker's fetch, as Airflow's GitDagBundle does it: whether it gets a commit."""

    def fetches(commit):
        worker = tmp_path / "worker.git"
        shutil.rmtree(worker, ignore_errors=True)
        git(tmp_path, "clone", "--quiet", "--bare", repository.published.as_uri(), str(worker))
        git(worker, "fetch", "--quiet", "origin", "+refs/heads/*:refs/heads/*")
        try:
            git(worker, "cat-file", "-e", f"{commit}^{{commit}}")
        except subprocess.CalledProcessError:
            return False
        return True

    return fetches


def test_a_bundle_fetches_the_versions_before_forced_pushes(repository, bundle):
    versions = []
    for number in range(4):
        versions.append(repository.commit({"dags/a.py": str(number)}, amend=number > 0))
        assert published(repository.publish(KEEP="true"))

    assert repository.head == versions[-1]
    assert [bundle(version) for version in versions] == [True] * 4


def test_a_bundle_fetches_all_versions_with_submodules(with_submodules, bundle):
    versions = []
    for number in range(3):
        with_submodules.commit({"dags/a.py": str(number)}, amend=number == 2)
        assert published(with_submodules.publish(KEEP="true"))
        versions.append(with_submodules.head)

    assert [bundle(version) for version in versions] == [True] * 3


def test_a_bundle_fetches_the_version_before_a_rollback(repository, bundle):
    old = repository.commit({"dags/a.py": "old"})
    new = repository.commit({"dags/a.py": "new"})
    assert published(repository.publish(KEEP="true"))
    git(repository.checkout, "checkout", "--quiet", old)

    assert published(repository.publish(KEEP="true"))
    assert (repository.head, bundle(new)) == (old, True)


def test_a_plain_push_keeps_nothing_more(repository):
    for text in ("one", "two"):
        repository.commit({"dags/a.py": text})
        assert published(repository.publish(KEEP="true"))

    assert "kept" not in git(repository.published, "for-each-ref")


def test_git_sync_needs_no_older_versions(repository, bundle):
    old = repository.commit({"dags/a.py": "one"})
    assert published(repository.publish())
    repository.commit({"dags/a.py": "two"}, amend=True)
    assert published(repository.publish())

    assert not bundle(old), "history grows with every forced push, for nothing"


@pytest.mark.parametrize("lock", ["relay-index.lock", "refs/heads/dags.lock"])
def test_a_killed_publish_is_repeated(with_submodules, lock):
    assert published(with_submodules.publish())
    (with_submodules.published / lock).touch()
    with_submodules.commit({"dags/a.py": "two"})

    assert published(with_submodules.publish())
    assert with_submodules.read("dags/a.py") == "two"


def test_a_damaged_copy_is_made_again(good):
    shutil.rmtree(good.published / "objects" / "pack")
    commit = good.commit({"dags/a.py": "new"})

    status, output = good.publish()
    assert status != 0
    assert "is damaged: it is made again, and" in output
    assert (good.published.with_name("dags.git.damaged") / "HEAD").exists(), "for old versions"
    assert published(good.publish()), "git-sync retries"
    assert good.head == commit


@pytest.fixture
def fetching(good, tmp_path):
    """The entrypoint of git-sync's container, with another program as git-sync."""
    env = {"GITSYNC_ROOT": str(tmp_path / "sync"), "PUBLISHED": str(good.published)}
    command = [str(tmp_path / "fetch"), "sleep", "60"]
    with subprocess.Popen(  # noqa: S603 - our own script
        command,
        env={**os.environ, **GIT, **env, "BRANCH": "dags"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.terminate()


def test_git_sync_starts_again_when_the_copy_is_lost(good, fetching):
    wait_for("git-sync", lambda: command_of(fetching).startswith("sleep"), seconds=10)
    shutil.rmtree(good.published)

    assert fetching.wait(timeout=20) != 0, "git-sync publishes only when it starts"
    assert "is lost or damaged: git-sync starts again" in fetching.stderr.read()


def command_of(process):
    return Path(f"/proc/{process.pid}/cmdline").read_text()


def test_parts_of_packs_are_removed_at_the_start(good, tmp_path):
    left = good.published / "objects" / "incoming-killed"
    left.mkdir()
    (good.published / "objects" / "pack" / "tmp_pack_killed").touch()
    env = {"GITSYNC_ROOT": str(tmp_path / "sync"), "PUBLISHED": str(good.published)}

    command = [str(tmp_path / "fetch"), "true"]
    subprocess.run(command, env={**os.environ, **GIT, **env, "BRANCH": "dags"}, check=True)  # noqa: S603
    assert not left.exists(), "it would fill the volume"
    assert list(good.published.glob("objects/pack/tmp_*")) == []
    assert good.head


class Combined:
    """Several repositories and the tree that git-sync's pods follow."""

    def __init__(self, folder, gate):
        self.folder = folder
        self.main = Repository(folder / "main", gate)
        self.others = {name: Repository(folder / name, gate) for name in ("sales", "research")}
        self.env = {
            "MAIN": str(self.main.published),
            "OTHERS": " ".join(str(other.published) for other in self.others.values()),
            "COMBINED": str(folder / "combined.git"),
            "BRANCH": "dags",
        }

    def publish(self, repository):
        reserved = "repositories" if repository is self.main else ""
        return repository.publish(**self.env, RESERVED=reserved)

    def start(self):
        """What each container runs at its start."""
        combine = str(self.main.published.with_name("combine"))
        subprocess.run([combine], env={**os.environ, **GIT, **self.env}, check=True)  # noqa: S603

    def files(self):
        listed = git(self.folder / "combined.git", "ls-tree", "-r", "--name-only", "dags")
        return listed.splitlines()

    def read(self, path):
        return git(self.folder / "combined.git", "show", f"dags:{path}")


@pytest.fixture
def combined(tmp_path, gate):
    combined = Combined(tmp_path, gate)
    for repository in (combined.main, *combined.others.values()):
        repository.commit({"dags/a.py": "one", "plugins/b.py": "two"})
    return combined


def test_git_sync_gets_each_repository_in_its_folder(combined):
    for repository in (*combined.others.values(), combined.main):
        assert published(combined.publish(repository))

    folders = ("", "repositories/research/", "repositories/sales/")
    assert combined.files() == [
        f"{f}{name}" for f in folders for name in ("dags/a.py", "plugins/b.py")
    ]


def test_a_push_changes_only_its_own_folder(combined):
    sales, research = combined.others.values()
    for repository in (combined.main, sales, research):
        assert published(combined.publish(repository))
    sales.commit({"dags/a.py": "new"})

    assert published(combined.publish(sales))
    assert combined.read("repositories/sales/dags/a.py") == "new"
    assert combined.read("repositories/research/dags/a.py") == combined.read("dags/a.py") == "one"


def test_a_rejected_commit_stops_only_its_own_repository(combined):
    sales, research = combined.others.values()
    for repository in (combined.main, sales):
        assert published(combined.publish(repository))
    (sales.checkout / "dags" / "above").symlink_to("..")
    sales.commit()
    assert combined.publish(sales)[0] == 1

    assert published(combined.publish(research)), "it was not there at first"
    combined.main.commit({"dags/a.py": "new"})
    assert published(combined.publish(combined.main))
    assert combined.read("dags/a.py") == "new"
    assert combined.read("repositories/sales/dags/a.py") == "one", "the last good commit"
    assert combined.read("repositories/research/dags/a.py") == "one"


def test_the_combined_tree_is_made_again_in_a_new_pod(combined):
    for repository in (combined.main, *combined.others.values()):
        assert published(combined.publish(repository))
    before = git(combined.folder / "combined.git", "rev-parse", "dags")
    shutil.rmtree(combined.folder / "combined.git")

    combined.start()
    assert git(combined.folder / "combined.git", "rev-parse", "dags") == before


def test_nothing_is_served_before_the_first_repository(combined):
    sales, _ = combined.others.values()
    assert published(combined.publish(sales))

    assert not (combined.folder / "combined.git").exists(), "pods would lose the DAGs of dags.repo"


def test_a_damaged_repository_is_not_combined_with_others(combined):
    sales, research = combined.others.values()
    for repository in (combined.main, sales, research):
        assert published(combined.publish(repository))
    (sales.published / "refs" / "heads" / "dags").write_text("f" * 40)
    combined.main.commit({"dags/a.py": "new"})

    assert published(combined.publish(combined.main))
    assert combined.read("dags/a.py") == "new"


def test_a_repository_cannot_replace_another(combined):
    sales, _ = combined.others.values()
    assert published(combined.publish(combined.main))
    assert published(combined.publish(sales))
    combined.main.commit({"repositories/sales/dags/a.py": "of the first"})

    status, output = combined.publish(combined.main)
    assert status == 1
    assert "its folder repositories would hide dags.repositories: rename it" in output
    assert combined.read("repositories/sales/dags/a.py") == "one"


def test_concurrent_pushes_are_all_combined(combined):
    repositories = [combined.main, *combined.others.values()]
    for repository in repositories:
        assert published(combined.publish(repository))
    for number in range(3):
        for repository in repositories:
            repository.commit({"dags/a.py": f"version {number}"})
        with ThreadPoolExecutor() as pool:
            assert all(map(published, pool.map(combined.publish, repositories)))

        folders = ("", "repositories/sales/", "repositories/research/")
        assert {combined.read(f"{f}dags/a.py") for f in folders} == {f"version {number}"}
