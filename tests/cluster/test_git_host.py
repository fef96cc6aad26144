"""The Git host of the cluster's tests, used by the real `git` and `ssh` on loopback."""

import base64
import http.client
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
from datetime import UTC, datetime

import asyncssh
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.harness.cluster import wait_for
from tests.harness.git_host import SERVER, GitHost, manifest, packages

DAGS = "private/dags.git"
FILES = {"dags/a.py": "a = 1\n"}
INSTALLATION = 42
ISSUER = "Iv1.client"


class Started:
    """A host that runs, and what a client of it needs."""

    def __init__(self, folder, ports):
        self.folder = folder
        self.ports = ports
        self.admin = GitHost(admin_port=ports["admin"], https_port=ports["https"])
        self.app_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def https(self, path, login=""):
        return f"https://{login}{'@' if login else ''}127.0.0.1:{self.ports['https']}/{path}"

    def ssh(self, path):
        return f"ssh://git@127.0.0.1:{self.ports['ssh']}/{path}"

    def token_of_app(self, installation=INSTALLATION, **claims):
        """What git-sync asks for with its JWT."""
        now = int(time.time())
        said = {"iss": ISSUER, "iat": now, "exp": now + 600, **claims}
        parts = [encoded(json.dumps(p).encode()) for p in ({"alg": "RS256", "typ": "JWT"}, said)]
        signed = ".".join(parts)
        signature = self.app_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        request = urllib.request.Request(
            self.https(f"api/v3/app/installations/{installation}/access_tokens"),
            method="POST",
            headers={"Authorization": f"Bearer {signed}.{encoded(signature)}"},
        )
        trust = ssl.create_default_context(cafile=self.folder / "host" / "ca.pem")
        with urllib.request.urlopen(request, context=trust) as answer:
            assert answer.status == 201
            return json.load(answer)

    def seen(self):
        return [(r["service"], r["status"]) for r in self.admin.requests()]


def encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """One process for all tests of this file, with the packages as the pod has them."""
    missing = [tool for tool in ("git", "ssh") if shutil.which(tool) is None]
    if missing:
        pytest.fail(f"not on PATH: {', '.join(missing)}; see CONTRIBUTING.md")
    folder = tmp_path_factory.mktemp("git-host")
    (folder / "packages.zip").write_bytes(packages())
    words = ["--root", folder / "repositories", "--folder", folder / "host", "--host", "git-host"]
    free = ["--https-port=0", "--ssh-port=0", "--admin-port=0"]
    with subprocess.Popen(
        [sys.executable, SERVER, *words, *free],
        env={**os.environ, "PYTHONPATH": str(folder / "packages.zip")},
    ) as process:
        try:
            ports = folder / "host" / "ports.json"

            def listens():
                assert process.poll() is None, "the server ended; it says above why"
                return ports.exists()

            wait_for("the Git host", listens, seconds=30)
            host = Started(folder, json.loads(ports.read_text()))
            for path in (DAGS, "public/dags.git"):
                host.admin.create(path)
                host.admin.commit(path, FILES)
            shutil.copytree(folder / "repositories", folder / "seed")
            yield host
        finally:
            process.terminate()


@pytest.fixture
def host(started):
    """The host with a private repository, a public one of the same name, and nothing asked yet."""
    started.admin.behave()
    shutil.rmtree(started.folder / "repositories")
    shutil.copytree(started.folder / "seed", started.folder / "repositories")
    started.admin.accept_token("secret", users=["reader"])
    started.admin.forget_requests()
    return started


