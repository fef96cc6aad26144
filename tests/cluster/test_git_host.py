"""Refusals and records of the Git host, without a cluster, with the real `git` and `ssh`.

The cluster tests need them: with a Git host that accepts every login they prove nothing.
"""

import base64
import json
import os
import shlex
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import asyncssh
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.harness.checkout import ROOT
from tests.harness.clone import ENVIRONMENT
from tests.harness.git_host import SERVER, GitHost, packages
from tests.harness.relay_gate import running_gate
from tests.harness.waiting import wait_for

PRIVATE, PUBLIC = "private/dags.git", "public/dags.git"
FILES = {"dags/a.py": "a = 1\n"}
PUBLISH = ROOT / "components" / "in_pod" / "dag_relay_publish.sh"
INSTALLATION, ISSUER = 42, "Iv1.client"


class Host(GitHost):
    """The server as a local process."""

    def https(self, path, login=""):
        return f"https://{login}{'@' if login else ''}127.0.0.1:{self.https_port}/{path}"

    def services(self):
        return [(request["service"], request["status"]) for request in self.requests()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    missing = [tool for tool in ("git", "ssh") if shutil.which(tool) is None]
    if missing:
        pytest.fail(f"not on PATH: {', '.join(missing)}; see CONTRIBUTING.md")
    return tmp_path_factory.mktemp("git-host")


@pytest.fixture(scope="module")
def ports(folder):
    """The ports of one process for all tests, with its dependencies in a zip file as in the pod."""
    (folder / "packages.zip").write_bytes(packages())
    words = ["--root", folder / "repositories", "--folder", folder / "host", "--host", "git-host"]
    free = ["--https-port=0", "--ssh-port=0", "--admin-port=0"]
    with subprocess.Popen(
        [sys.executable, SERVER, *words, *free],
        env={**os.environ, "PYTHONPATH": str(folder / "packages.zip")},
    ) as process:
        file = folder / "host" / "ports.json"

        def is_ready():
            assert process.poll() is None, "the server has exited; its error is above"
            return file.exists()

        try:
            wait_for("the Git host", is_ready, seconds=30)
            yield json.loads(file.read_text())
        finally:
            process.terminate()


@pytest.fixture
def host(ports, folder):
    """The host with a private and a public repository, one accepted token, and no requests."""
    host = Host(admin_port=ports["admin"], https_port=ports["https"])
    shutil.rmtree(folder / "repositories", ignore_errors=True)
    host.behave()
    for path in (PRIVATE, PUBLIC):
        host.create(path)
        host.commit(path, FILES)
    host.accept_token("secret", users=["reader"])
    host.forget_requests()
    return host


@pytest.fixture
def git(host, folder, tmp_path):
    """Run Git with the host's CA and an accepted SSH key; its exit status and output."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(tmp_path / "key"))
    (tmp_path / "key").chmod(0o600)
    host.accept_ssh_key(key.export_public_key().decode())
    (tmp_path / "known_hosts").write_text(host.known_hosts())
    ssh = ["ssh", "-F", os.devnull, "-i", tmp_path / "key", "-oBatchMode=yes"]
    ssh += ["-oIdentitiesOnly=yes", "-oStrictHostKeyChecking=yes"]
    ssh += [f"-oUserKnownHostsFile={tmp_path / 'known_hosts'}"]
    env = {
        **ENVIRONMENT,
        "HOME": str(tmp_path),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSL_CAINFO": str(folder / "host" / "ca.pem"),
        "GIT_SSH_COMMAND": shlex.join(map(str, ssh)),
    }

    def run(*words, program="git", folder=".", stdin=None, **more):
        done = subprocess.run(
            [program, *words],
            cwd=tmp_path / folder,
            env={**env, **more},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return done.returncode, (done.stdout + done.stderr).decode()

    return run


@pytest.fixture
def ssh_url(ports):
    return f"ssh://git@127.0.0.1:{ports['ssh']}/{PRIVATE}"


def test_a_client_without_the_ca_refuses_the_host(host, git):
    status, output = git("ls-remote", host.https(PUBLIC), GIT_SSL_CAINFO=os.devnull)

    assert status != 0
    assert "certificate" in output


@pytest.mark.parametrize(
    ("login", "accepted"),
    [("reader:secret", True), ("reader:wrong", False), ("stranger:secret", False), ("", False)],
)
def test_a_private_repository_requires_user_and_token(host, git, login, accepted):
    assert (git("ls-remote", host.https(PRIVATE, login))[0] == 0) is accepted


def test_each_request_is_recorded(host, git, ssh_url):
    git("ls-remote", host.https(PRIVATE, "reader:secret"))
    git("clone", ssh_url, "work")

    assert host.services() == [
        ("upload-pack info/refs", 401),
        ("upload-pack info/refs", 200),
        ("upload-pack ls-refs", 200),
        ("upload-pack", 0),
    ]
    host.forget_requests()
    assert host.requests() == []


def test_ssh_refuses_an_unknown_key(host, git, ssh_url):
    other = asyncssh.generate_private_key("ssh-ed25519")
    host.accept_ssh_key(other.export_public_key().decode())

    assert "Permission denied" in git("ls-remote", ssh_url)[1]


@pytest.fixture
def publish(tmp_path, git):
    """Publish a commit of a clone in `work`, with the relay's script; its exit status and output."""
    if shutil.which("git-lfs") is None:
        pytest.fail("not on PATH: git-lfs; see CONTRIBUTING.md")

    def run(folder="work", **more):
        with running_gate(tmp_path / "gate", MAX_MB=2, MAX_FILE_MB=2, MAX_FILES=20) as port:
            return script(folder, GATE_PORT=str(port), **more)

    def script(folder, **more):
        env = {
            "GITSYNC_HASH": git("-C", folder, "rev-parse", "HEAD")[1].strip(),
            "PUBLISHED": str(tmp_path / "dags.git"),
            "BRANCH": "dags",
            "REJECTED": str(tmp_path / "rejected"),
            "SUB_PATH": "dags",
            "LFS": "true",
            "KEEP": "true",
        }
        return git(str(PUBLISH), program="bash", folder=folder, **{**env, **more})

    return run


@pytest.fixture
def with_large_file(host, git, tmp_path):
    """A clone of the private repository, as git-sync makes it, and a new file in Git LFS."""
    admin = host.https(PRIVATE, f"admin:{host.admin_token()}")
    assert git("clone", admin, "author")[0] == 0

    def push(content, path="dags/model.bin"):
        file = tmp_path / "author" / path
        file.write_bytes(content)
        (tmp_path / "author" / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs\n")
        for words in (
            ["lfs", "install", "--local"],
            ["add", "--all"],
            ["-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--message", "Large"],
            ["push", "origin", "HEAD:main"],
        ):
            status, output = git("-C", "author", *words)
            assert status == 0, output
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        assert git("clone", host.https(PRIVATE, "reader:secret"), "work")[0] == 0
        return file

    return push


@pytest.mark.slow
def test_the_relay_publishes_lfs_files_as_plain_files(with_large_file, publish, git):
    with_large_file(b"model" * 1000, "dags/my model.bin")

    status, output = publish()
    assert status == 0, output
    assert git("--git-dir=dags.git", "show", "dags:dags/my model.bin") == (0, "model" * 1000)
    assert git("--git-dir=dags.git", "rev-list", "--count", "dags")[1] == "3\n", "one on top"
    assert git("-C", "work", "status", "--porcelain") == (0, "")


@pytest.mark.slow
def test_each_version_of_an_lfs_file_stays_reachable(with_large_file, publish, git):
    for content in (b"old" * 1000, b"new" * 1000):
        with_large_file(content)
        status, output = publish()
        assert status == 0, output

    assert git("--git-dir=dags.git", "show", "kept^:dags/model.bin") == (0, "old" * 1000)


@pytest.mark.slow
def test_lfs_files_of_a_submodule_are_published(with_large_file, publish, git, host):
    with_large_file(b"model" * 1000)
    assert git("clone", host.https(PUBLIC), "whole")[0] == 0
    shared = host.https(PRIVATE, "reader:secret")
    assert git("-C", "whole", "submodule", "add", shared, "dags/shared")[0] == 0
    who = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    assert git("-C", "whole", *who, "commit", "--all", "--message", "Shared")[0] == 0

    status, output = publish(folder="whole")
    assert status == 0, output
    model = "dags:dags/shared/dags/model.bin"
    assert git("--git-dir=dags.git", "show", model) == (0, "model" * 1000)


@pytest.mark.slow
def test_lfs_files_count_before_they_are_fetched(with_large_file, publish, host):
    with_large_file(b"0" * 3_000_000)
    host.forget_requests()

    status, output = publish()
    assert status != 0
    assert "its files are 3 MiB together, and dags.max_mb is 2" in output
    assert host.requests() == []


@pytest.mark.slow
def test_without_lfs_the_pointer_is_published(with_large_file, publish, git):
    with_large_file(b"model" * 1000)

    assert publish(LFS="false") == (0, "")
    assert "oid sha256:" in git("--git-dir=dags.git", "show", "dags:dags/model.bin")[1]


def app_token(folder, host, key, *, installation=INSTALLATION, issuer=ISSUER):
    """The answer to a JWT that is signed with the key, as git-sync sends it."""

    def encoded(content):
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    now = int(time.time())
    parts = {"alg": "RS256", "typ": "JWT"}, {"iss": issuer, "iat": now, "exp": now + 600}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    request = urllib.request.Request(
        host.https(f"api/v3/app/installations/{installation}/access_tokens"),
        method="POST",
        headers={"Authorization": f"Bearer {signed}.{encoded(signature)}"},
    )
    trust = ssl.create_default_context(cafile=folder / "host" / "ca.pem")
    with urllib.request.urlopen(request, context=trust) as answer:
        assert answer.status == 201
        return json.load(answer)


def accept_app(host, lifetime_seconds=60):
    """Accept a new App; its private key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    host.accept_app(pem.decode(), ISSUER, INSTALLATION, lifetime_seconds)
    return key


@pytest.mark.parametrize(("lifetime_seconds", "accepted"), [(60, True), (0, False)])
def test_the_token_of_an_app_works_until_it_expires(host, git, folder, lifetime_seconds, accepted):
    token = app_token(folder, host, accept_app(host, lifetime_seconds))["token"]

    # The user name that git-sync sends.
    assert (git("ls-remote", host.https(PRIVATE, f"-:{token}"))[0] == 0) is accepted


def test_the_jwt_of_another_app_is_refused(host, folder):
    other, app_key = accept_app(host), accept_app(host)
    for status, key, claims in (
        (401, other, {}),
        (401, app_key, {"issuer": "other"}),
        (404, app_key, {"installation": 7}),
    ):
        with pytest.raises(urllib.error.HTTPError, match=str(status)):
            app_token(folder, host, key, **claims)


def test_a_slow_host_delays_each_request(host, git):
    host.behave(delay_seconds=0.2)
    before = time.monotonic()

    assert git("ls-remote", host.https(PUBLIC))[0] == 0
    assert time.monotonic() - before >= 0.2 * 2
