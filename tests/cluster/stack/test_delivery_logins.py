"""Each login to a Git host: commits arrive; when it is refused, the last good commit is kept."""

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


def test_https_works_without_a_login(follow, git_host, relay):
    follow("public/open.git")

    commit = git_host.commit("public/open.git", {"README.md": "A public change"})
    relay.wait_published(commit)


def test_an_expired_token_counts_errors_and_is_replaced(follow, git_host, relay, cluster, api):
    git_host.accept_token("first-token", users=["bot"])
    login = {"auth": {"kind": "token", "username": "bot"}}
    follow(PRIVATE, secrets={"git_token": "first-token"}, **login)
    good = git_host.commit(PRIVATE, {"README.md": "first"})
    relay.wait_published(good)
    before = cluster.revisions()

    git_host.accept_token("second-token", users=["bot"])
    late = git_host.commit(PRIVATE, {"README.md": "second"})
    relay.wait_errors()

    assert relay.published() == good
    assert api.found("dags/logins"), "the last good DAGs must stay listed"

    follow(PRIVATE, secrets={"git_token": "second-token"}, **login)
    relay.wait_published(late)
    assert cluster.revisions() == before, "a new token must not restart pods of Airflow"


def test_only_the_relay_has_the_token(follow, cluster):
    pods = cluster.kubectl("-n", "airflow", "get", "pods", "-l", "release=airflow", "-o", "yaml")
    releases = cluster.get("secrets", "-l", "owner=helm,name=airflow")

    assert releases
    for text in (pods, *map(cluster.helm_release, releases)):
        assert "airflow-git" not in text
        assert "second-token" not in text


def test_ssh_requires_the_deploy_key_and_a_known_host(follow, git_host, relay, ssh_key):
    private, public = ssh_key
    git_host.accept_ssh_key(public)
    login = {"kind": "ssh", "known_hosts": git_host.known_hosts()}
    follow(PRIVATE, secrets={"git_ssh_key": private}, repo=f"{SSH}/{PRIVATE}", auth=login)
    good = git_host.commit(PRIVATE, {"README.md": "over ssh"})
    relay.wait_published(good)

    git_host.change_ssh_host_key()
    git_host.commit(PRIVATE, {"README.md": "from an unknown host"})
    relay.wait_errors()

    assert relay.published() == good
    assert "Host key verification failed" in relay.log()


def test_the_token_of_a_github_app_is_renewed(follow, git_host, relay):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    # git-sync renews a token 30 s before it expires: after 10 s.
    git_host.accept_app(public.decode(), issuer="Iv23test", installation=7, lifetime_seconds=40)
    login = {
        "kind": "github_app",
        "client_id": "Iv23test",
        "installation_id": 7,
        "api_url": GITHUB_API,
    }
    follow(PRIVATE, secrets={"github_app_key": private.decode()}, auth=login)

    relay.wait_published(git_host.commit(PRIVATE, {"README.md": "with the first token"}))
    git_host.forget_requests()
    wait_for("a new token", lambda: [r for r in git_host.requests() if r["service"] == "app token"])
    relay.wait_published(git_host.commit(PRIVATE, {"README.md": "with the next token"}))
