"""Checks Airflow options and environment variables offline.

airflow_options.json lists the options of Airflow and its providers
(`python -m ops.docs.airflow_options` writes it).
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from policies.confidential import NAMES, secret_in

FILE = Path(__file__).with_name("airflow_options.json")
# Airflow passes every option of these sections on, for example to Celery.
OPEN_SECTIONS = (
    *("celery_broker_transport_options", "celery_result_backend_transport_options"),
    *("elasticsearch_configs", "opensearch_configs", "sentry"),
)
# Airflow reads a secret option also from a command, or from the secrets backend:
# https://airflow.apache.org/docs/apache-airflow/stable/howto/set-config.html
FORM = re.compile(r"_(cmd|secret)$")
# Of `backend_kwargs`, for example; not a reference such as `{"password": "${NAME}"}`.
JSON_SECRET = re.compile(
    r"""["']\w*(password|passwd|secret|secret_id|token|access_key)["']\s*:\s*["'][^"'${}]""", re.I
)
# Secret options that often hold no secret, such as the prefix of a secrets backend: their value
# decides.
MAY_BE_PUBLIC = ("_kwargs", "_args", "username")
# Current names of options whose former names Airflow still reads, that the chart or values/ set.
TAKEN = ("api.workers", "core.execution_api_server_url")
SMTP = "the connection smtp_default has it, such as airflow.secret_env.AIRFLOW_CONN_SMTP_DEFAULT"
# What replaces an option that was removed.
INSTEAD = {"smtp.smtp_user": SMTP, "smtp.smtp_password": SMTP}
RESERVED = {
    "AIRFLOW_HOME": "is fixed by the chart",
    "AIRFLOW_CONN_AIRFLOW_DB": "is the connection of KEDA; use another connection id",
}


@dataclass(frozen=True)
class _Known:
    """The content of airflow_options.json."""

    version: str
    # Sections of providers, whose version depends on the image.
    provider_sections: list[str]
    options: dict[str, list[str]]
    sensitive: list[str]
    # Minor version of Airflow that introduced an option, if later than `version`.
    added: dict[str, str]
    # Current name of a former option; None if it was removed.
    moved: dict[str, str | None]
    # Former names that Airflow reads if the current name has no value.
    still_read: list[str]


@cache
def known() -> _Known:
    return _Known(**json.loads(FILE.read_text()))


def variable(name: str) -> str:
    """Environment variable of `section.option`."""
    section, _, option = name.rpartition(".")
    return f"AIRFLOW__{section.replace('.', '_')}__{option}".upper()


def option_of(variable_name: str) -> str | None:
    """`section.option` that an environment variable sets."""
    match = re.fullmatch(r"AIRFLOW__(.+?)__(.+)", variable_name)
    if match is None:
        return None
    section, option = match[1].lower(), match[2].lower()
    dotted = {each.replace(".", "_"): each for each in known().options}
    return f"{dotted.get(section, section)}.{option}"


