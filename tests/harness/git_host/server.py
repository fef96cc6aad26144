"""A Git host: HTTPS, SSH, the token endpoint of GitHub Apps, and an admin API on loopback."""

import argparse
import asyncio
import base64
import gzip
import json
import os
import re
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncssh
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

REPOSITORY = r"(?:public|private)/[\w-][\w.-]*\.git"
SERVICE = re.compile(rf"/{REPOSITORY}/(info/refs|git-upload-pack|git-receive-pack)")
LFS = re.compile(rf"/({REPOSITORY})/info/lfs/objects/(batch|[0-9a-f]{{64}})")
APP_TOKENS = re.compile(r"/api/v3/app/installations/(\d+)/access_tokens")
# Without automatic maintenance, which would continue in the background after a push.
REPOSITORY_SETTINGS = """\
[uploadpack]
    allowAnySHA1InWant = true
[http]
    receivepack = true
[receive]
    autogc = false
    denyDeleteCurrent = ignore
"""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request; the status is that of HTTP or, with SSH, the exit status of the command."""

    time: float
    service: str
    path: str
    status: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int = HTTPStatus.OK
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, content: Any, status: int = HTTPStatus.OK) -> "Answer":
        return cls(
            status=status,
            body=json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
        )


@dataclass(frozen=True, kw_only=True)
class App:
    """An installed GitHub App."""

    public_key: str
    issuer: str
    installation: int
    lifetime_seconds: float

    def accepts(self, jwt: str) -> bool:
        """Whether the App's private key signed the token."""
        signed, _, signature = jwt.rpartition(".")
        claims = json.loads(_decoded(signed.partition(".")[2]))
        key = serialization.load_pem_public_key(self.public_key.encode())
        assert isinstance(key, rsa.RSAPublicKey)
        try:
            key.verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return str(claims["iss"]) == self.issuer


