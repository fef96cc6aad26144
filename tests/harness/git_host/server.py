"""A Git host for tests: HTTPS, SSH, the API of GitHub Apps, and an API on loopback that steers it all."""

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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncssh
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

REPOSITORY = re.compile(r"(public|private)/[\w-][\w.-]*\.git")
SERVICE = re.compile(rf"/(?P<repository>{REPOSITORY.pattern})(?P<rest>/.*)")
APP_TOKENS = re.compile(r"/api/v3/app/installations/(\d+)/access_tokens")
# `want` in protocols 0 and 1, `command=fetch` in protocol 2, behind the length of the line.
FETCH = re.compile(rb"[0-9a-f]{4}(want |command=fetch)")
# No maintenance: it would go on in the background, behind the answer to a push.
REPOSITORY_SETTINGS = """\
[uploadpack]
    allowAnySHA1InWant = true
[http]
    receivepack = true
[receive]
    autogc = false
    denyDeleteCurrent = ignore
"""
# GitHub refuses a JWT that is valid for longer.
JWT_SECONDS = 600
CLOCK_SKEW_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as the host saw it; the status is HTTP's or, with SSH, that of the command."""

    time: float
    protocol: str
    service: str
    path: str
    user: str
    status: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int = HTTPStatus.OK
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, content: Any, status: int = HTTPStatus.OK) -> "Answer":
        """Text as it is, all else as JSON."""
        if isinstance(content, str):
            return cls(status=status, body=content.encode(), headers={"Content-Type": "text/plain"})
        return cls(
            status=status,
            body=json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
        )


