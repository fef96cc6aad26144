"""`.env`: what only this copy of the repository knows - passwords, keys, the user id."""

import base64
import os
import re
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.problem import Problem

ROOT = Path(__file__).parents[1]
IMAGE_USER_ID = 50000  # `airflow` in the official image

HEADER = """\
# Made by `make env` for this copy of the repository, for Docker Compose and `make airflow`.
# Not for Git. What is set here stays; what is missing is added.
"""


@dataclass(frozen=True)
class Key:
    make: Callable[[], str]
    pattern: str
    rule: str


def _user_id() -> str:
    # Containers write ./logs as this user. Root's files can be written by everybody's group 0.
    return str(os.getuid() or IMAGE_USER_ID)


def _password() -> str:
    return secrets.token_urlsafe(24)


def _long_secret() -> str:
    return secrets.token_urlsafe(64)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


URL_SAFE = r"[A-Za-z0-9_-]+"
URL_RULE = "may only hold letters, digits, - and _, because it becomes part of a URL"
SECRET_RULE = "must be 32 characters or more, without blanks"

KEYS = {
    "AIRFLOW_UID": Key(_user_id, r"\d+", "must be a number, as `id -u` prints it"),
    "POSTGRES_PASSWORD": Key(_password, URL_SAFE, URL_RULE),
    "REDIS_PASSWORD": Key(_password, URL_SAFE, URL_RULE),
    "ADMIN_PASSWORD": Key(_password, r"\S{8,}", "must be 8 characters or more, without blanks"),
    "FERNET_KEY": Key(
        _fernet_key, r"[A-Za-z0-9_-]{43}=", "must be 32 bytes in URL-safe base64: 43 characters, ="
    ),
    "API_SECRET_KEY": Key(_long_secret, r"\S{32,}", SECRET_RULE),
    "JWT_SECRET": Key(_long_secret, r"\S{32,}", SECRET_RULE),
}


def parse(text: str) -> dict[str, str]:
    """The variables of a file of NAME=value lines."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def ensure(root: Path = ROOT) -> dict[str, str]:
    """Make `.env`, or add what it lacks; then return what it holds."""
    path = root / ".env"
    text = path.read_text() if path.exists() else HEADER
    # Closed to others before there is a secret in it.
    if not path.exists():
        path.touch()
    path.chmod(0o600)
    missing = KEYS.keys() - parse(text).keys()
    if missing:
        added = [f"{name}={key.make()}" for name, key in KEYS.items() if name in missing]
        path.write_text("\n".join([*text.splitlines(), *added]) + "\n")
    values = parse(path.read_text())
    wrong = [
        # Not the value: most of these are secret.
        f"  {name} {key.rule}"
        for name, key in KEYS.items()
        if not re.fullmatch(key.pattern, values[name])
    ]
    if wrong:
        advice = "Put that right, or delete the line: `make env` then makes a new value."
        raise Problem("\n".join([f"{path}:", *wrong, advice]))
    return values


def prepare_folders(root: Path = ROOT) -> None:
    """Folders that Docker would make itself, but as root, so that Airflow could not write there."""
    logs = root / "logs"
    logs.mkdir(exist_ok=True)
    if logs.stat().st_uid == os.getuid():
        logs.chmod(0o775)


def main() -> int:
    try:
        ensure()
        prepare_folders()
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