class Host:
    """Repositories in a folder, their accepted logins, and a log of requests."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self.names = names
        self.admin_token = secrets.token_hex(16)
        self.token: str | None = None
        self.users: list[str] = []
        self.app: App | None = None
        self.app_tokens: dict[str, float] = {}
        self.ssh_host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.ssh: asyncssh.SSHAcceptor | None = None
        self.delay_seconds = 0.0
        self.down = False
        self.requests: list[Request] = []
        root.mkdir(parents=True, exist_ok=True)

    @property
    def git_environment(self) -> dict[str, str]:
        # Excludes the user's Git configuration, and a home directory that may not exist.
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.root)}
        return {**kept, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    def known_hosts(self) -> str:
        assert self.ssh
        names = ",".join(f"{name},[{name}]:{self.ssh.get_port()}" for name in self.names)
        return f"{names} {self.ssh_host_key.export_public_key().decode().strip()}\n"

    def update_ssh(self, **options: Any) -> None:
        assert self.ssh
        self.ssh.update(**options)

    def record(self, service: str, path: str, status: int) -> None:
        self.requests.append(Request(time=time.time(), service=service, path=path, status=status))

    def create(self, path: str) -> None:
        repository = self.root / path
        words = ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(repository)]
        subprocess.run(words, env=self.git_environment, check=True)
        with (repository / "config").open("a") as config:
            config.write(REPOSITORY_SETTINGS)

    def admits(self, path: str, writes: bool, authorization: str | None) -> bool:
        user, password = _credentials(authorization)
        if writes or password == self.admin_token:
            return password == self.admin_token
        return (
            path.startswith("/public/")
            or self.app_tokens.get(password, 0) > time.time()
            or (password == self.token and user in self.users)
        )

    def app_token(self, installation: int, authorization: str | None) -> Answer:
        jwt = (authorization or "").removeprefix("Bearer ")
        if not self.app or not self.app.accepts(jwt):
            return Answer.of({"message": "Bad credentials"}, HTTPStatus.UNAUTHORIZED)
        if installation != self.app.installation:
            return Answer.of({"message": "Not Found"}, HTTPStatus.NOT_FOUND)
        token = f"ghs_{secrets.token_hex(18)}"
        expires = datetime.now(UTC) + timedelta(seconds=self.app.lifetime_seconds)
        self.app_tokens[token] = expires.timestamp()
        issued = {"token": token, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return Answer.of(issued, HTTPStatus.CREATED)

    def http_backend(self, variables: dict[str, str], body: bytes) -> Answer:
        """The answer of Git's own CGI program."""
        env = {
            **self.git_environment,
            **variables,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(
            ["git", "http-backend"], env=env, input=body, capture_output=True, check=False
        )
        sys.stderr.write(done.stderr.decode(errors="replace"))
        head, separator, content = done.stdout.partition(b"\r\n\r\n")
        if not separator:
            return Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = headers.pop("Status", "200 OK")
        return Answer(status=int(status.split()[0]), body=content, headers=headers)

    def lfs(self, url: str, method: str, repository: str, what: str, body: bytes) -> Answer:
        """Git LFS: https://github.com/git-lfs/git-lfs/blob/main/docs/api/README.md"""
        folder = self.root / repository / "lfs"
        if what != "batch" and method == "PUT":
            folder.mkdir(exist_ok=True)
            (folder / what).write_bytes(body)
            return Answer()
        if what != "batch":
            return Answer(body=(folder / what).read_bytes())
        asked = json.loads(body)
        objects = [
            {**each, "actions": {asked["operation"]: {"href": url.replace("batch", each["oid"])}}}
            for each in asked["objects"]
        ]
        return Answer.of({"transfer": "basic", "objects": objects})

    async def upload_pack(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """The only command over SSH."""
        command = process.command or ""
        asked = re.fullmatch(rf"git-upload-pack '/?({REPOSITORY})'", command)
        if not asked or not (self.root / asked[1]).is_dir():
            self.record("other", command, 128)
            process.stderr.write(f"fatal: not served: {command}\n".encode())
            process.exit(128)
            return
        git = await asyncio.create_subprocess_exec(
            "git",
            "upload-pack",
            str(self.root / asked[1]),
            env={
                **self.git_environment,
                "GIT_PROTOCOL": str(process.env.get("GIT_PROTOCOL", "")),
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert git.stdin
        assert git.stdout
        assert git.stderr
        questions = asyncio.create_task(_copy(process.stdin, git.stdin, close=True))
        try:
            await asyncio.gather(
                _copy(git.stdout, process.stdout), _copy(git.stderr, process.stderr), git.wait()
            )
        finally:
            # Also if the client disconnects before the answer.
            questions.cancel()
            status = 255 if git.returncode is None else git.returncode
            self.record("upload-pack", f"/{asked[1]}", status)
        process.exit(status)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def __init__(self, host: Host, *args: Any) -> None:
        self.host = host
        super().__init__(*args)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") in ("gzip", "x-gzip"):
            body = gzip.decompress(body)
        answer = self.answer(body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - names that http.server calls

    def answer(self, body: bytes) -> Answer:
        raise NotImplementedError

    def log_message(self, format: str, *args: Any) -> None:
        pass


class PublicHandler(Handler):
    """Repositories, and the token endpoint of GitHub Apps."""

    def answer(self, body: bytes) -> Answer:
        time.sleep(self.host.delay_seconds)
        url = urlsplit(self.path)
        path = unquote(url.path)
        service = _service(path, url.query, body)
        answer = self._serve(path, url.query, service, body)
        self.host.record(service, path, answer.status)
        return answer

    def _serve(self, path: str, query: str, service: str, body: bytes) -> Answer:
        authorization = self.headers.get("Authorization")
        if app := APP_TOKENS.fullmatch(path):
            return self.host.app_token(int(app[1]), authorization)
        lfs = LFS.fullmatch(path)
        if not SERVICE.fullmatch(path) and not lfs:
            return Answer(status=HTTPStatus.NOT_FOUND)
        writes = service.startswith("receive-pack") or self.command == "PUT"
        if not self.host.admits(path, writes, authorization):
            challenge = {"WWW-Authenticate": 'Basic realm="git"'}
            return Answer(status=HTTPStatus.UNAUTHORIZED, headers=challenge)
        if lfs:
            url = f"https://{self.headers['Host']}{path}"
            return self.host.lfs(url, self.command, lfs[1], lfs[2], body)
        return self.host.http_backend(
            {
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": str(self.client_address[0]),
            },
            body,
        )


class Admin(Handler):
    """Configures the host for a test."""

    def __init__(self, ca: str, host: Host, *args: Any) -> None:
        self.ca = ca
        super().__init__(host, *args)

    def answer(self, body: bytes) -> Answer:
        host, given = self.host, json.loads(body or b"{}")
        match self.command, self.path:
            case "POST", "/repositories":
                host.create(given["path"])
            case "GET", "/admin-token":
                return Answer.of(host.admin_token)
            case "PUT", "/token":
                host.token, host.users = given["token"], given["users"]
            case "PUT", "/app":
                host.app = App(**given)
            case "PUT", "/ssh-key":
                accepted = asyncssh.import_authorized_keys(given["public_key"])
                host.update_ssh(authorized_client_keys=accepted)
            case "POST", "/ssh-host-key":
                host.ssh_host_key = asyncssh.generate_private_key("ssh-ed25519")
                host.update_ssh(server_host_keys=[host.ssh_host_key])
            case "GET", "/known-hosts":
                return Answer.of(host.known_hosts())
            case "GET", "/ca.pem":
                return Answer.of(self.ca)
            case "PUT", "/behavior":
                host.delay_seconds, host.down = given["delay_seconds"], given["down"]
            case "GET", "/requests":
                return Answer.of([asdict(request) for request in host.requests])
            case "DELETE", "/requests":
                host.requests = []
            case _:
                return Answer(status=HTTPStatus.NOT_FOUND)
        return Answer.of(None)


class HttpsServer(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], host: Host, context: ssl.SSLContext) -> None:
        super().__init__(address, partial(PublicHandler, host))
        self.host = host
        self.context = context

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not self.host.down

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a slow handshake must not block other connections.
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


def write_certificate(folder: Path, names: Sequence[str]) -> None:
    """Write ca.pem, a self-signed certificate for the names, and key.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            issuer_name=subject,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=1),
            not_valid_after=now + timedelta(days=30),
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True
        )
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(private)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _decoded(part: str) -> bytes:
    """Base64 of a JWT: URL-safe, without padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _credentials(authorization: str | None) -> tuple[str, str]:
    encoded = (authorization or "").removeprefix("Basic ")
    user, _, password = base64.b64decode(encoded).decode().partition(":")
    return user, password


def _service(path: str, query: str, body: bytes) -> str:
    """The Git service and the command of protocol 2."""
    if path.endswith("/info/refs"):
        return f"{query.removeprefix('service=git-')} info/refs"
    if path.endswith("/git-upload-pack"):
        return f"upload-pack {'fetch' if b'command=fetch' in body else 'ls-refs'}"
    if path.endswith("/git-receive-pack"):
        return "receive-pack"
    return "app token" if APP_TOKENS.fullmatch(path) else "other"


async def _copy(source: Any, target: Any, *, close: bool = False) -> None:
    """Until the end of the source. asyncio and asyncssh have no common type of streams."""
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    if close:
        target.close()


async def serve(options: argparse.Namespace) -> None:
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    host = Host(options.root, [*options.host, "localhost", "127.0.0.1"])
    write_certificate(folder, host.names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")

    host.ssh = await asyncssh.listen(
        options.address,
        options.ssh_port,
        server_host_keys=[host.ssh_host_key],
        process_factory=host.upload_pack,
        encoding=None,
    )
    https = HttpsServer((options.address, options.https_port), host, context)
    # Always on loopback: the admin API has no login.
    ca = (folder / "ca.pem").read_text()
    admin = ThreadingHTTPServer(("127.0.0.1", options.admin_port), partial(Admin, ca, host))
    for server in (https, admin):
        threading.Thread(target=server.serve_forever, daemon=True).start()

    # Last, and atomically: the file marks the host as ready.
    ports = {"https": https.server_port, "ssh": host.ssh.get_port(), "admin": admin.server_port}
    (folder / "new").write_text(json.dumps(ports))
    (folder / "new").rename(folder / "ports.json")

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the repositories")
    parser.add_argument("--folder", type=Path, required=True, help="for certificate, ports.json")
    parser.add_argument("--host", action="append", default=[], help="a DNS name of this host")
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--https-port", type=int, default=8443)
    parser.add_argument("--ssh-port", type=int, default=2222)
    parser.add_argument("--admin-port", type=int, default=8000, help="always on 127.0.0.1")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
