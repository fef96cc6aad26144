"""Sign-in with a real browser at a real Keycloak."""

import json
import urllib.error
import urllib.request

import pytest

from tests.cluster.sso.conftest import CLIENT_SECRET, UI
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow

PATHS = ("dags", "connections", "variables")


def allowed(browser):
    return [browser.get(f"/api/v2/{path}") for path in PATHS]


def ask(port, path, *, token=None, login=None):
    """Status and content of a request to an API server."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = json.dumps(login).encode() if login else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None


@pytest.mark.parametrize(
    ("user", "statuses"), [("alice", [200, 200, 200]), ("victor", [200, 403, 403])]
)
def test_a_group_gives_its_role(site, tmp_path, user, statuses):
    with site.signed_in(user, tmp_path) as browser:
        assert allowed(browser) == statuses
        assert browser.url.startswith(UI)

    assert len(site.balancer.requests) == 2, "both API servers took part in the sign-in"


def test_a_user_without_a_group_reads_why(site, tmp_path):
    reason = "You signed in as nora, but none of your groups has a role in Airflow"
    with site.signed_in("nora", tmp_path, shows=reason) as browser:
        assert "analysts, data-platform" in browser.text
        assert allowed(browser) == [401, 401, 401]


def test_a_changed_group_counts_at_the_next_sign_in(site, tmp_path, keycloak):
    """Airflow caches a user for 30 s."""
    keycloak.move("victor", "data-platform", member=True)
    try:
        with site.signed_in("victor", tmp_path) as browser:
            wait_for("the new role", lambda: allowed(browser) == [200, 200, 200], seconds=60)
    finally:
        keycloak.move("victor", "data-platform", member=False)
    with site.signed_in("victor", tmp_path) as browser:
        wait_for("the former role", lambda: allowed(browser) == [200, 403, 403], seconds=60)


def test_a_wrong_client_secret_changes_no_pod(site, cluster, checkout):
    before = cluster.revisions("api-server")
    checkout.configure("local", sso_client_secret="wrong")
    status, output = checkout.make("up")
    after = cluster.revisions("api-server")
    checkout.configure("local", sso_client_secret=CLIENT_SECRET)
    restored = checkout.make("up")

    assert status != 0
    assert "sso_client_secret: " in output
    assert "does not accept it for the client airflow" in output
    assert after == before, "the check runs before the release is changed"
    assert restored[0] == 0, restored[1]


def test_admin_is_break_glass_until_it_is_switched_off(site, cluster, checkout, tmp_path):
    login = {"username": "admin", "password": cluster.secret("airflow-admin", "password")}
    with cluster.forward("svc/airflow-api-server", 8080) as port:
        status, answer = ask(port, "/auth/token", login=login)
        assert status == 201
        token = answer["access_token"]
        assert ask(port, "/api/v2/connections", token=token)[0] == 200
    with site.browser() as browser:
        browser.go(f"{UI}/auth/login/")
        browser.set_cookie("_token", token)
        browser.go(f"{UI}/")
        browser.wait_for_text("Welcome")
        browser.screenshot(tmp_path / "admin.png")
        assert allowed(browser) == [200, 200, 200]

    checkout.change("local", airflow={"admin_user": False})
    checkout.up()

    with cluster.forward("svc/airflow-api-server", 8080) as port:
        wait_for(
            "the end of the token",
            lambda: ask(port, "/api/v2/connections", token=token)[0] in (401, 403),
        )
        assert ask(port, "/auth/token", login=login)[0] == 401
    secrets = {secret["metadata"]["name"] for secret in cluster.get("secrets")}
    assert "airflow-admin" not in secrets
    assert "airflow-sso" in secrets
