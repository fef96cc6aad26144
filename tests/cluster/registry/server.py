"""A registry with one image that asks for a login. Runs in a pod: tests/cluster/registry/conftest.py.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

import base64
import hashlib
import json
import os
import platform
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LAYER = Path("/image/layer.tar")
LOGIN = "Basic " + base64.b64encode(os.environ["LOGIN"].encode()).decode()
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def descriptor(kind, size, digest):
    return {"mediaType": f"application/vnd.oci.image.{kind}", "size": size, "digest": digest}


with LAYER.open("rb") as opened:
    LAYER_DIGEST = "sha256:" + hashlib.file_digest(opened, "sha256").hexdigest()
CONFIG = json.dumps(
    {
        "os": "linux",
        "architecture": ARCHITECTURES[platform.machine()],
        "config": {"Env": [f"PATH={os.environ['IMAGE_PATH']}"]},
        "rootfs": {"type": "layers", "diff_ids": [LAYER_DIGEST]},
    }
).encode()
CONFIG_DIGEST = "sha256:" + hashlib.sha256(CONFIG).hexdigest()
CONTENT = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("config.v1+json", len(CONFIG), CONFIG_DIGEST),
        "layers": [descriptor("layer.v1.tar", LAYER.stat().st_size, LAYER_DIGEST)],
    }
).encode()
CONTENT_DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") != LOGIN:
            self.answer(401, b"", **{"WWW-Authenticate": 'Basic realm="test"'})
        elif self.path.endswith(LAYER_DIGEST):
            self.answer(200, LAYER.read_bytes())
        elif self.path.endswith(CONFIG_DIGEST):
            self.answer(200, CONFIG)
        elif "/manifests/" in self.path:
            headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": CONTENT_DIGEST}
            self.answer(200, CONTENT, **headers)
        else:
            self.answer(200 if self.path == "/v2/" else 404, b"")

    do_HEAD = do_GET  # noqa: N815 - the name of http.server

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
