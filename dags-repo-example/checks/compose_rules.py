"""Rules for compose.yaml and .env: database connections, users, image version and mounts."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from checks.compose_file import ComposeProject, Mount, Service
from checks.mistake import Mistake
from checks.platform_file import Platform
from checks.variables import Value

CONNECTIONS = (
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__CELERY__RESULT_BACKEND",
    "AIRFLOW__CORE__SQL_ALCHEMY_CONN",
    "AIRFLOW_CONN_AIRFLOW_DB",
)
IMAGE_UID = "50000"  # https://airflow.apache.org/docs/docker-stack/entrypoint.html
AIRFLOW_HOME = PurePosixPath("/opt/airflow")


def check(root: Path, project: ComposeProject, platform: Platform | None) -> set[Mistake]:
    """Return the mistakes; services that share a line report it once."""
    found = set(check_env(project))
    airflow = [service for service in project.services if service.is_airflow]
    for service in airflow:
        found |= {*check_connections(service, project), *check_user(service)}
        found |= set(check_mount_sources(root, service, project))
        if platform:
            found |= set(check_image(service, platform))
    folder = platform.sub_path if platform else "dags"
    return found | set(check_dag_mounts(root, airflow, project, folder))


def check_connections(service: Service, project: ComposeProject) -> Iterable[Mistake]:
    """Compare the connection strings of a service with the PostgreSQL service they point to."""
    servers = {other.name: other for other in project.services if other.is_postgres}
    names = {other.name for other in project.services}
    for name in CONNECTIONS:
        value = service.environment.get(name)
        if value is None or not is_postgres(value):
            continue
        parts = parse_url(value)
        host = parts.hostname if parts else None
        if parts is None:
            yield invalid_url(name, value)
        elif host in servers:
            yield from compare(name, value, servers[host].environment, f"service {host}")
        elif host and servers and host not in names and "." not in host:
            text = (
                f"{name} points to a host that is not a service (found {host!r}; services: "
                f"{', '.join(sorted(names))}); use {next(iter(servers))!r} as the host"
            )
            yield Mistake(value.path, value.line, text)


def check_env(project: ComposeProject) -> Iterable[Mistake]:
    """Compare the connection strings of .env with its POSTGRES_* variables; check AIRFLOW_UID."""
    if "POSTGRES_USER" in project.variables:
        for name in CONNECTIONS:
            value = project.variables.get(name)
            if value is None or not is_postgres(value):
                continue
            if parse_url(value) is None:
                yield invalid_url(name, value)
            else:
                yield from compare(name, value, project.variables, ".env")
    uid = project.variables.get("AIRFLOW_UID")
    # With a Compose file, check_user reports the UID.
    if uid and not project.services and uid.text not in allowed_uids():
        yield wrong_uid(uid.path, uid.line, f"AIRFLOW_UID={uid.text}")


def is_postgres(value: Value) -> bool:
    return value.text.removeprefix("db+").startswith("postgres")


def parse_url(value: Value) -> SplitResult | None:
    """Return the parts of a connection string, or None if its password breaks the URL."""
    text = value.text.removeprefix("db+")
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    # With a second @, the parsed host may contain a part of the password, which must not be shown.
    return parts if text.count("@") <= 1 and parts.netloc.count("@") == text.count("@") else None


def invalid_url(name: str, value: Value) -> Mistake:
    text = (
        f"{name} is not a valid URL (the value is not shown); use a password of letters and digits, "
        "or percent-encode its other characters: %40 for @, %2F for /"
    )
    return Mistake(value.path, value.line, text)


def compare(name: str, value: Value, server: dict[str, Value], where: str) -> Iterable[Mistake]:
    """Report where a connection string and the POSTGRES_* of its server differ."""
    parts = urlsplit(value.text.removeprefix("db+"))

    def expected(key: str, default: str) -> str:
        return server[key].text if key in server else default

    user = expected("POSTGRES_USER", "postgres")
    database = expected("POSTGRES_DB", user)
    for label, key, used, wanted in (
        ("user", "POSTGRES_USER", unquote(parts.username or ""), user),
        ("name", "POSTGRES_DB", unquote(parts.path.removeprefix("/")), database),
    ):
        if used != wanted:
            text = (
                f"the database {label} in {name} does not match {where} (found {used!r}, but "
                f"{key}{location(server, key)} is {wanted!r}); use {wanted!r} in both places"
            )
            yield Mistake(value.path, value.line, text)
    if unquote(parts.password or "") != expected("POSTGRES_PASSWORD", ""):
        text = (
            f"the database password in {name} does not match {where} (POSTGRES_PASSWORD"
            f"{location(server, 'POSTGRES_PASSWORD')}; the values are not shown); use "
            "${POSTGRES_PASSWORD} in both places, without characters that a URL has to escape"
        )
        yield Mistake(value.path, value.line, text)


def location(server: dict[str, Value], key: str) -> str:
    return f" at {server[key].path}:{server[key].line}" if key in server else " (not set)"


def allowed_uids() -> set[str]:
    return {IMAGE_UID, str(os.getuid())}


def wrong_uid(path: str, line: int, found: str) -> Mistake:
    text = (
        f"Airflow would run as a user that owns no files (found {found}); use {IMAGE_UID}, the "
        f"image's user, or {os.getuid()}, your own (`id -u`)"
    )
    return Mistake(path, line, text)


def check_user(service: Service) -> Iterable[Mistake]:
    """Allow the image's user and your own, with group 0."""
    if service.user is None:
        return
    uid, _, gid = service.user.text.partition(":")
    if uid not in allowed_uids():
        place = service.user.origins[0] if service.user.origins else service.user
        yield wrong_uid(place.path, place.line, f"user {service.user.text!r}")
    if gid not in ("", "0"):
        text = (
            f"the image's folders belong to group 0 (found user {service.user.text!r}); "
            f'set user: "{uid}:0"'
        )
        yield Mistake(service.user.path, service.user.line, text)


