"""Secrets of a stack: top-level encrypted keys of the stack file."""

from dataclasses import dataclass, fields

import pulumi

from settings.dags import DagSettings, GithubAppAuth, SshAuth, TokenAuth


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Secrets that the stack file may hold, encrypted; what it does not hold is generated."""

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


def load_secrets(dags: DagSettings) -> Secrets:
    """Read the secrets of the stack. What `dags.auth` needs is required, the rest is optional.

    They are top-level keys: inside `settings` they would lose their mark (pulumi/pulumi#7127).
    """
    config = pulumi.Config()
    if isinstance(dags.auth, TokenAuth):
        config.require_secret("git_token")
    if isinstance(dags.auth, SshAuth):
        config.require_secret("git_ssh_key")
    if isinstance(dags.auth, GithubAppAuth):
        config.require_secret("github_app_key")
    return Secrets(**{field.name: config.get_secret(field.name) for field in fields(Secrets)})
