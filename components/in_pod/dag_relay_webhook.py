"""The relay's webhook: a Git host announces a push, and git-sync fetches at once.

It runs in the Airflow image, from a ConfigMap: standard library only. Strangers can reach it. So all that it
can do is write a line into a pipe (dag_relay_fetch.sh), and nothing that they send is logged.
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
    """Whether the caller knows the secret."""
    signature = f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}".encode()
    proofs = {
        "X-Hub-Signature-256": signature,  # GitHub, Gitea, Forgejo
        "X-Hub-Signature": signature,  # Bitbucket
        "X-Gitlab-Token": secret,
    }
    # To an empty secret a missing header would be a proof.
    return bool(secret) and any(
        hmac.compare_digest(headers.get(name, "").encode("latin-1"), proof)
        for name, proof in proofs.items()
    )


def announce() -> None:
    """Make git-sync fetch. Raises `OSError` if nobody reads the pipe: git-sync is not running."""
    pipe = os.open(os.environ["ANNOUNCED"], os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(pipe, b"\n")
    finally:
        os.close(pipe)


class Call(BaseHTTPRequestHandler):
    """One HTTP request. The answer is a status and nothing else."""

    default_request_version = "HTTP/1.0"  # its default, 0.9, has no status

    def setup(self) -> None:
        super().setup()
        # For all of the call: a timeout of the socket would begin anew with each byte.
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
        status, why = self.judge()
        self.log_message("%d %s", status, why)
        self.answer(status)

    def judge(self) -> tuple[HTTPStatus, str]:
        """The status of the call, after the fetch that it may cause, and what to log."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,18}", length):
            return HTTPStatus.FORBIDDEN, "refused: no length"
        if int(length) > MAX_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"refused: {length} bytes"
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return HTTPStatus.FORBIDDEN, "refused: incomplete"
        # Read for each call: the file changes with the Secret.
        secret = Path(os.environ["SECRET_FILE"]).read_bytes()
        if self.path != PATH or not is_authentic(self.headers, body, secret):
            return HTTPStatus.FORBIDDEN, "refused: another path, or a caller without the secret"
        try:
            announce()
        except OSError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, f"git-sync does not listen: {error.strerror}"
        return HTTPStatus.ACCEPTED, "git-sync fetches"

    def send_error(
        self,
        code: int,
        message: str | None = None,  # noqa: ARG002 - it quotes the caller
        explain: str | None = None,  # noqa: ARG002
    ) -> None:
        """Refuse what is not HTTP, or another method."""
        self.log_message("%d refused: not a call (%d)", HTTPStatus.FORBIDDEN, code)
        self.answer(HTTPStatus.FORBIDDEN)

    def answer(self, status: HTTPStatus) -> None:
        self.send_response_only(status)  # without the version of Python
        self.send_header("Content-Length", "0")
        self.end_headers()


class Server(ThreadingTCPServer):
    """Answers `CALLS_AT_ONCE`; whoever comes then waits until one of them is through, or out of time."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int) -> None:
        super().__init__(("", port), Call)
        self.room = threading.Semaphore(CALLS_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()


def main() -> None:
    # The first process of a container does not get SIGTERM unless it asks for it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with Server(int(os.environ["PORT"])) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
