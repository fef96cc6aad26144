"""A load balancer with TLS in front of several API servers, such as an ALB."""

import http.client
import itertools
import ssl
import threading
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOP_BY_HOP = ("connection", "content-length", "transfer-encoding")


@dataclass(frozen=True)
class LoadBalancer:
    """Sends each request to the next target; keeps `Host`, sets `X-Forwarded-*`."""

    port: int
    # Requests by port of the target.
    requests: Counter[int] = field(default_factory=Counter)


@contextmanager
def load_balancer(certificate: Path, targets: Sequence[int]) -> Generator[LoadBalancer]:
    """`certificate` is a PEM file with certificate and key."""
    following = itertools.cycle(targets)
    lock = threading.Lock()
    requests: Counter[int] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            with lock:
                target = next(following)
                requests[target] += 1
            length = int(self.headers.get("Content-Length") or 0)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            headers["X-Forwarded-Proto"] = "https"
            headers["X-Forwarded-For"] = self.client_address[0]
            headers["X-Forwarded-Port"] = "443"
            body = self.rfile.read(length) if length else None
            with closing(http.client.HTTPConnection("127.0.0.1", target, timeout=60)) as connection:
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                content = response.read()
            self.send_response_only(response.status)
            for key, value in response.getheaders():
                if key.lower() not in HOP_BY_HOP:
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            # A browser that leaves a page does not wait for its images.
            with suppress(OSError):
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield LoadBalancer(server.server_port, requests)
    finally:
        server.shutdown()
        server.server_close()
