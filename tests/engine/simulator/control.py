"""JSON over HTTP: the control API for tests, `aws` and users, and the admission webhook."""

import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Handlers by method and path; each takes the body of the request.
Routes = dict[tuple[str, str], Callable[[Any], Any]]


def serve(
    routes: Routes, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> ThreadingHTTPServer:
    """Serve until `shutdown` is called."""
    handler = type("Handler", (_Handler,), {"routes": routes})
    server = ThreadingHTTPServer((host, 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    routes: Routes

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._answer(json.loads(self.rfile.read(length) or "null"))

    def _answer(self, given: Any) -> None:
        # The API server of Kubernetes adds `?timeout=10s`.
        route = self.routes.get((self.command, self.path.partition("?")[0]))
        status, answer = (200, route(given)) if route else (404, {"unknown": self.path})
        body = json.dumps(answer, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """No log: tests poll several times a second, and the API server has its own."""
