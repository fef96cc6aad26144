"""Does the Airflow of compose.yaml find its database, own its files and read these DAGs?"""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from checks.compose import Local, Mount, Service
from checks.mistake import Mistake
from checks.platform import Platform
from checks.variables import Value

CONNECTIONS = (
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__CELERY__RESULT_BACKEND",
    "AIRFLOW__CORE__SQL_ALCHEMY_CONN",
    "AIRFLOW_CONN_AIRFLOW_DB",
)
IMAGE_UID = "50000"  # https://airflow.apache.org/docs/docker-stack/entrypoint.html
AIRFLOW_HOME = PurePosixPath("/opt/airflow")


def check(root: Path, local: Local, platform: Platform | None) -> set[Mistake]:
    """Return what is wrong, once, however many services share the line."""
    found = set(of_env_file(local))
    airflow = [service for service in local.services if service.is_airflow]
    for service in airflow:
        found |= {*of_database(service, local), *of_user(service)}
        found |= set(of_mounts(root, service, local))
        if platform:
            found |= set(of_image(service, platform))
    folder = platform.sub_path if platform else "dags"
    return found | set(of_dags(root, airflow, local, folder))


def of_database(service: Service, local: Local) -> Iterable[Mistake]:
    """Compare each connection string with the PostgreSQL that it leads to."""
    servers = {other.name: other for other in local.services if other.is_postgres}
    names = {other.name for other in local.services}
    for name in CONNECTIONS:
        value = service.environment.get(name)
        if value is None or not is_postgres(value):
            continue
        parts = parts_of(value)
        host = parts.hostname if parts else None
        if parts is None:
            yield unreadable(name, value)
        elif host in servers:
            yield from compare(name, value, servers[host].environment, f"the service {host}")
        elif host and servers and host not in names and "." not in host:
            text = (
                f"{name} leads to a host that no service is called (found {host!r}; services: "
                f"{', '.join(sorted(names))}); write {next(iter(servers))!r} for the host"
            )
            yield Mistake(value.path, value.line, text)


def of_env_file(local: Local) -> Iterable[Mistake]:
    """Compare connection strings and POSTGRES_* of .env with each other, and its UID."""
    if "POSTGRES_USER" in local.variables:
        for name in CONNECTIONS:
            value = local.variables.get(name)
            if value is None or not is_postgres(value):
                continue
            if parts_of(value) is None:
                yield unreadable(name, value)
            else:
                yield from compare(name, value, local.variables, ".env")
    uid = local.variables.get("AIRFLOW_UID")
    # With a compose.yaml it is told of the services that use it.
    if uid and not local.services and uid.text not in allowed_uids():
        yield uid_mistake(uid.path, uid.line, f"AIRFLOW_UID={uid.text}")


def is_postgres(value: Value) -> bool:
    return value.text.removeprefix("db+").startswith("postgres")


def parts_of(value: Value) -> SplitResult | None:
    """Return a connection string in its parts, or None if its password takes it apart."""
    text = value.text.removeprefix("db+")
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    # With more than one @, what seems to be the host may be half of a password: it must not be shown.
    return parts if text.count("@") <= 1 and parts.netloc.count("@") == text.count("@") else None


def unreadable(name: str, value: Value) -> Mistake:
    text = (
        f"{name} cannot be read as a URL (it is not shown); choose a password of letters and digits, "
        "or write its other characters as in a URL: %40 for @, %2F for /"
    )
    return Mistake(value.path, value.line, text)


def compare(name: str, value: Value, server: dict[str, Value], where: str) -> Iterable[Mistake]:
    """Tell where a connection string and the POSTGRES_* of its server differ."""
    parts = urlsplit(value.text.removeprefix("db+"))

    def given(key: str, otherwise: str) -> str:
        return server[key].text if key in server else otherwise

    user = given("POSTGRES_USER", "postgres")
    used = unquote(parts.username or "")
    if used != user:
        text = (
            f"the database user of {name} is not the one of {where} (found {used!r} here, "
            f"POSTGRES_USER{at(server, 'POSTGRES_USER')} is {user!r}); write {user!r} in both places"
        )
        yield Mistake(value.path, value.line, text)
    if unquote(parts.password or "") != given("POSTGRES_PASSWORD", ""):
        text = (
            f"the database password of {name} is not the one of {where} (POSTGRES_PASSWORD"
            f"{at(server, 'POSTGRES_PASSWORD')}; neither is shown); write ${{POSTGRES_PASSWORD}} in both "
            "places, and no character in it that a URL would need escaped"
        )
        yield Mistake(value.path, value.line, text)
    database = given("POSTGRES_DB", user)
    opened = unquote(parts.path.removeprefix("/"))
    if opened != database:
        text = (
            f"the database name of {name} is not the one of {where} (found {opened!r} here, "
            f"POSTGRES_DB{at(server, 'POSTGRES_DB')} is {database!r}); write {database!r} in both places"
        )
        yield Mistake(value.path, value.line, text)


