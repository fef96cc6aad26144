"""The webhook and the pipe to git-sync, as processes on localhost."""

import hashlib
import hmac
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from components.in_pod import dag_relay_webhook
from ops.stack_files import ROOT

WEBHOOK = ROOT / "components" / "in_pod" / "dag_relay_webhook.py"
FETCH = ROOT / "components" / "in_pod" / "dag_relay_fetch.sh"
RENEW = FETCH.with_name("dag_relay_renew.sh")
SECRET = "hunter2-of-the-webhook"
BODY = b'{"ref": "refs/heads/main", "pusher": "hunter2-of-the-body"}'
LARGEST = 2**20
# Stand-in for git-sync: creates the file STARTED, then prints a line for each SIGHUP.
GIT_SYNC = """
import os, signal, time
while not os.path.exists(os.environ["STARTED"]): time.sleep(0.01)
def fetch(*_): print("fetched", flush=True)
signal.signal(signal.SIGHUP, fetch)
print("listens", flush=True)
while True: signal.pause()
"""


def signature(secret=SECRET, body=BODY):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


HOSTS = {
    "GitHub": {"X-Hub-Signature-256": signature(), "X-Hub-Signature": "sha1=" + "0" * 40},
    "GitLab": {"X-Gitlab-Token": SECRET},
    "Bitbucket": {"X-Hub-Signature": signature()},
}
GITHUB = HOSTS["GitHub"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def eventually(check):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with suppress(OSError):
            if found := check():
                return found
        time.sleep(0.01)
    pytest.fail("it did not happen in 10 s")


class Pipe:
    """Reader of the pipe, in place of git-sync's container."""

    def __init__(self, path):
        os.mkfifo(path)
        self._end = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def close(self):
        os.close(self._end)

    def announced(self):
        """Lines since the last call. The webhook writes its line before it answers."""
        with suppress(BlockingIOError):
            return os.read(self._end, 4096).count(b"\n")
        return 0


class Webhook:
    """A webhook on localhost."""

    def __init__(self, port, log):
        self.port, self._log = port, log

    @property
    def log(self):
        return self._log.read_text()

    def call(self, headers=None, body=BODY, *, method="POST", path="/dag-relay"):
        """Status of the response, which must have no body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            assert answer.read() == b"", "the response contains only a status"
            return answer.status
        finally:
            connection.close()

    def send(self, text):
        """Response to `text` on a connection that stays open."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(text)
            return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


@pytest.fixture
def pipe(tmp_path):
    made = Pipe(tmp_path / "announced")
    yield made
    made.close()


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


@pytest.fixture
def webhook(tmp_path, secret_file):
    """The script as a process, as in its container."""
    port, log = free_port(), tmp_path / "log"
    env = {
        "PORT": str(port),
        # The second: of a repository whose git-sync is not running.
        "ANNOUNCED": f"{tmp_path / 'announced'}:{tmp_path / 'of-another-repository'}",
        "SECRET_FILE": str(secret_file),
    }
    with log.open("w") as errors:
        process = subprocess.Popen([sys.executable, "-I", str(WEBHOOK)], env=env, stderr=errors)  # noqa: S603
    found = Webhook(port, log)
    found.process = process
    eventually(lambda: found.call(method="GET", path="/health", body=None))
    yield found
    process.kill()
    process.wait()


@pytest.fixture
def impatient(tmp_path, secret_file, monkeypatch):
    """The server in this process, with other limits."""
    monkeypatch.setenv("ANNOUNCED", str(tmp_path / "announced"))
    monkeypatch.setenv("SECRET_FILE", str(secret_file))
    monkeypatch.setattr(dag_relay_webhook, "SECONDS", 0.5)
    monkeypatch.setattr(dag_relay_webhook, "CALLS_AT_ONCE", 2)
    with dag_relay_webhook.Server(0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Webhook(server.server_address[1], None)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("headers", HOSTS.values(), ids=HOSTS)
def test_a_call_with_the_secret_makes_git_sync_fetch(webhook, pipe, headers):
    assert webhook.call(headers) == 202
    assert pipe.announced() == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": signature("another secret")},
        {"X-Hub-Signature-256": signature(body=BODY + b" ")},
        {"X-Hub-Signature-256": signature().removeprefix("sha256=")},
        {"X-Hub-Signature-256": SECRET},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature": "sha1=" + hmac.new(SECRET.encode(), BODY, "sha1").hexdigest()},
        {"X-Gitlab-Token": "another secret"},
        {"X-Gitlab-Token": SECRET + "x"},
        {"X-Gitlab-Token": ""},
        {"X-Gitlab-Token": "ä".encode()},
        {"Authorization": f"Bearer {SECRET}"},
    ],
    ids=[
        *("nothing", "other secret", "other body", "no algorithm", "the secret itself", "empty"),
        *("sha1", "other token", "longer token", "empty token", "not ASCII", "other header"),
    ],
)
def test_a_call_without_the_secret_is_refused(webhook, pipe, headers):
    assert webhook.call(headers) == 403
    assert pipe.announced() == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "/"), ("POST", "/health"), ("POST", "/dag-relay/x"), ("POST", "/dag-relay?a=b")),
        *(("GET", "/dag-relay"), ("GET", "/"), ("PUT", "/dag-relay"), ("HEAD", "/health")),
    ],
)
def test_only_post_to_the_webhook_path_is_accepted(webhook, pipe, method, path):
    assert webhook.call(GITHUB, method=method, path=path) == 403
    assert pipe.announced() == 0


