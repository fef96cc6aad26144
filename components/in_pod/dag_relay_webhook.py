"""The relay's webhook: on a push, the Git host calls it and git-sync fetches immediately.

It runs in the Airflow image from a ConfigMap, with the standard library only. It may be exposed to
the internet: it can only write a line into a pipe (dag_relay_fetch.sh), and logs nothing from a
request.
"""

import hashlib
import hmac
import os
import re
import signal
import socket
import threading
from contextlib import suppress
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any

PATH = "/dag-relay"
HEALTH = "/health"
MAX_BYTES = 2**20
SECONDS = 10
CALLS_AT_ONCE = 16


def is_authentic(headers: Message, body: bytes, secret: bytes) -> bool:
    signature = f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}".encode()
    proofs = {
        "X-Hub-Signature-256": signature,  # GitHub, Gitea, Forgejo
        "X-Hub-Signature": signature,  # Bitbucket
        "X-Gitlab-Token": secret,
    }
    # With an empty secret, a missing header would match.
    return bool(secret) and any(
        hmac.compare_digest(headers.get(name, "").encode("latin-1"), proof)
        for name, proof in proofs.items()
    )


def announce() -> None:
    """Make git-sync fetch, each one of its containers.

    Raises `OSError` if none of them is running to read its pipe.
    """
    errors: list[OSError] = []
    paths = os.environ["ANNOUNCED"].split(":")
    for path in paths:
        try:
            pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(pipe, b"\n")
            finally:
                os.close(pipe)
        except OSError as error:
            errors.append(error)
    if len(errors) == len(paths):
        raise errors[0]


class Call(BaseHTTPRequestHandler):
    """One HTTP request, answered with a status and no body."""

    default_request_version = "HTTP/1.0"  # HTTP/0.9, the default, has no status

    def setup(self) -> None:
        super().setup()
        # Deadline for the whole request: a socket timeout would restart with each byte.
        self.deadline = threading.Timer(SECONDS, self.stop_reading)
        self.deadline.daemon = True
        self.deadline.start()

    def stop_reading(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)

    def finish(self) -> None:
        self.deadline.cancel()
        super().finish()

    def do_GET(self) -> None:
        self.answer(HTTPStatus.OK if self.path == HEALTH else HTTPStatus.FORBIDDEN)

    def do_POST(self) -> None:
        status, reason = self.handle_call()
        self.log_message("%d %s", status, reason)
        self.answer(status)

    def handle_call(self) -> tuple[HTTPStatus, str]:
        """Check the request and announce the push. Returns the status and the reason to log."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,18}", length):
            return HTTPStatus.FORBIDDEN, "refused: no Content-Length"
        if int(length) > MAX_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"refused: {length} bytes"
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return HTTPStatus.FORBIDDEN, "refused: incomplete body"
        # Read for each request: Kubernetes updates the file when the Secret changes.
        secret = Path(os.environ["SECRET_FILE"]).read_bytes()
        if self.path != PATH or not is_authentic(self.headers, body, secret):
            return HTTPStatus.FORBIDDEN, "refused: wrong path or secret"
        try:
            announce()
        except OSError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, f"git-sync is not running: {error.strerror}"
        return HTTPStatus.ACCEPTED, "git-sync fetches"

    def send_error(
        self,
        code: int,
        message: str | None = None,  # noqa: ARG002 - quotes the request
        explain: str | None = None,  # noqa: ARG002
    ) -> None:
        """Refuse invalid HTTP and other methods."""
        self.log_message("%d refused: not a webhook call (%d)", HTTPStatus.FORBIDDEN, code)
        self.answer(HTTPStatus.FORBIDDEN)

    def answer(self, status: HTTPStatus) -> None:
        self.send_response_only(status)  # no Server header with the Python version
        self.send_header("Content-Length", "0")
        self.end_headers()


class Server(ThreadingTCPServer):
    """Handles up to `CALLS_AT_ONCE` requests; further requests wait."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int) -> None:
        super().__init__(("", port), Call)
        self.slots = threading.Semaphore(CALLS_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.slots.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()


def main() -> None:
    # PID 1 of a container ignores SIGTERM unless it handles the signal.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with Server(int(os.environ["PORT"])) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