def mistakes(
    config: Mapping[str, Mapping[str, Any]], *, version: str, taken: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Key and mistake of every option that is a secret, or that Airflow does not read.

    `taken` are options with a value from elsewhere.
    """
    names = {f"{section}.{option}" for section, given in config.items() for option in given}
    names |= {*taken, *TAKEN}
    for section, given in config.items():
        for option, value in given.items():
            name = f"{section}.{option}"
            what = _secret(name, value) or _void(name, version, names)
            if what:
                yield name, what


def unlisted(config: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Options that may belong to another version of a provider, or to code of the image."""
    for section, given in config.items():
        for option in given:
            name = f"{section}.{option}"
            if _void(name, known().version, ()) is None and not _is_listed(name):
                yield name


def variable_mistakes(
    env: Mapping[str, Any],
    secret_env: Collection[str],
    *,
    version: str,
    derived: Mapping[str, str],
    queue: bool,
) -> Iterator[tuple[str, str]]:
    """Key and mistake of environment variables, of every component or of one queue."""
    for name, value in env.items():
        option = option_of(name)
        kind = "a secret by its name" if NAMES.search(name) else _secret_in(str(value))
        if option in known().sensitive and not name.lower().endswith(MAY_BE_PUBLIC):
            kind = "a secret"
        if name in secret_env:
            yield f"env.{name}", "is in secret_env, too; keep one of them"
        elif what := not_free(name, version, derived):
            yield f"env.{name}", what
        elif kind:
            yield (
                f"env.{name}",
                f"holds {kind}, and the stack file is plain text; put it into a Kubernetes Secret, and "
                f"set secret_env.{name}: <name of the Secret>/<key>",
            )
        elif option and not queue:
            yield f"env.{name}", f"is an Airflow option; set config.{option} instead"
    for name in secret_env:
        if what := not_free(name, version, derived):
            yield f"secret_env.{name}", what


def not_free(name: str, version: str, derived: Mapping[str, str]) -> str | None:
    """Why a variable is of no use: the chart or the program sets it, or Airflow does not read it."""
    option = option_of(name)
    if name in RESERVED or option is None:
        return RESERVED.get(name)
    return derived.get(option) or derived.get(FORM.sub("", option)) or _void(option, version, ())


def _secret_in(text: str) -> str | None:
    return "a password in JSON" if JSON_SECRET.search(text) else secret_in(text)


def _secret(name: str, value: Any) -> str | None:
    """What is wrong with an option that is a secret by the list, by its name or by its value."""
    data = known()
    if name in data.sensitive and not name.endswith(MAY_BE_PUBLIC):
        kind = "a secret"
    elif not _is_listed(name) and NAMES.search(name):
        kind = "a secret by its name"
    else:
        kind = _secret_in(str(value))
    return kind and (
        f"holds {kind}, and airflow.cfg is plain text; put it into a Kubernetes Secret, and set "
        f"airflow.secret_env.{variable(name)}: <name of the Secret>/<key>"
    )


def _is_listed(name: str) -> bool:
    section, _, option = name.rpartition(".")
    data = known()
    return (
        section in OPEN_SECTIONS
        or option in data.options.get(section, ())
        or FORM.sub("", name) in data.sensitive
        or name in data.moved
    )


def _void(name: str, version: str, taken: Collection[str]) -> str | None:
    """Why Airflow does not read an option; None for one that it reads, or may read."""
    data = known()
    section, _, option = name.rpartition(".")
    release = f"Airflow {version}"
    former = FORM.sub("", name)
    if former in data.moved:
        current = data.moved[former]
        if current is None:
            return "; ".join(filter(None, (f"was removed from {release}", INSTEAD.get(former))))
        if former not in data.still_read:
            return f"was renamed to {current}, and {release} reads only that name"
        if current in taken:
            return f"is void: it is the former name of {current}, which has a value, too; remove it"
        return None
    if data.added.get(name, "") > version:
        return f"is new in Airflow {data.added[name]}, and airflow.version is {version}; remove it"
    if _is_listed(name):
        return None
    if section not in data.options:
        similar = get_close_matches(section.lower(), data.options, n=1, cutoff=0.8)
        hint = f"; did you mean {similar[0]}.{option}?" if similar else None
        return hint and f"{section} is not a section of {release}{hint}"
    if former in (f"{section}.{each}" for each in data.options[section]):
        return f"is no option of {release}: only a secret can come from a command or a backend"
    elsewhere = [f"{each}.{option}" for each in data.options if option in data.options[each]]
    similar = get_close_matches(option.lower(), data.options[section], n=1, cutoff=0.8)
    candidates = [*(f"{section}.{each}" for each in similar), *elsewhere]
    if not candidates and section in data.provider_sections:
        return None
    hint = f"; did you mean {candidates[0]}?" if candidates else "; remove it"
    return f"is not an option of {release}{hint}"
