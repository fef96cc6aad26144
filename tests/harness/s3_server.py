"""A small S3 service in one process, which accepts one access key. Objects are in memory."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KEY_ID, PORT = sys.argv[1], int(sys.argv[2])
OBJECTS: dict[str, bytes] = {}
ENTRY = "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _is_allowed(self) -> bool:
        allowed = f"Credential={KEY_ID}/" in self.headers.get("Authorization", "")
        if not allowed:
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        return allowed

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_allowed():
            OBJECTS[self._path()] = body
            self._answer(200)

    def do_GET(self) -> None:
        if not self._is_allowed():
            return
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            prefix = f"{self._path().rstrip('/')}/"
            wanted = prefix + query.get("prefix", [""])[0]
            keys = [key.removeprefix(prefix) for key in OBJECTS if key.startswith(wanted)]
            listed = "".join(ENTRY.format(escape(key)) for key in sorted(keys))
            self._answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode())
        elif self._path() in OBJECTS:
            self._answer(200, OBJECTS[self._path()])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET  # noqa: N815


ThreadingHTTPServer(("", PORT), Handler).serve_forever()
