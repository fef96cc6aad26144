"""Clones of Git repositories, to push from."""

import os
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness.cluster import Cluster

# Excludes the configuration of the user who runs the tests, such as signed commits.
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@localhost",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@localhost",
}


@dataclass(frozen=True, kw_only=True)
class Clone:
    folder: Path
    ca: Path | None

    @classmethod
    @contextmanager
    def of(cls, url: str, ca: Path | None = None) -> Generator["Clone"]:
        with tempfile.TemporaryDirectory() as folder:
            clone = cls(folder=Path(folder), ca=ca)
            clone.git("clone", "--quiet", url, ".")
            yield clone

    def git(self, *words: str) -> str:
        env = ENVIRONMENT | ({"GIT_SSL_CAINFO": str(self.ca)} if self.ca else {})
        done = subprocess.run(
            ["git", *words],
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str | None], *words: str) -> str:
        """Write files, or delete those whose text is None; the ID of the commit."""
        for name, text in files.items():
            file = self.folder / name
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        self.git("add", "--all")
        # Several test modules create the same repository.
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change", *words)
        return self.git("rev-parse", "HEAD")

    def push(self, files: Mapping[str, str | None]) -> str:
        """Commit and push to the branch main; the ID of the commit."""
        commit = self.commit(files)
        # The Git host accepts no chunked request, which Git sends for a larger pack.
        self.git("-c", f"http.postBuffer={200 * 2**20}", "push", "--quiet", "origin", "HEAD:main")
        return commit


@contextmanager
def clone_of_git_server(cluster: Cluster) -> Generator[Clone]:
    """A clone of the repository on the stack's own Git server."""
    with (
        cluster.forward("svc/git-server", 9418) as port,
        Clone.of(f"git://127.0.0.1:{port}/dags.git") as clone,
    ):
        yield clone