def at(server: dict[str, Value], key: str) -> str:
    return f" at {server[key].path}:{server[key].line}" if key in server else ", not set,"


def allowed_uids() -> set[str]:
    return {IMAGE_UID, str(os.getuid())}


def uid_mistake(path: str, line: int, found: str) -> Mistake:
    text = (
        f"Airflow would run as a user who owns nothing (found {found}); write {IMAGE_UID}, the user in "
        f"the image, or {os.getuid()}, which is you (`id -u`)"
    )
    return Mistake(path, line, text)


def of_user(service: Service) -> Iterable[Mistake]:
    """Compare `user:` with the users that there are: the image's and yours."""
    if service.user is None:
        return
    uid, _, gid = service.user.text.partition(":")
    if uid not in allowed_uids():
        place = service.user.origins[0] if service.user.origins else service.user
        yield uid_mistake(place.path, place.line, f"user {service.user.text!r}")
    if gid not in ("", "0"):
        text = (
            f"the folders in the image belong to group 0 (found user {service.user.text!r}); "
            f'write user: "{uid}:0"'
        )
        yield Mistake(service.user.path, service.user.line, text)


def of_image(service: Service, platform: Platform) -> Iterable[Mistake]:
    """Compare the tag of Airflow's own image with the version of the platform."""
    name, _, tag = service.image.text.partition(":") if service.image else ("", "", "")
    if name == "apache/airflow" and not tag.startswith(platform.airflow):
        text = (
            f"the platform runs another Airflow (found {service.image.text}; platform.yaml has "
            f"{platform.image}); write {platform.image}"
        )
        yield Mistake(service.image.path, service.image.line, text)


def of_mounts(root: Path, service: Service, local: Local) -> Iterable[Mistake]:
    """Tell which folders Docker would make anew, empty and owned by root."""
    for mount in service.mounts:
        # What lies outside of this repository differs from machine to machine.
        missing = mount.source.startswith(".") and not source_of(root, mount).exists()
        # Nothing has to be in the folder of logs.
        if missing and not mount.target.endswith("/logs"):
            near = get_close_matches(Path(mount.source).name, folders(root), n=1, cutoff=0.5)
            fix = f"write ./{near[0]}" if near else "correct the path, or make that folder"
            text = f"mounts a folder that is not there (found {mount.source}); {fix}"
            yield Mistake(local.path, mount.line, text)


def of_dags(root: Path, airflow: list[Service], local: Local, folder: str) -> Iterable[Mistake]:
    """Follow the DAG folder of the services back to this machine: it must be the platform's."""
    if not any(service.mounts for service in airflow):
        # The DAGs are in the image.
        return
    wanted = (root / folder).resolve()
    for service in airflow:
        given = service.environment.get("AIRFLOW__CORE__DAGS_FOLDER")
        inside = PurePosixPath(given.text) if given else AIRFLOW_HOME / "dags"
        mount = max(
            (m for m in service.mounts if inside.is_relative_to(m.target)),
            key=lambda m: len(m.target),
            default=None,
        )
        if mount is None:
            # Somebody mounted the DAGs, but elsewhere: that line is the one to correct.
            likely = [m for m in service.mounts if "dag" in f"{m.source}{m.target}".lower()]
            line = likely[0].line if likely else service.line
            found = f"{likely[0].source}:{likely[0].target}" if likely else "no such volume"
            text = (
                f"service {service.name} has no DAGs at {inside}, where Airflow looks for them "
                f"(found {found}); mount ./{folder}:{inside}"
            )
            yield Mistake(local.path, line, text)
            continue
        source = source_of(root, mount) / inside.relative_to(mount.target)
        if source.resolve() != wanted and source_of(root, mount).exists():
            text = (
                f"mounts another folder than the platform reads (found {mount.source}, platform.yaml "
                f"has sub_path: {folder}); write ./{folder}:{mount.target}"
            )
            yield Mistake(local.path, mount.line, text)


def source_of(root: Path, mount: Mount) -> Path:
    return root / Path(mount.source).expanduser()


def folders(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.is_dir()]
