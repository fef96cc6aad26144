"""Rules that keep secrets out of plain text. They need the secret marks, which only the plan has."""

import re
from collections.abc import Iterator
from typing import Any

from policies import chart_values
from policies.rule import Finding, Rule
from policies.view import Secret, Stack

# What a secret looks like, wherever it stands.
LOOKS = {
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    # Not a placeholder, as code and compose.yaml have it.
    "a URL with a password": re.compile(r"://[^/\s:@]*:[^/\s:@${}]+@"),
    "a token of a Git host": re.compile(r"\b(gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{16,}"),
    "a Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
}
# Names whose value is a secret.
NAMES = re.compile(r"(password|passwd|token|secret|private_?key|access_?key|fernet_?key)$", re.I)
# Where a chart wants a value that it does not use, values/ says in which Secret it really is.
PLACEHOLDER = "in-secret-"


def _secrets_are_marked(stack: Stack) -> Iterator[Finding]:
    for secret in stack.all("kubernetes:core/v1:Secret"):
        for kind in ("data", "stringData"):
            content = secret.inputs.get(kind) or {}
            plain = {} if isinstance(content, Secret) else content
            for key, value in plain.items():
                if not isinstance(value, Secret):
                    yield Finding(
                        resource=secret.name,
                        urn=secret.urn,
                        what=f"{kind}.{key} is not marked as secret",
                        fix="Wrap it in pulumi.Output.secret",
                    )


def _releases_hold_no_secret(stack: Stack) -> Iterator[Finding]:
    for release in stack.all(chart_values.RELEASE):
        for path, value in _leaves(release.inputs.get("values"), "values"):
            if isinstance(value, Secret):
                yield Finding(
                    resource=release.name,
                    urn=release.urn,
                    what=f"{path} is a secret",
                    fix="Put it into a Kubernetes Secret and name that",
                )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        # An entry of `env`: the name of the variable is what tells.
        if isinstance(value.get("name"), str) and "value" in value:
            yield f"{path}.{value['name']}", value["value"]
        else:
            for key, inner in value.items():
                yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    else:
        yield path, value


def _looks_like(path: str, text: str) -> str | None:
    checksum = "checksum/" in path  # of a Secret, to restart pods: components/named_secret.py
    if NAMES.search(path) and text and not (checksum or text.startswith(PLACEHOLDER)):
        return "a secret by its name"
    return next((what for what, look in LOOKS.items() if look.search(text)), None)


def _nothing_looks_secret(stack: Stack) -> Iterator[Finding]:
    for resource in stack.resources:
        inputs = resource.inputs
        if resource.type == chart_values.RELEASE:
            inputs = {**inputs, "values": chart_values.of(inputs)}
        # The rule for Secrets has said it better already.
        if resource.type == "kubernetes:core/v1:Secret":
            continue
        for path, value in _leaves(inputs, ""):
            what = _looks_like(path, value) if isinstance(value, str) else None
            if what:
                yield Finding(
                    resource=resource.name,
                    urn=resource.urn,
                    what=f"{path} looks like {what}",
                    fix="`pulumi config set --secret` it, and hand it over in a Kubernetes Secret",
                )


RULES = (
    Rule(
        name="secrets-are-marked",
        reason="What is not marked stands in plain text in the state",
        check=_secrets_are_marked,
        seen_by="plan",
    ),
    Rule(
        name="releases-hold-no-secret",
        reason="Helm keeps values in plain text in every revision",
        check=_releases_hold_no_secret,
        seen_by="plan",
    ),
    Rule(
        name="nothing-looks-secret",
        reason="Whoever reads the code, the state or the pods could read it",
        check=_nothing_looks_secret,
        seen_by="plan",
    ),
)