@pytest.mark.parametrize("configured", ["", "new"], ids=["empty", "replaced"])
def test_a_rotated_secret_takes_effect_immediately(webhook, pipe, secret_file, configured):
    assert webhook.call(GITHUB) == 202
    assert pipe.announced() == 1

    secret_file.write_text(configured)

    assert webhook.call(GITHUB) == 403
    assert webhook.call({}) == 403
    assert pipe.announced() == 0
    known = bool(configured)  # an empty secret authenticates no caller
    headers = {"X-Hub-Signature-256": signature(configured)}
    assert webhook.call(headers) == (202 if known else 403)
    assert pipe.announced() == known


def test_the_body_size_is_limited(webhook, pipe):
    largest = b"x" * LARGEST

    assert webhook.call({"X-Hub-Signature-256": signature(body=largest)}, largest) == 202
    assert pipe.announced() == 1
    announced = f"POST /dag-relay HTTP/1.1\r\nContent-Length: {LARGEST + 1}\r\n\r\n"
    assert webhook.send(announced.encode()).startswith("HTTP/1.0 413 "), (
        "refused before the body is read"
    )
    assert pipe.announced() == 0


@pytest.mark.parametrize(
    "length",
    ["", "Content-Length: -1\r\n", "Content-Length: many\r\n", f"Content-Length: {'9' * 5000}\r\n"],
    ids=["none", "negative", "no number", "endless"],
)
def test_a_body_without_a_valid_length_is_refused(webhook, pipe, length):
    text = f"POST /dag-relay HTTP/1.1\r\nX-Gitlab-Token: {SECRET}\r\n{length}\r\n"

    assert webhook.send(text.encode()).startswith("HTTP/1.0 403 ")
    assert pipe.announced() == 0


def test_invalid_http_is_refused_without_details(webhook, pipe):
    assert webhook.send(b"hello and good day\r\n\r\n").startswith("HTTP/1.0 403 ")
    assert pipe.announced() == 0


