"""Secrets of a stack: top-level encrypted keys of the stack file."""

from dataclasses import dataclass, fields

import pulumi

from settings.dags import DagSettings, git_secret
from settings.database import ExistingDatabaseSettings
from settings.stack import Settings


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
    keda_password: pulumi.Output[str] | None
    image_pull_credentials: pulumi.Output[str] | None


def load_secrets(settings: Settings) -> Secrets:
    """Read the secrets of the stack, and require those that its settings need.

    Secrets are top-level keys: inside `settings`, Pulumi would lose their secret mark
    (pulumi/pulumi#7127).
    """
    config = pulumi.Config()
    if name := git_secret(settings.dags.auth):
        config.require_secret(name)
    if settings.airflow.sso is not None:
        config.require_secret("sso_client_secret")
    if isinstance(settings.database, ExistingDatabaseSettings):
        config.require_secret("database_password")
    if config.get("image_pull_credentials") is not None and settings.images.pull_secret is None:
        raise pulumi.RunError(
            f"Pulumi.{pulumi.get_stack()}.yaml:\n  {config.full_key('image_pull_credentials')}: needs "
            "images.pull_secret, the name of the Secret that gets these credentials"
        )
    return Secrets(**{field.name: config.get_secret(field.name) for field in fields(Secrets)})


def load_logins(dags: DagSettings) -> dict[str, pulumi.Output[str]]:
    """Secrets of the logins in `dags.repositories`, by the repository's name.

    Each has its own key, such as `git_token_NAME`: no Git host gets the secret of another one.
    """
    config = pulumi.Config()
    return {
        name: config.require_secret(f"{secret}_{name}")
        for name, repository in dags.repositories.items()
        if (secret := git_secret(repository.auth))
    }