@dataclass(frozen=True, kw_only=True)
class App:
    """A GitHub App that is installed: who may ask for tokens, and how long these live."""

    public_key: str
    issuer: str
    installation: int
    lifetime_seconds: float = 3600

    def accepts(self, jwt: str) -> bool:
        """Whether the App's private key signed it, for now and for no longer than GitHub allows."""
        try:
            header, claims, signature = jwt.split(".")
            key = serialization.load_pem_public_key(self.public_key.encode())
            assert isinstance(key, rsa.RSAPublicKey)
            signed = f"{header}.{claims}".encode()
            key.verify(_decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
            said = json.loads(_decoded(claims))
            now = time.time()
            return (
                json.loads(_decoded(header))["alg"] == "RS256"
                and str(said["iss"]) == self.issuer
                and said["iat"] <= now + CLOCK_SKEW_SECONDS
                and now < said["exp"] <= now + JWT_SECONDS + CLOCK_SKEW_SECONDS
            )
        except (ValueError, KeyError, TypeError, InvalidSignature):
            return False


class Host:
    """Repositories below a folder, who may use them, and all that was asked of it."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self.names = names
        self.ssh_port = 0
        self.admin_token = secrets.token_hex(16)
        self.token: str | None = None
        self.users = {"git", "x-access-token"}
        self.app: App | None = None
        self.app_tokens: dict[str, float] = {}
        self.ssh_key: asyncssh.SSHKey | None = None
        self.ssh_host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.delay_seconds = 0.0
        self.down = False
        self.requests: list[Request] = []
        root.mkdir(parents=True, exist_ok=True)

    @property
    def git_environment(self) -> dict[str, str]:
        # Nothing of whoever runs this: neither settings of Git nor a home that may not be there.
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.root)}
        return {**kept, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    @property
    def known_hosts(self) -> str:
        names = ",".join(f"{name},[{name}]:{self.ssh_port}" for name in self.names)
        return f"{names} {self.ssh_host_key.export_public_key().decode().strip()}\n"

    def record(self, protocol: str, service: str, path: str, user: str, status: int) -> None:
        self.requests.append(
            Request(
                time=time.time(),
                protocol=protocol,
                service=service,
                path=path,
                user=user,
                status=status,
            )
        )

    def create(self, path: str) -> bool:
        """Make an empty repository; False if it is there already."""
        if not REPOSITORY.fullmatch(path):
            raise ValueError(f"path: {REPOSITORY.pattern} wanted, got {path!r}")
        repository = self.root / path
        if repository.exists():
            return False
        words = ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(repository)]
        subprocess.run(words, env=self.git_environment, check=True)
        with (repository / "config").open("a") as config:
            config.write(REPOSITORY_SETTINGS)
        return True

    def login(self, path: str, writes: bool, authorization: str | None) -> int:
        """200, or the status that refuses."""
        user, password = _credentials(authorization)
        if password == self.admin_token:
            return HTTPStatus.OK
        reads = self.app_tokens.get(password, 0) > time.time() or (
            password == self.token and user in self.users
        )
        if writes:
            return HTTPStatus.FORBIDDEN if reads else HTTPStatus.UNAUTHORIZED
        return HTTPStatus.OK if reads or path.startswith("/public/") else HTTPStatus.UNAUTHORIZED

    def app_token(self, installation: int, authorization: str | None) -> Answer:
        kind, _, jwt = (authorization or "").partition(" ")
        if not self.app or kind != "Bearer" or not self.app.accepts(jwt):
            return Answer.of({"message": "Bad credentials"}, HTTPStatus.UNAUTHORIZED)
        if installation != self.app.installation:
            return Answer.of({"message": "Not Found"}, HTTPStatus.NOT_FOUND)
        token = f"ghs_{secrets.token_hex(18)}"
        expires = datetime.now(UTC) + timedelta(seconds=self.app.lifetime_seconds)
        self.app_tokens[token] = expires.timestamp()
        said = {"token": token, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return Answer.of(said, HTTPStatus.CREATED)

    def http_backend(self, variables: dict[str, str], body: bytes) -> Answer:
        """What Git's own CGI program answers."""
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

    async def upload_pack(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """The one command of the SSH side; one connection is one request."""
        command = process.command or ""
        user = str(process.get_extra_info("username"))
        asked = re.fullmatch(rf"git-upload-pack '/?({REPOSITORY.pattern})'", command)
        await asyncio.sleep(self.delay_seconds)
        if not asked or not (self.root / asked[1]).is_dir():
            self.record("ssh", "other", command, user, 128)
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
        said = bytearray()
        questions = asyncio.create_task(_copy(process.stdin, git.stdin, said))
        try:
            await asyncio.gather(
                _copy(git.stdout, process.stdout), _copy(git.stderr, process.stderr), git.wait()
            )
        finally:
            # Of a client that went away before its answer, too.
            questions.cancel()
            status = 255 if git.returncode is None else git.returncode
            self.record("ssh", f"upload-pack {_command(said)}", f"/{asked[1]}", user, status)
        process.exit(status)


class SshServer(asyncssh.SSHServer):
    """Lets in who has the key, under any user name."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        if self.host.down:
            conn.abort()

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        accepted = self.host.ssh_key is not None and key == self.host.ssh_key
        if not accepted:
            self.host.record("ssh", "login", "", username, 255)
        return accepted


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with bodies as Git sends them: chunked, zipped or plain."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def __init__(self, host: Host, *args: Any) -> None:
        self.host = host
        super().__init__(*args)

    def do_GET(self) -> None:
        body = self.body()
        if (answer := self.answer(body)) is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - names that http.server calls

    def answer(self, body: bytes) -> Answer | None:
        """What each of the two servers below has its own of. None: close the connection."""
        raise NotImplementedError

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            content = b"".join(self._chunks())
        else:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        zipped = self.headers.get("Content-Encoding") in ("gzip", "x-gzip")
        return gzip.decompress(content) if zipped else content

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def log_message(self, format: str, *args: Any) -> None:
        pass


class PublicHandler(Handler):
    """What the world sees: repositories, and the API of GitHub Apps."""

    def answer(self, body: bytes) -> Answer | None:
        if self.host.down:
            return None
        time.sleep(self.host.delay_seconds)
        path, query = unquote(urlsplit(self.path).path), urlsplit(self.path).query
        service = _service(path, query, body)
        answer = self._serve(path, query, service, body)
        user, _ = _credentials(self.headers.get("Authorization"))
        self.host.record("https", service, path, user, answer.status)
        return answer

    def _serve(self, path: str, query: str, service: str, body: bytes) -> Answer:
        authorization = self.headers.get("Authorization")
        if self.command == "POST" and (app := APP_TOKENS.fullmatch(path)):
            return self.host.app_token(int(app[1]), authorization)
        if not SERVICE.fullmatch(path):
            return Answer(status=HTTPStatus.NOT_FOUND)
        status = self.host.login(path, service.startswith("receive-pack"), authorization)
        if status != HTTPStatus.OK:
            return Answer(status=status, headers={"WWW-Authenticate": 'Basic realm="git"'})
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
    """What a test may ask for; `change_host_key` makes the SSH side use the new one."""

    def __init__(
        self, ca: str, change_host_key: Callable[[], None], host: Host, *args: Any
    ) -> None:
        self.ca = ca
        self.change_host_key = change_host_key
        super().__init__(host, *args)

    def answer(self, body: bytes) -> Answer:
        try:
            return self._steer(json.loads(body or b"{}"))
        except (KeyError, TypeError, ValueError, asyncssh.KeyImportError) as error:
            return Answer.of({"message": repr(error)}, HTTPStatus.BAD_REQUEST)

    def _steer(self, said: dict[str, Any]) -> Answer:
        host = self.host
        match self.command, self.path:
            case "POST", "/repositories":
                new = host.create(said["path"])
                return Answer.of({}, HTTPStatus.CREATED if new else HTTPStatus.CONFLICT)
            case "GET", "/admin-token":
                return Answer.of(host.admin_token)
            case "PUT", "/token":
                host.users = set(said.get("users", host.users))
                host.token = said["token"]
            case "PUT", "/app":
                host.app = App(**said)
            case "PUT", "/ssh-key":
                key = said["public_key"]
                host.ssh_key = asyncssh.import_public_key(key) if key else None
            case "POST", "/ssh-host-key":
                host.ssh_host_key = asyncssh.generate_private_key("ssh-ed25519")
                self.change_host_key()
                return Answer.of(host.known_hosts)
            case "GET", "/known-hosts":
                return Answer.of(host.known_hosts)
            case "GET", "/ca.pem":
                return Answer.of(self.ca)
            case "PUT", "/behaviour":
                host.delay_seconds = float(said.get("delay_seconds", 0))
                host.down = bool(said.get("down", False))
            case "GET", "/requests":
                return Answer.of([asdict(request) for request in host.requests])
            case "DELETE", "/requests":
                host.requests = []
            case _:
                return Answer(status=HTTPStatus.NOT_FOUND)
        return Answer.of({})


class HttpServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that go away, or that do not trust the certificate, are what the tests are about.
        if isinstance(error := sys.exception(), OSError):
            print(f"{client_address}: {error}", file=sys.stderr)
        else:
            super().handle_error(request, client_address)


class HttpsServer(HttpServer):
    def __init__(self, address: tuple[str, int], host: Host, context: ssl.SSLContext) -> None:
        super().__init__(address, partial(PublicHandler, host))
        self.host = host
        self.context = context

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not self.host.down

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Here, in the thread of the connection: a slow handshake holds up nobody else.
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


def write_certificates(folder: Path, names: Sequence[str]) -> None:
    """ca.pem, and server.pem with key.pem that it vouches for."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Git host of a test")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    ca = (
        _certificate(issuer, issuer, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)
    )
    server = (
        _certificate(issuer, subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), False)
        .add_extension(issuer_id, False)
    )
    for name, certificate in (("ca", ca), ("server", server)):
        signed = certificate.sign(ca_key, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(private)


def _certificate(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=30),
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _decoded(part: str) -> bytes:
    """Base64 as a JWT has it: for URLs, without padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _credentials(authorization: str | None) -> tuple[str, str]:
    kind, _, encoded = (authorization or "").partition(" ")
    if kind != "Basic":
        return "", ""
    user, _, password = base64.b64decode(encoded).decode().partition(":")
    return user, password


def _service(path: str, query: str, body: bytes) -> str:
    """What a request is, in words of Git."""
    if path.endswith("/info/refs"):
        return f"{parse_qs(query).get('service', ['dumb'])[0].removeprefix('git-')} info/refs"
    if path.endswith("/git-upload-pack"):
        return f"upload-pack {_command(body)}"
    if path.endswith("/git-receive-pack"):
        return "receive-pack"
    return "app token" if APP_TOKENS.fullmatch(path) else "other"


def _command(said: bytes | bytearray) -> str:
    return "fetch" if FETCH.search(said) else "ls-refs"


async def _copy(source: Any, target: Any, seen: bytearray | None = None) -> None:
    """Until the end of the source; asyncio and asyncssh have no common type for either."""
    while data := await source.read(65536):
        if seen is not None:
            seen += data
        target.write(data)
        await target.drain()
    if seen is not None:
        target.close()


async def serve(options: argparse.Namespace) -> None:
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    host = Host(options.root, [*options.host, "localhost", "127.0.0.1"])
    write_certificates(folder, host.names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "key.pem")

    ssh = await asyncssh.listen(
        options.address,
        options.ssh_port,
        server_factory=partial(SshServer, host),
        server_host_keys=[host.ssh_host_key],
        process_factory=host.upload_pack,
        encoding=None,
    )
    host.ssh_port = ssh.get_port()
    https = HttpsServer((options.address, options.https_port), host, context)
    ca = (folder / "ca.pem").read_text()
    change = partial(_change_host_key, asyncio.get_running_loop(), ssh, host)
    # On loopback wherever it runs: there is no login.
    admin = HttpServer(("127.0.0.1", options.admin_port), partial(Admin, ca, change, host))
    for server in (https, admin):
        threading.Thread(target=server.serve_forever, daemon=True).start()

    # Last and at once: who sees this file finds everything served.
    ports = {"https": https.server_port, "ssh": host.ssh_port, "admin": admin.server_port}
    (folder / "new").write_text(json.dumps(ports))
    (folder / "new").rename(folder / "ports.json")

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _change_host_key(
    loop: asyncio.AbstractEventLoop, ssh: asyncssh.SSHAcceptor, host: Host
) -> None:
    async def change() -> None:
        ssh.update(server_host_keys=[host.ssh_host_key])

    asyncio.run_coroutine_threadsafe(change(), loop).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="where the repositories are")
    parser.add_argument("--folder", type=Path, required=True, help="for certificates, ports.json")
    parser.add_argument("--host", action="append", default=[], help="a name of this host")
    parser.add_argument("--address", default="127.0.0.1", help="to listen on")
    parser.add_argument("--https-port", type=int, default=8443)
    parser.add_argument("--ssh-port", type=int, default=2222)
    parser.add_argument("--admin-port", type=int, default=8000, help="always on 127.0.0.1")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