def drip(webhook, start, more):
    """Send `start`, then `more` byte by byte. Returns the response and the seconds it took."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=30) as connection:
        connection.sendall(start)
        for byte in more:
            time.sleep(0.1)
            with suppress(OSError):
                connection.sendall(bytes([byte]))
        back = b""
        with suppress(OSError):
            back = b"".join(iter(lambda: connection.recv(4096), b""))
        return back.decode(), time.monotonic() - began


def test_a_slow_request_is_refused(impatient, pipe):
    start = f"POST /dag-relay HTTP/1.1\r\nX-Gitlab-Token: {SECRET}\r\nContent-Length: 999\r\n\r\n"

    answer, seconds = drip(impatient, start.encode(), b"")
    assert answer.startswith("HTTP/1.0 403 ")
    assert seconds < 5
    drip(impatient, start.encode(), b"x" * 10)
    assert pipe.announced() == 0


@pytest.mark.parametrize("start", [b"", b"POST /dag-relay HTTP/1.1\r\nX-Gi"], ids=["none", "half"])
def test_idle_connections_do_not_block_others(impatient, pipe, start):
    silent = [socket.create_connection(("127.0.0.1", impatient.port)) for _ in range(6)]
    for connection in silent:
        connection.sendall(start)

    assert impatient.call(GITHUB) == 202
    assert pipe.announced() == 1
    for connection in silent:
        connection.close()


def test_concurrent_calls_are_limited(impatient, pipe):
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", impatient.port)) for _ in range(20)]
    eventually(
        lambda: threading.active_count() == before + 2 * 2
    )  # each request has a deadline thread

    time.sleep(0.1)
    assert threading.active_count() == before + 2 * 2
    for connection in silent:
        connection.close()


def test_a_call_fails_while_git_sync_is_down(webhook, tmp_path):
    assert webhook.call(GITHUB) == 503, "the pipe does not exist yet"

    os.mkfifo(tmp_path / "announced")
    assert webhook.call(GITHUB) == 503, "the pipe exists, but git-sync is not running"


def test_the_health_endpoint_answers_and_logs_nothing(webhook):
    assert webhook.call(method="GET", path="/health", body=None) == 200
    assert webhook.log == "", "health checks come every few seconds"


def test_each_call_is_logged_without_secrets(webhook, pipe):
    webhook.call(GITHUB)
    webhook.call(HOSTS["GitLab"])
    webhook.call({"X-Gitlab-Token": "hunter2-guessed"}, path="/dag-relay?token=hunter2-in-the-path")
    webhook.call(GITHUB, method="hunter2")

    lines = eventually(lambda: len(webhook.log.splitlines()) == 4 and webhook.log.splitlines())
    assert [re.sub(r".*\] ", "", line) for line in lines] == [
        "202 git-sync fetches",
        "202 git-sync fetches",
        "403 refused: wrong path or secret",
        "403 refused: not a webhook call (501)",
    ]
    assert "hunter2" not in webhook.log
    assert signature() not in webhook.log


def test_sigterm_stops_the_webhook(webhook):
    webhook.process.terminate()

    assert webhook.process.wait(timeout=10) == 0, "PID 1 would be killed after the grace period"


@pytest.fixture
def git_sync(tmp_path):
    """The fetch script with a stand-in for git-sync. Returns the lines that it prints."""
    output = tmp_path / "output"
    for script in (FETCH, RENEW):
        name = script.stem.removeprefix("dag_relay_")
        shutil.copy(script, tmp_path / name)
        (tmp_path / name).chmod(0o755)
    env = {
        **os.environ,
        "BRANCH": "dags",
        "ANNOUNCED": str(tmp_path / "announced"),
        "STARTED": str(tmp_path / "started"),
        "GITSYNC_ROOT": str(tmp_path / "sync"),
        "PUBLISHED": str(tmp_path / "dags.git"),
    }
    started = []

    def start(listens=True):
        if listens:
            (tmp_path / "started").touch()
        with output.open("w") as out:
            process = subprocess.Popen(  # noqa: S603
                ["bash", str(tmp_path / "fetch"), sys.executable, "-c", GIT_SYNC],  # noqa: S607
                stdout=out,
                env=env,
                start_new_session=True,
            )
        started.append(process)
        return process, lambda: output.read_text().split()

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def test_a_call_reaches_git_sync_as_a_signal(webhook, git_sync):
    _, output = git_sync()
    eventually(lambda: output() == ["listens"])

    assert webhook.call({"X-Gitlab-Token": "guessed"}) == 403
    assert webhook.call(GITHUB) == 202
    eventually(lambda: output() == ["listens", "fetched"])
    assert webhook.call(GITHUB) == 202
    eventually(lambda: output() == ["listens", "fetched", "fetched"])


def test_an_early_signal_does_not_end_git_sync(webhook, git_sync, tmp_path):
    process, output = git_sync(listens=False)

    eventually(lambda: webhook.call(GITHUB) == 202)

    assert output() == []
    (tmp_path / "started").touch()
    eventually(lambda: output() == ["listens"])
    assert webhook.call(GITHUB) == 202
    eventually(lambda: output() == ["listens", "fetched"])
    assert process.poll() is None


def test_a_restarted_git_sync_gets_calls_again(webhook, git_sync):
    first, output = git_sync()
    eventually(lambda: output() == ["listens"])
    os.killpg(first.pid, 9)  # all processes of the container
    first.wait()
    eventually(lambda: webhook.call(GITHUB) == 503)

    _, output = git_sync()
    eventually(lambda: output() == ["listens"])
    assert webhook.call(GITHUB) == 202
    eventually(lambda: output() == ["listens", "fetched"])


def test_stale_locks_of_a_killed_git_are_removed(git_sync, tmp_path):
    stale = [
        "sync/.git/HEAD.lock",
        "sync/.git/worktrees/1/index.lock",
        "dags.git/refs/heads/a.lock",
    ]
    kept = ["sync/.git/HEAD", "sync/.worktrees/1/requirements.lock", "dags.git/note"]
    # Otherwise the copy is damaged, and moved aside.
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "dags.git"], check=True)  # noqa: S603, S607
    for path in (*stale, *kept):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    _, output = git_sync()
    eventually(lambda: output() == ["listens"])

    assert [path for path in stale if (tmp_path / path).exists()] == []
    assert [path for path in kept if not (tmp_path / path).exists()] == []


def test_a_call_reaches_the_git_sync_of_each_repository(webhook, pipe, tmp_path):
    other = Pipe(tmp_path / "of-another-repository")

    assert webhook.call(GITHUB) == 202
    assert (pipe.announced(), other.announced()) == (1, 1)
    other.close()
