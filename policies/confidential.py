"""Rules against secrets in plain text. They need the secret marks, which only the plan has."""

import re
from collections.abc import Iterator
from typing import Any

from policies import chart_values
from policies.rule import Finding, Rule
from policies.view import Secret, Stack

# Values that are secrets.
PATTERNS = {
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    # Not a placeholder such as `${PASSWORD}` or `<password>` in code and documentation.
    "a URL with a password": re.compile(r"://[^/\s:@]*:[^/\s:@${}<>]+@"),
    "a Git host token": re.compile(r"\b(gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{16,}"),
    "a Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a Slack webhook": re.compile(r"://hooks\.slack\.com/services/\w+/\w+/\w+"),
    # Sentry's data source name, for example.
    "a URL with a key": re.compile(r"://[0-9a-f]{32}@"),
}
# Properties and environment variables whose value is a secret.
NAMES = re.compile(
    r"(password|passwd|token|secret|api_?key|private_?key|access_?key|fernet_?key)$", re.I
)
# Of the Airflow chart: settings/options.py knows the secret ones by name, and `client_secret_secret`
# is the name of a secret.
OPTIONS = "values.config."
# In values/, for a value that a chart requires but reads from a Secret: the name of the Secret.
PLACEHOLDER = "in-secret-"


def _encrypted_in_state(stack: Stack) -> Iterator[Finding]:
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


def _no_secrets_in_values(stack: Stack) -> Iterator[Finding]:
    for release in stack.all(chart_values.RELEASE):
        for path, value in _leaves(release.inputs.get("values"), "values"):
            if isinstance(value, Secret):
                yield Finding(
                    resource=release.name,
                    urn=release.urn,
                    what=f"{path} is a secret",
                    fix="Store it in a Kubernetes Secret and reference the Secret",
                )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        # An entry of `env`: the variable name is part of the path.
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


def secret_in(text: str) -> str | None:
    """What secret a text contains, by its form."""
    return next((kind for kind, pattern in PATTERNS.items() if pattern.search(text)), None)


def _secret_kind(path: str, text: str) -> str | None:
    checksum = (
        "checksum/" in path
    )  # of a Secret, to restart pods: components/support/named_secret.py
    option = path.startswith(OPTIONS)
    if NAMES.search(path) and text and not (checksum or option or text.startswith(PLACEHOLDER)):
        return "a secret by its name"
    return secret_in(text)


def _no_plaintext_secrets(stack: Stack) -> Iterator[Finding]:
    for resource in stack.resources:
        inputs = resource.inputs
        if resource.type == chart_values.RELEASE:
            inputs = {**inputs, "values": chart_values.of(inputs)}
        # _encrypted_in_state checks Kubernetes Secrets.
        if resource.type == "kubernetes:core/v1:Secret":
            continue
        for path, value in _leaves(inputs, ""):
            kind = _secret_kind(path, value) if isinstance(value, str) else None
            if kind:
                yield Finding(
                    resource=resource.name,
                    urn=resource.urn,
                    what=f"{path} looks like {kind}",
                    fix="Store it with `pulumi config set --secret` and pass it in a Kubernetes Secret",
                )


RULES = (
    Rule(
        name="secrets-encrypted-in-state",
        former_name="secrets-are-marked",
        reason="Pulumi stores values that are not marked as secret in plain text in the state",
        check=_encrypted_in_state,
        seen_by="plan",
    ),
    Rule(
        name="no-secrets-in-helm-values",
        former_name="releases-hold-no-secret",
        reason="Helm stores values in plain text in every release revision",
        check=_no_secrets_in_values,
        seen_by="plan",
    ),
    Rule(
        name="no-plaintext-secrets",
        former_name="nothing-looks-secret",
        reason="Secrets in plain text are readable in the code, the state and the pods",
        check=_no_plaintext_secrets,
        seen_by="plan",
    ),
)
