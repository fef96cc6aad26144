"""`.env`: passwords, keys and the user id of this copy of the repository."""

import base64
import os
import re
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.errors import OperationError

ROOT = Path(__file__).parents[1]
IMAGE_USER_ID = 50000  # `airflow` in the official image

HEADER = """\
# Created by `make env` for this copy of the repository; read by Docker Compose and `make airflow`.
# Do not commit. `make env` adds missing variables and keeps existing values. Airflow's processes get
# all other variables, such as AIRFLOW_CONN_SHOP='postgres://user:<password>@host/shop'.
"""


@dataclass(frozen=True)
class Variable:
    generate: Callable[[], str]
    pattern: str
    requirement: str


def _user_id() -> str:
    # Containers write ./logs as this user. Root's folders are writable for group 0 of the image.
    return str(os.getuid() or IMAGE_USER_ID)


def _password() -> str:
    return secrets.token_urlsafe(24)


def _long_secret() -> str:
    return secrets.token_urlsafe(64)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


URL_SAFE = r"[A-Za-z0-9_-]+"
URL_REQUIREMENT = "may contain only letters, digits, - and _, because it is part of a URL"
SECRET_REQUIREMENT = "must have at least 32 characters and no whitespace"

VARIABLES = {
    "AIRFLOW_UID": Variable(_user_id, r"\d+", "must be a number, as printed by `id -u`"),
    "POSTGRES_PASSWORD": Variable(_password, URL_SAFE, URL_REQUIREMENT),
    "REDIS_PASSWORD": Variable(_password, URL_SAFE, URL_REQUIREMENT),
    "ADMIN_PASSWORD": Variable(
        _password, r"\S{8,}", "must have at least 8 characters and no whitespace"
    ),
    "FERNET_KEY": Variable(
        _fernet_key, r"[A-Za-z0-9_-]{43}=", "must be 32 bytes in URL-safe base64: 43 characters, ="
    ),
    "API_SECRET_KEY": Variable(_long_secret, r"\S{32,}", SECRET_REQUIREMENT),
    "JWT_SECRET": Variable(_long_secret, r"\S{32,}", SECRET_REQUIREMENT),
}

# Read by Docker Compose only, not passed to Airflow by `make airflow`.
COMPOSE_VARIABLES = ("AIRFLOW_IMAGE", "AIRFLOW_PORT")


def parse(text: str) -> dict[str, str]:
    """The variables in NAME=value lines."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def ensure(root: Path = ROOT) -> dict[str, str]:
    """Create `.env` or add missing variables; return all variables."""
    path = root / ".env"
    text = path.read_text() if path.exists() else HEADER
    # Restricted to the owner before the first secret is written.
    if not path.exists():
        path.touch()
    path.chmod(0o600)
    missing = VARIABLES.keys() - parse(text).keys()
    if missing:
        added = [
            f"{name}={variable.generate()}"
            for name, variable in VARIABLES.items()
            if name in missing
        ]
        path.write_text("\n".join([*text.splitlines(), *added]) + "\n")
    values = parse(path.read_text())
    invalid = [
        # Without the value: most of them are secret.
        f"  {name} {variable.requirement}"
        for name, variable in VARIABLES.items()
        if not re.fullmatch(variable.pattern, values[name])
    ]
    if invalid:
        advice = "Correct the value, or delete the line: `make env` then generates a new value."
        raise OperationError("\n".join([f"{path}:", *invalid, advice]))
    return values


def prepare_folders(root: Path = ROOT) -> None:
    """Create logs/; Docker would create it as root, not writable for Airflow."""
    logs = root / "logs"
    logs.mkdir(exist_ok=True)
    if logs.stat().st_uid == os.getuid():
        logs.chmod(0o775)


def main() -> int:
    try:
        ensure()
        prepare_folders()
    except OperationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
