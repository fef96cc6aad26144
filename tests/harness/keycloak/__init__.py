"""Keycloak in the test cluster: an OpenID Connect provider with three users in `realm.json`."""

import json
import ssl
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from tests.harness.certificates import Authority
from tests.harness.cluster import Cluster, is_ready
from tests.harness.waiting import wait_for

NAME = "keycloak"
HOST = f"{NAME}.{NAME}.svc"
ISSUER = f"https://{HOST}/realms/example"
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Keycloak:
    port: int

    @classmethod
    @contextmanager
    def install(cls, cluster: Cluster, authority: Authority) -> Generator["Keycloak"]:
        certificate, key = authority.issue(HOST)
        objects = list(yaml.safe_load_all((FOLDER / "pod.yaml").read_text()))
        (config,) = [resource for resource in objects if resource["kind"] == "ConfigMap"]
        realm = (FOLDER / "realm.json").read_text()
        config["data"] = {"realm.json": realm, "tls.crt": certificate, "tls.key": key}
        items = {"apiVersion": "v1", "kind": "List", "items": objects}
        cls.remove(cluster)
        try:
            cluster.kubectl("apply", "-f", "-", stdin=json.dumps(items))
            yield from cls._started(cluster)
        finally:
            cls.remove(cluster)

    @classmethod
    def _started(cls, cluster: Cluster) -> Generator["Keycloak"]:
        wait_for("Keycloak", lambda: cls._ready(cluster), seconds=500)
        with cluster.forward(f"pod/{NAME}", 8443, namespace=NAME) as port:
            yield cls(port)

    @staticmethod
    def _ready(cluster: Cluster) -> bool:
        (pod,) = cluster.get("pods", namespace=NAME)
        assert pod["status"]["phase"] != "Failed", cluster.kubectl("-n", NAME, "logs", NAME)
        return is_ready(pod)

    @staticmethod
    def remove(cluster: Cluster) -> None:
        cluster.kubectl("delete", "namespace", NAME, "--ignore-not-found")

    def move(self, user: str, group: str, *, member: bool) -> None:
        """Add a user to a group, or remove them from it."""
        token = self._admin_token()
        (found,) = self._ask("GET", f"users?{urlencode({'username': user})}", token)
        (into,) = self._ask("GET", f"groups?{urlencode({'search': group})}", token)
        method = "PUT" if member else "DELETE"
        self._ask(method, f"users/{found['id']}/groups/{into['id']}", token)

    def _admin_token(self) -> str:
        form = {"grant_type": "password", "client_id": "admin-cli"}
        form |= {"username": "admin", "password": "admin"}
        path = "/realms/master/protocol/openid-connect/token"
        return self._request("POST", path, urlencode(form).encode())["access_token"]

    def _ask(self, method: str, path: str, token: str) -> Any:
        return self._request(method, f"/admin/realms/example/{path}", None, token)

    def _request(self, method: str, path: str, body: bytes | None, token: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"https://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, method=method, data=body, headers=headers)
        unverified = ssl._create_unverified_context()  # noqa: S323 - through a port-forward
        with urllib.request.urlopen(request, timeout=60, context=unverified) as answer:
            return json.loads(answer.read() or "null")