def check_image(service: Service, platform: Platform) -> Iterable[Mistake]:
    """Compare the tag of the official image with the platform's Airflow version."""
    name, _, tag = service.image.text.partition(":") if service.image else ("", "", "")
    if name == "apache/airflow" and not tag.startswith(platform.airflow):
        text = (
            f"image is not the platform's Airflow version (found {service.image.text}; platform.yaml "
            f"has {platform.image}); use {platform.image}"
        )
        yield Mistake(service.image.path, service.image.line, text)


def check_mount_sources(root: Path, service: Service, project: ComposeProject) -> Iterable[Mistake]:
    """Report missing folders: Docker would create them, empty and owned by root."""
    for mount in service.mounts:
        # Paths outside this repository differ between machines.
        missing = mount.source.startswith(".") and not source_of(root, mount).exists()
        # An empty folder is fine for logs.
        if missing and not mount.target.endswith("/logs"):
            names = [path.name for path in root.iterdir() if path.is_dir()]
            close = get_close_matches(Path(mount.source).name, names, n=1, cutoff=0.5)
            fix = f"use ./{close[0]}" if close else "correct the path, or create the folder"
            text = f"mounts a folder that does not exist (found {mount.source}); {fix}"
            yield Mistake(project.path, mount.line, text)


def check_dag_mounts(
    root: Path, airflow: list[Service], project: ComposeProject, folder: str
) -> Iterable[Mistake]:
    """Require that every service mounts the platform's DAG folder where Airflow reads DAGs."""
    if not any(service.mounts for service in airflow):
        # The image contains the DAGs.
        return
    wanted = (root / folder).resolve()
    for service in airflow:
        configured = service.environment.get("AIRFLOW__CORE__DAGS_FOLDER")
        dags_folder = PurePosixPath(configured.text) if configured else AIRFLOW_HOME / "dags"
        mount = max(
            (m for m in service.mounts if dags_folder.is_relative_to(m.target)),
            key=lambda m: len(m.target),
            default=None,
        )
        if mount is None:
            # A DAG mount with another target is the line to correct.
            likely = [m for m in service.mounts if "dag" in f"{m.source}{m.target}".lower()]
            line = likely[0].line if likely else service.line
            found = f"{likely[0].source}:{likely[0].target}" if likely else "no DAG mount"
            text = (
                f"service {service.name} has no mount at {dags_folder}, where Airflow reads DAGs "
                f"(found {found}); mount ./{folder}:{dags_folder}"
            )
            yield Mistake(project.path, line, text)
            continue
        source = source_of(root, mount) / dags_folder.relative_to(mount.target)
        if source.resolve() != wanted and source_of(root, mount).exists():
            text = (
                f"mounts another folder than the platform's DAG folder (found {mount.source}; "
                f"platform.yaml has sub_path: {folder}); mount ./{folder}:{mount.target}"
            )
            yield Mistake(project.path, mount.line, text)


def source_of(root: Path, mount: Mount) -> Path:
    return root / Path(mount.source).expanduser()
