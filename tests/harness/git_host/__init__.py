"""A Git host in the test cluster, and its admin API."""

import base64
import io
import json
import tempfile
import urllib.request
import zipfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from settings.airflow import AirflowSettings
from tests.harness.clone import Clone
from tests.harness.cluster import Cluster

NAME = "git-host"
HTTPS = f"https://{NAME}.{NAME}.svc"
SSH = f"ssh://git@{NAME}.{NAME}.svc"
# What git-sync calls --github-base-url.
GITHUB_API = f"{HTTPS}/api/v3/"
SERVER = Path(__file__).with_name("server.py")
PACKAGES = ("asyncssh", "typing_extensions")


def packages() -> bytes:
    """The server's dependencies that Airflow's image lacks, as a zip file for PYTHONPATH."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in PACKAGES:
            spec = find_spec(name)
            assert spec is not None, f"{name} is not installed: run `make .venv/lock`"
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
    for resource in objects:
        if resource["kind"] == "Pod":
            resource["spec"]["containers"][0]["image"] = image
        if resource["kind"] == "ConfigMap":
            resource["data"] = {"server.py": SERVER.read_text()}
            resource["binaryData"] = {"packages.zip": base64.b64encode(packages()).decode()}
    return objects


@dataclass(frozen=True, kw_only=True)
class GitHost:
    """A running Git host, by its forwarded ports."""

    admin_port: int
    https_port: int

    @classmethod
    @contextmanager
    def install(cls, cluster: Cluster) -> Generator["GitHost"]:
        """An empty Git host, removed at the end."""
        cls.remove(cluster)
        try:
            listed = {
                "apiVersion": "v1",
                "kind": "List",
                "items": manifest(AirflowSettings().image_reference),
            }
            # Server-side: the ConfigMap exceeds the size of kubectl's annotation.
            cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))
            cluster.kubectl(
                "-n", NAME, "wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=120s"
            )
            # Separately: kubectl ends a port-forward when one of its connections breaks.
            forward = partial(cluster.forward, f"pod/{NAME}", namespace=NAME)
            with forward(8000) as admin, forward(8443) as https:
                yield cls(admin_port=admin, https_port=https)
        finally:
            cls.remove(cluster)

    @staticmethod
    def remove(cluster: Cluster) -> None:
        cluster.kubectl("delete", "namespace", NAME, "--ignore-not-found")

    def settings(self, path: str, folder: Path) -> dict[str, str]:
        """Settings `dags` of a stack that follows a repository. Writes the CA into the folder."""
        ca = folder / "git-host.pem"
        ca.write_text(self.ca())
        return {"repo": f"{HTTPS}/{path}", "ca_file": str(ca)}

    def create(self, path: str) -> None:
        """Create an empty repository: public/NAME.git or private/NAME.git."""
        self._ask("POST", "/repositories", path=path)

    @contextmanager
    def clone(self, path: str) -> Generator[Clone]:
        """A clone with the right to push."""
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as ca:
            ca.write(self.ca())
            ca.flush()
            url = f"https://admin:{self.admin_token()}@127.0.0.1:{self.https_port}/{path}"
            with Clone.of(url, Path(ca.name)) as clone:
                yield clone

    def commit(self, path: str, files: dict[str, str]) -> str:
        """Commit files to a repository's branch main and push; the ID of the commit."""
        with self.clone(path) as clone:
            return clone.push(files)

    def admin_token(self) -> str:
        """The password with write access to all repositories, for any user name."""
        return self._ask("GET", "/admin-token")

    def accept_token(self, token: str, users: Iterable[str]) -> None:
        """Replace the accepted password of private repositories, and its users."""
        self._ask("PUT", "/token", token=token, users=list(users))

    def accept_app(
        self, public_key: str, issuer: str, installation: int, lifetime_seconds: float
    ) -> None:
        """Accept a GitHub App. The issuer is its client ID; `lifetime_seconds` is its tokens'."""
        self._ask(
            "PUT",
            "/app",
            public_key=public_key,
            issuer=issuer,
            installation=installation,
            lifetime_seconds=lifetime_seconds,
        )

    def accept_ssh_key(self, public_key: str) -> None:
        """Replace the accepted SSH key, a line of a .pub file."""
        self._ask("PUT", "/ssh-key", public_key=public_key)

    def change_ssh_host_key(self) -> None:
        self._ask("POST", "/ssh-host-key")

    def known_hosts(self) -> str:
        return self._ask("GET", "/known-hosts")

    def ca(self) -> str:
        return self._ask("GET", "/ca.pem")

    def behave(self, *, delay_seconds: float = 0, down: bool = False) -> None:
        """Delay each HTTPS request, or refuse connections. Without arguments, work normally.

        The admin API is not affected, but `commit` is, and a refused connection may end
        kubectl's port-forward.
        """
        self._ask("PUT", "/behavior", delay_seconds=delay_seconds, down=down)

    def requests(self) -> list[dict[str, Any]]:
        """Requests since `forget_requests`: time, service, path, status."""
        return self._ask("GET", "/requests")

    def forget_requests(self) -> None:
        self._ask("DELETE", "/requests")

    def _ask(self, method: str, path: str, /, **content: Any) -> Any:
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        body = json.dumps(content).encode() if content else None
        request = urllib.request.Request(url, method=method, data=body)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
