"""A Git host in the cluster of a test, and what a test may ask of it."""

import base64
import io
import json
import os
import subprocess
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from settings.airflow import AirflowSettings
from tests.harness.cluster import Cluster

NAME = "git-host"
HTTPS = f"https://{NAME}.{NAME}.svc"
SSH = f"ssh://git@{NAME}.{NAME}.svc"
# What git-sync calls --github-base-url.
GITHUB_API = f"{HTTPS}/api/v3/"
SERVER = Path(__file__).with_name("server.py")
PACKAGES = ("asyncssh", "typing_extensions")


def packages() -> bytes:
    """What the server needs besides Airflow's image, as a zip file for PYTHONPATH."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in PACKAGES:
            spec = find_spec(name)
            assert spec is not None, f"{name}: make .venv/lock"
            assert spec.origin is not None
            origin = Path(spec.origin)
            if spec.submodule_search_locations is None:
                archive.write(origin, origin.name)
                continue
            for file in sorted(origin.parent.rglob("*.py")):
                archive.write(file, file.relative_to(origin.parents[1]))
    return content.getvalue()


def manifest(image: str) -> list[dict[str, Any]]:
    objects = list(yaml.safe_load_all(SERVER.with_name("pod.yaml").read_text()))
    for one in objects:
        if one["kind"] == "Pod":
            one["spec"]["containers"][0]["image"] = image
        if one["kind"] == "ConfigMap":
            one["data"] = {"server.py": SERVER.read_text()}
            one["binaryData"] = {"packages.zip": base64.b64encode(packages()).decode()}
    return objects


@dataclass(frozen=True, kw_only=True)
class GitHost:
    """A Git host that runs, by its ports on loopback."""

    admin_port: int
    https_port: int

    @classmethod
    @contextmanager
    def install(cls, cluster: Cluster) -> Iterator["GitHost"]:
        """A new one, with no repositories; at the end it is removed."""
        cls.remove(cluster)
        try:
            listed = {
                "apiVersion": "v1",
                "kind": "List",
                "items": manifest(AirflowSettings().image_reference),
            }
            # On the server's side: the ConfigMap is too big for the annotation that kubectl keeps.
            cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))
            cluster.kubectl(
                "-n", NAME, "wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=120s"
            )
            # Each on its own: kubectl ends a forward when one connection of it breaks.
            forward = partial(cluster.forward, f"pod/{NAME}", namespace=NAME)
            with forward(8000) as admin, forward(8443) as https:
                yield cls(admin_port=admin, https_port=https)
        finally:
            cls.remove(cluster)

    @staticmethod
    def remove(cluster: Cluster) -> None:
        cluster.kubectl("delete", "namespace", NAME, "--ignore-not-found")

    def settings(self, path: str, folder: Path) -> dict[str, str]:
        """What a stack needs under `dags` to follow a repository; its CA goes into a file in the folder."""
        ca = folder / "git-host.pem"
        ca.write_text(self.ca())
        return {"repo": f"{HTTPS}/{path}", "ca_file": str(ca)}

    def create(self, path: str) -> None:
        """An empty repository: public/NAME.git or private/NAME.git."""
        self._ask("POST", "/repositories", {"path": path})

    @contextmanager
    def clone(self, path: str) -> "Iterator[Clone]":
        """A clone of a repository, as somebody has it who may push."""
        with tempfile.TemporaryDirectory() as folder:
            ca = Path(folder) / "ca.pem"
            ca.write_text(self.ca())
            url = f"https://admin:{self.admin_token()}@127.0.0.1:{self.https_port}/{path}"
            clone = Clone(folder=Path(folder) / "work", ca=ca)
            _git(ca, "clone", "--quiet", url, str(clone.folder))
            yield clone

    def commit(self, path: str, files: dict[str, str]) -> str:
        """Write files into a repository's branch main, and push, as the user admin; the ID of the commit."""
        with self.clone(path) as clone:
            return clone.push(files)

    def admin_token(self) -> str:
        """The password that may push everywhere, with any user name."""
        return self._ask("GET", "/admin-token")

    def accept_token(self, token: str | None, users: Iterable[str] | None = None) -> None:
        """The one password for private repositories from now on; None accepts none."""
        named = {} if users is None else {"users": list(users)}
        self._ask("PUT", "/token", {"token": token, **named})

    def accept_app(
        self, public_key: str, issuer: str, installation: int, lifetime_seconds: float = 3600
    ) -> None:
        """A GitHub App by its public key (PEM); the issuer is its client ID or its number."""
        said = {"public_key": public_key, "issuer": issuer, "installation": installation}
        self._ask("PUT", "/app", {**said, "lifetime_seconds": lifetime_seconds})

    def accept_ssh_key(self, public_key: str | None) -> None:
        """The one key for SSH from now on, as a line of an .pub file; None accepts none."""
        self._ask("PUT", "/ssh-key", {"public_key": public_key})

    def change_ssh_host_key(self) -> str:
        """The new line for known_hosts."""
        return self._ask("POST", "/ssh-host-key")

    def known_hosts(self) -> str:
        return self._ask("GET", "/known-hosts")

    def ca(self) -> str:
        return self._ask("GET", "/ca.pem")

    def behave(self, *, delay_seconds: float = 0, down: bool = False) -> None:
        """Let each request wait, or close each connection; without arguments: as it should.

        The admin calls are not touched, but `commit` is: a host that is down takes none, and
        kubectl may end the forward of who tries.
        """
        self._ask("PUT", "/behaviour", {"delay_seconds": delay_seconds, "down": down})

    def requests(self) -> list[dict[str, Any]]:
        """What clients asked since `forget_requests`: time, protocol, service, path, user, status."""
        return json.loads(self._ask("GET", "/requests"))

    def forget_requests(self) -> None:
        self._ask("DELETE", "/requests")

    def _ask(self, method: str, path: str, said: Any = None) -> str:
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        body = None if said is None else json.dumps(said).encode()
        request = urllib.request.Request(url, method=method, data=body)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A work tree whose `origin` is the Git host."""

    folder: Path
    ca: Path

    def git(self, *words: str) -> str:
        author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        return _git(self.ca, "-C", str(self.folder), *author, *words).strip()

    def commit(self, files: Mapping[str, str | None], *words: str) -> str:
        """Write files, or delete them where the text is None; the ID of the commit."""
        for name, text in files.items():
            file = self.folder / name
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change", *words)
        return self.git("rev-parse", "HEAD")

    def push(self, files: Mapping[str, str | None]) -> str:
        """Commit and push to the branch main; the ID of the commit."""
        commit = self.commit(files)
        self.git("push", "--quiet", "origin", "HEAD:main")
        return commit


def _git(ca: Path, *words: str) -> str:
    # Nothing else: settings of whoever runs this, such as signed commits, stay out of it.
    env = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_SSL_CAINFO": str(ca),
    }
    done = subprocess.run(
        ["git", *words], env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"git {words}: {done.stderr}"
    return done.stdout
