"""The check of `airflow.sso`, against a provider on localhost."""

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from components.in_pod import sso_check

SECRET = "hunter2-of-the-client"


class Provider(BaseHTTPRequestHandler):
    """Answers as Keycloak 26.4 does: 401 for a wrong secret, else 400 for the unknown code."""

    def do_GET(self):
        tokens = f"http://127.0.0.1:{self.server.server_port}/token"
        self._answer(*self.server.discovery(tokens))

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        right = "Basic YWlyZmxvdzpodW50ZXIyLW9mLXRoZS1jbGllbnQ="  # airflow:<SECRET>
        accepted = self.headers["Authorization"] == right
        error = "invalid_grant" if accepted else "unauthorized_client"
        self._answer(400 if accepted else 401, {"error": error})

    def _answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): ...


@pytest.fixture
def check(monkeypatch, tmp_path, capsys):
    """Run the check against a provider; the message for Pulumi, or None."""
    server = HTTPServer(("127.0.0.1", 0), Provider)
    issuer = f"http://127.0.0.1:{server.server_port}/realms/example"
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(*, secret=SECRET, status=200, issuer_found=issuer, authlib=True):
        server.discovery = lambda tokens: (
            status,
            {"issuer": issuer_found, "token_endpoint": tokens},
        )
        sso = {
            "issuer": issuer,
            "discovery_url": f"{issuer}/.well-known/openid-configuration",
            "client_id": "airflow",
            "redirect_uri": "https://a.example/auth/oauth-authorized/sso",
            "ca_path": None,
        }
        reason = tmp_path / "reason"
        monkeypatch.setattr(
            sso_check.importlib.util, "find_spec", lambda _: object() if authlib else None
        )
        for name, value in {
            "AIRFLOW_SSO": json.dumps(sso),
            "AIRFLOW_SSO_CLIENT_SECRET": secret,
            "REASON_FILE": str(reason),
        }.items():
            monkeypatch.setenv(name, value)
        with suppress(SystemExit):
            sso_check.main()
        return reason.read_text() if reason.exists() else None

    yield run
    server.shutdown()
    server.server_close()


def test_a_provider_that_knows_the_client_is_accepted(check):
    assert check() is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"authlib": False}, "airflow.image: the image lacks the Python package authlib"),
        ({"status": 404}, "airflow.sso.issuer: no discovery document at http://127.0.0.1:"),
        ({"issuer_found": "https://other"}, "airflow.sso.issuer: should be https://other"),
        ({"secret": "wrong"}, "sso_client_secret: http://127.0.0.1:"),
    ],
)
def test_what_is_not_ready_is_named_with_its_setting(check, given, message):
    text = check(**given)

    assert text.startswith(message)
    assert SECRET not in text


def test_all_mistakes_are_reported_together(check):
    found = check(authlib=False, secret="wrong").splitlines()

    assert [line.partition(":")[0] for line in found] == ["airflow.image", "sso_client_secret"]


def test_an_unreachable_provider_names_the_ca_file():
    (text,) = sso_check.refusal(
        {"issuer": "x", "discovery_url": "http://127.0.0.1:1/x", "ca_path": None}, SECRET
    )

    assert "pods of the cluster must reach this address" in text
    assert "airflow.sso.ca_file" in text