@pytest.fixture
def git(host, tmp_path):
    """Run Git as a client that trusts the host's CA, has an SSH key and no settings; its status and words."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(tmp_path / "key"))
    (tmp_path / "key").chmod(0o600)
    host.admin.accept_ssh_key(key.export_public_key().decode())
    (tmp_path / "known_hosts").write_text(host.admin.known_hosts())
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": tmp_path / "known_hosts",
        "GlobalKnownHostsFile": os.devnull,
    }
    ssh = ["ssh", "-F", os.devnull, "-i", tmp_path / "key"]
    ssh += [f"-o{name}={value}" for name, value in options.items()]
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSL_CAINFO": str(host.folder / "host" / "ca.pem"),
        "GIT_SSH_COMMAND": shlex.join(map(str, ssh)),
        "GIT_AUTHOR_NAME": "test",
        "GIT_AUTHOR_EMAIL": "test@localhost",
        "GIT_COMMITTER_NAME": "test",
        "GIT_COMMITTER_EMAIL": "test@localhost",
    }

    def run(*words, stdin=None, **more):
        done = subprocess.run(
            ["git", *words],
            cwd=tmp_path,
            env={**env, **more},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return done.returncode, (done.stdout + done.stderr).decode()

    return run


def test_anybody_clones_a_public_repository(host, git, tmp_path):
    assert git("clone", host.https("public/dags.git"), "work")[0] == 0

    assert (tmp_path / "work" / "dags" / "a.py").read_text() == FILES["dags/a.py"]


def test_a_client_that_does_not_know_the_ca_refuses(host, git):
    status, said = git("ls-remote", host.https("public/dags.git"), GIT_SSL_CAINFO=os.devnull)

    assert status != 0
    assert "certificate" in said


@pytest.mark.parametrize(
    ("login", "accepted"),
    [("reader:secret", True), ("reader:wrong", False), ("stranger:secret", False), ("", False)],
)
def test_a_private_repository_wants_user_and_token(host, git, login, accepted):
    assert (git("ls-remote", host.https(DAGS, login))[0] == 0) is accepted


def test_a_changed_token_counts_at_once(host, git):
    host.admin.accept_token("newer")

    assert git("ls-remote", host.https(DAGS, "reader:secret"))[0] != 0
    assert git("ls-remote", host.https(DAGS, "reader:newer"))[0] == 0


def test_without_a_token_nothing_is_accepted(host, git):
    host.admin.accept_token(None)

    assert git("ls-remote", host.https(DAGS, "reader:"))[0] != 0


def test_a_repository_that_is_not_there_is_not_found(host, git):
    assert "not found" in git("ls-remote", host.https("public/other.git"))[1]


def test_nothing_outside_of_the_repositories_is_served(host, git):
    assert git("ls-remote", host.https("public/../private/dags.git"))[0] != 0
    with pytest.raises(urllib.error.HTTPError, match="400"):
        host.admin.create("../elsewhere.git")


def test_a_repository_is_made_once(host):
    with pytest.raises(urllib.error.HTTPError, match="409"):
        host.admin.create(DAGS)


def test_what_was_pushed_is_what_is_cloned(host, git, tmp_path):
    commit = host.admin.commit(DAGS, {"dags/b.py": "b = 2\n"})

    assert git("clone", host.https(DAGS, "reader:secret"), "work")[0] == 0
    assert git("-C", "work", "rev-parse", "main")[1].strip() == commit
    assert {f.name for f in (tmp_path / "work" / "dags").iterdir()} == {"a.py", "b.py"}


@pytest.mark.parametrize("path", [DAGS, "public/dags.git"])
def test_readers_do_not_push(host, git, path):
    url = host.https(path, "reader:secret")
    git("clone", url, "work")
    git("-C", "work", "commit", "--allow-empty", "--message", "mine")

    assert "403" in git("-C", "work", "push", url, "HEAD:main")[1]


def test_a_commit_that_no_branch_has_can_be_fetched_by_its_id(host, git):
    before = host.admin.commit(DAGS, {"dags/a.py": "a = 2\n"})
    url = host.https(DAGS, f"admin:{host.admin.admin_token()}")
    git("clone", url, "work")
    git("-C", "work", "commit", "--amend", "--message", "other")
    assert git("-C", "work", "push", "--force", url, "HEAD:main")[0] == 0

    git("init", "fresh")
    assert git("-C", "fresh", "fetch", "--depth=1", url, before)[0] == 0


def test_a_big_push_comes_in_chunks(host, git, tmp_path):
    url = host.https(DAGS, f"admin:{host.admin.admin_token()}")
    git("clone", url, "work")
    (tmp_path / "work" / "big").write_bytes(os.urandom(300_000))
    git("-C", "work", "add", "big")
    git("-C", "work", "commit", "--message", "big")

    small = ["-c", "http.postBuffer=65536"]
    status, said = git("-C", "work", *small, "push", url, "HEAD:main", GIT_TRACE_CURL="1")
    assert status == 0, said
    assert "Transfer-Encoding: chunked" in said
    assert git("ls-remote", url)[1].split()[0] == git("-C", "work", "rev-parse", "HEAD")[1].strip()


def test_a_long_question_comes_zipped(host, git):
    url = host.https(DAGS, "reader:secret")
    commit = git("ls-remote", url, "refs/heads/main")[1].split()[0]
    # All that Git has, and asks about.
    history = "".join(
        f"commit refs/heads/main\ncommitter t <t@localhost> {n} +0000\ndata 1\nx\n"
        for n in range(40)
    )
    git("init", "work")
    git("-C", "work", "fast-import", "--quiet", stdin=history.encode())

    status, said = git("-C", "work", "fetch", url, "main", GIT_TRACE_CURL="1")
    assert status == 0, said
    assert "Content-Encoding: gzip" in said
    assert git("-C", "work", "rev-parse", "FETCH_HEAD")[1].strip() == commit


@pytest.mark.parametrize("version", [0, 1, 2])
def test_each_protocol_is_spoken_and_counted_alike(host, git, version):
    for url in (host.https("public/dags.git"), host.ssh(DAGS)):
        host.admin.forget_requests()
        status, said = git("-c", f"protocol.version={version}", "clone", url, f"work-{url[:3]}")
        assert status == 0, said
        assert host.seen().count(("upload-pack fetch", 200 if url.startswith("https") else 0)) == 1


def test_each_request_is_recorded_with_its_user(host, git):
    git("ls-remote", host.https(DAGS, "reader:secret"))
    git("ls-remote", host.ssh(DAGS))

    assert [
        (r["protocol"], r["service"], r["path"], r["user"], r["status"])
        for r in host.admin.requests()
    ] == [
        ("https", "upload-pack info/refs", "/private/dags.git/info/refs", "", 401),
        ("https", "upload-pack info/refs", "/private/dags.git/info/refs", "reader", 200),
        ("https", "upload-pack ls-refs", "/private/dags.git/git-upload-pack", "reader", 200),
        ("ssh", "upload-pack ls-refs", "/private/dags.git", "git", 0),
    ]
    host.admin.forget_requests()
    assert host.admin.requests() == []


def test_ssh_clones_with_the_pinned_host_key(host, git, tmp_path):
    assert git("clone", host.ssh(DAGS), "work")[0] == 0

    assert (tmp_path / "work" / "dags" / "a.py").read_text() == FILES["dags/a.py"]


def test_ssh_refuses_after_the_host_key_changed_until_the_new_one_is_known(host, git, tmp_path):
    line = host.admin.change_ssh_host_key()
    assert line == host.admin.known_hosts()

    status, said = git("ls-remote", host.ssh(DAGS))
    assert status != 0
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in said

    (tmp_path / "known_hosts").write_text(line)
    assert git("ls-remote", host.ssh(DAGS))[0] == 0


def test_known_hosts_has_the_names_with_and_without_the_port(host):
    names = host.admin.known_hosts().split()[0].split(",")

    assert {"git-host", f"[git-host]:{host.ports['ssh']}"} <= set(names)


def test_ssh_refuses_another_key(host, git):
    other = asyncssh.generate_private_key("ssh-ed25519")
    for accepted in (other.export_public_key().decode(), None):
        host.admin.forget_requests()
        host.admin.accept_ssh_key(accepted)

        assert "Permission denied" in git("ls-remote", host.ssh(DAGS))[1]
        assert host.seen() == [("login", 255)]


def test_ssh_only_reads_what_is_there(host, git):
    git("clone", host.ssh(DAGS), "work")

    assert "not served" in git("-C", "work", "push", host.ssh(DAGS), "HEAD:other")[1]
    assert "not served" in git("ls-remote", host.ssh("private/other.git"))[1]


@pytest.fixture
def app(host):
    """An App is installed; the token that it gets lives as long as said."""
    pem = host.app_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def accept(lifetime_seconds=60):
        host.admin.accept_app(pem.decode(), ISSUER, INSTALLATION, lifetime_seconds)
        host.admin.forget_requests()
        return host

    return accept


def test_an_app_gets_a_token_that_opens_private_repositories(app, git):
    host = app()
    answer = host.token_of_app()

    left = datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC)
    assert 50 < left.total_seconds() <= 60
    assert host.seen() == [("app token", 201)]
    # The user name that git-sync sends.
    assert git("ls-remote", host.https(DAGS, f"-:{answer['token']}"))[0] == 0


def test_the_token_of_an_app_expires(app, git):
    token = app(lifetime_seconds=0).token_of_app()["token"]

    assert git("ls-remote", app().https(DAGS, f"-:{token}"))[0] != 0


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"iss": "other"}, 401),
        ({"exp": 1}, 401),
        ({"exp": 2**40}, 401),
        ({"iat": 2**40}, 401),
        ({"installation": 7}, 404),
    ],
)
def test_github_refuses_what_is_not_of_the_app(app, claims, status):
    with pytest.raises(urllib.error.HTTPError, match=str(status)):
        app().token_of_app(**claims)


def test_github_refuses_another_signature(app):
    host = app()
    host.app_key, own = rsa.generate_private_key(public_exponent=65537, key_size=2048), host.app_key
    try:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            host.token_of_app()
    finally:
        host.app_key = own


def test_a_host_that_is_down_answers_nobody_until_it_is_up_again(host, git):
    urls = host.https("public/dags.git"), host.ssh(DAGS)
    host.admin.behave(down=True)
    assert [git("ls-remote", url)[0] for url in urls] == [128, 128]
    assert host.admin.requests() == []

    host.admin.behave()
    assert [git("ls-remote", url)[0] for url in urls] == [0, 0]


def test_a_connection_that_is_open_breaks_when_the_host_goes_down(host):
    trust = ssl.create_default_context(cafile=host.folder / "host" / "ca.pem")
    client = http.client.HTTPSConnection("127.0.0.1", host.ports["https"], context=trust)
    try:
        client.request("GET", "/public/dags.git/info/refs")
        client.getresponse().read()
        host.admin.behave(down=True)
        client.request("GET", "/public/dags.git/info/refs")
        with pytest.raises(http.client.RemoteDisconnected):
            client.getresponse()
    finally:
        client.close()


def test_each_request_to_a_slow_host_waits(host, git):
    host.admin.behave(delay_seconds=0.2)
    for url, requests in ((host.https("public/dags.git"), 2), (host.ssh(DAGS), 1)):
        before = time.monotonic()
        assert git("ls-remote", url)[0] == 0
        assert time.monotonic() - before >= 0.2 * requests


def test_the_pod_is_as_its_namespace_demands():
    objects = {one["kind"]: one for one in manifest("apache/airflow:3.2.2")}
    pod = objects["Pod"]["spec"]
    (container,) = pod["containers"]

    assert container["image"] == "apache/airflow:3.2.2"
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert pod["securityContext"]["runAsUser"] == 50000
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_kubernetes_takes_the_server_as_one_config_map():
    (held,) = [one for one in manifest("any") if one["kind"] == "ConfigMap"]

    assert set(held["data"]) | set(held["binaryData"]) == {"server.py", "packages.zip"}
    assert len(json.dumps(held)) < 1024**2
