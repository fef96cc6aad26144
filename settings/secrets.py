"""Secrets of a stack: top-level encrypted keys of the stack file."""

from dataclasses import dataclass, fields

import pulumi

from settings.dags import DagSettings, GithubAppAuth, SshAuth, TokenAuth
from settings.sso import SsoSettings


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Encrypted secrets of the stack file; a missing secret is generated."""

    fernet_key: pulumi.Output[str] | None
    api_secret_key: pulumi.Output[str] | None
    jwt_secret: pulumi.Output[str] | None
    admin_password: pulumi.Output[str] | None
    database_password: pulumi.Output[str] | None
    redis_password: pulumi.Output[str] | None
    git_token: pulumi.Output[str] | None
    git_ssh_key: pulumi.Output[str] | None
    github_app_key: pulumi.Output[str] | None
    git_webhook_secret: pulumi.Output[str] | None
    sso_client_secret: pulumi.Output[str] | None


def load_secrets(dags: DagSettings, sso: SsoSettings | None = None) -> Secrets:
    """Read the secrets of the stack. Only those of `dags.auth` and `airflow.sso` are required.

    Secrets are top-level keys: inside `settings`, Pulumi would lose their secret mark
    (pulumi/pulumi#7127).
    """
    config = pulumi.Config()
    if isinstance(dags.auth, TokenAuth):
        config.require_secret("git_token")
    if isinstance(dags.auth, SshAuth):
        config.require_secret("git_ssh_key")
    if isinstance(dags.auth, GithubAppAuth):
        config.require_secret("github_app_key")
    if sso is not None:
        config.require_secret("sso_client_secret")
    return Secrets(**{field.name: config.get_secret(field.name) for field in fields(Secrets)})
