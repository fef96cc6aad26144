"""A small S3 service in one process, which accepts one access key. Objects are in memory."""

import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

KEY_ID, PORT = sys.argv[1], int(sys.argv[2])
OBJECTS: dict[str, bytes] = {}
# Of uploads that have not ended.
PARTS: dict[str, dict[int, bytes]] = {}
ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>{}</Size>"
    "</Contents>"
)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
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
            part = parse_qs(urlsplit(self.path).query).get("partNumber")
            if part is None:
                OBJECTS[self._path()] = body
            else:
                PARTS.setdefault(self._path(), {})[int(part[0])] = body
            self._answer(200)

    def do_GET(self) -> None:
        if not self._is_allowed():
            return
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            prefix = f"{self._path().rstrip('/')}/"
            wanted = prefix + query.get("prefix", [""])[0]
            keys = sorted(key for key in OBJECTS if key.startswith(wanted))
            names = [(escape(key.removeprefix(prefix)), len(OBJECTS[key])) for key in keys]
            listed = "".join(ENTRY.format(*each) for each in names)
            self._answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode())
        elif self._path() in OBJECTS:
            content = OBJECTS[self._path()]
            part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if part is None:
                self._answer(200, content)
            else:
                self._answer(206, content[int(part[1]) : int(part[2]) + 1])
        elif "/" not in self._path():
            self._answer(200)  # every bucket exists
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """Start and end of an upload in parts, and DeleteObjects."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if not self._is_allowed():
            return
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "uploads" in query:
            answer = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
        elif "uploadId" in query:
            parts = PARTS.pop(self._path())
            OBJECTS[self._path()] = b"".join(parts[number] for number in sorted(parts))
            answer = "<CompleteMultipartUploadResult><ETag>0</ETag></CompleteMultipartUploadResult>"
        else:
            keys = re.findall(r"<Key>(.*?)</Key>", body)
            for key in keys:
                OBJECTS.pop(f"{self._path().rstrip('/')}/{unescape(key)}", None)
            answer = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            answer = f"<DeleteResult>{answer}</DeleteResult>"
        self._answer(200, answer.encode())


ThreadingHTTPServer(("", PORT), Handler).serve_forever()
