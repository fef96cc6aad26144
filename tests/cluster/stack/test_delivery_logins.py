"""Each way into a Git host: one commit arrives, and what happens when the way is closed."""

import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.harness import dags
from tests.harness.git_host import GITHUB_API, SSH
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow
FILES = {"dags/logins.py": dags.source("logins")}
PRIVATE = "private/logins.git"


@pytest.fixture(scope="module", autouse=True)
def repositories(git_host):
    for path in ("public/open.git", PRIVATE):
        git_host.create(path)
        git_host.commit(path, FILES)


@pytest.fixture
def ssh_key(tmp_path):
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "relay", "-f", str(key)], check=True
    )
    return key.read_text(), key.with_suffix(".pub").read_text()


def test_https_without_a_login(follow, git_host, relay):
    follow("public/open.git")

    commit = git_host.commit("public/open.git", {"README.md": "It is read by people"})
    relay.publishes(commit)


def test_a_token_that_expires_is_an_alert_and_a_new_one_restarts_no_task(
    follow, git_host, relay, cluster, api
):
    git_host.accept_token("first-token", users=["bot"])
    login = {"auth": {"kind": "token", "username": "bot"}}
    follow(PRIVATE, secrets={"git_token": "first-token"}, **login)
    good = git_host.commit(PRIVATE, {"README.md": "first"})
    relay.publishes(good)
    before = cluster.revisions()

    git_host.accept_token("second-token")
    late = git_host.commit(PRIVATE, {"README.md": "second"})
    relay.counts_errors()

    assert relay.published() == good
    assert api.found("dags/logins"), "the last good DAGs stay"

    follow(PRIVATE, secrets={"git_token": "second-token"}, **login)
    relay.publishes(late)
    assert cluster.revisions() == before, "no pod of Airflow knows of it"


def test_no_pod_of_airflow_and_no_value_of_the_chart_has_the_token(follow, cluster):
    pods = cluster.kubectl("-n", "airflow", "get", "pods", "-l", "release=airflow", "-o", "yaml")
    releases = cluster.get("secrets", "-l", "owner=helm,name=airflow")

    assert releases
    for text in (pods, *map(cluster.helm_release, releases)):
        assert "airflow-git" not in text
        assert "second-token" not in text


def test_ssh_with_a_deploy_key_and_a_host_that_is_known(follow, git_host, relay, ssh_key):
    private, public = ssh_key
    git_host.accept_ssh_key(public)
    login = {"kind": "ssh", "known_hosts": git_host.known_hosts()}
    follow(PRIVATE, secrets={"git_ssh_key": private}, repo=f"{SSH}/{PRIVATE}", auth=login)
    good = git_host.commit(PRIVATE, {"README.md": "over ssh"})
    relay.publishes(good)

    git_host.change_ssh_host_key()
    git_host.commit(PRIVATE, {"README.md": "from somebody else?"})
    relay.counts_errors()

    assert relay.published() == good
    assert "Host key verification failed" in relay.said()


def test_a_github_app(follow, git_host, relay):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    # A token of 40 s is renewed within the test: git-sync does it 30 s before the end.
    git_host.accept_app(public.decode(), issuer="Iv23test", installation=7, lifetime_seconds=40)
    login = {
        "kind": "github_app",
        "client_id": "Iv23test",
        "installation_id": 7,
        "api_url": GITHUB_API,
    }
    follow(PRIVATE, secrets={"github_app_key": private.decode()}, auth=login)

    relay.publishes(git_host.commit(PRIVATE, {"README.md": "with the first token"}))
    git_host.forget_requests()
    wait_for("a new token", lambda: [r for r in git_host.requests() if r["service"] == "app token"])
    relay.publishes(git_host.commit(PRIVATE, {"README.md": "with the next token"}))
