"""Every knob of a stack, read once and checked before any resource is declared."""

import re
from dataclasses import dataclass, fields
from typing import Annotated, Any

import pulumi
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

import cross_checks
from sections.airflow import (
    AirflowSettings,
    ChartSettings,
    DagSettings,
    GithubAppAuth,
    GitServerSettings,
    RotationSettings,
    SshAuth,
    TokenAuth,
    WorkerSettings,
    all_queues,
    need_keda,
)
from sections.fields import QueueName, Section
from sections.platform import (
    ContainerDatabaseSettings,
    EksSettings,
    ExistingClusterSettings,
    KedaSettings,
    LogSettings,
    NetworkSettings,
    RdsSettings,
    RedisSettings,
)
from sections.policies import PolicySettings


class Settings(Section):
    cluster: Annotated[EksSettings | ExistingClusterSettings, Field(discriminator="kind")]
    network: NetworkSettings | None = Field(
        default=None, description="Required for `cluster.kind: eks`; `{}` for the defaults"
    )
    database: Annotated[RdsSettings | ContainerDatabaseSettings, Field(discriminator="kind")]
    redis: RedisSettings = RedisSettings()
    dags: DagSettings
    git_server: GitServerSettings | None = Field(
        default=None, description="A Git server in the cluster, for a stack that has no Git host"
    )
    workers: WorkerSettings = WorkerSettings()
    queues: dict[QueueName, WorkerSettings] = Field(
        default={},
        description="More queues with workers of their own: `name: {the settings of workers}`",
    )
    keda: KedaSettings = KedaSettings()
    airflow: AirflowSettings = AirflowSettings()
    logs: LogSettings = LogSettings()
    charts: ChartSettings = ChartSettings()
    rotation: RotationSettings = RotationSettings()
    policies: PolicySettings = PolicySettings()

    @property
    def all_queues(self) -> dict[str, WorkerSettings]:
        return all_queues(self.workers, self.queues)

    @property
    def needs_keda(self) -> bool:
        return need_keda(self.all_queues.values())

    @property
    def installs_keda(self) -> bool:
        return self.needs_keda and not self.keda.existing

    @property
    def longest_grace_seconds(self) -> int:
        return max(queue.grace_seconds for queue in self.all_queues.values())


def _adapter(name: str) -> TypeAdapter[Any]:
    field = Settings.model_fields[name]
    annotated: Any = Annotated
    return TypeAdapter(annotated[field.annotation, field])


def load() -> Settings:
    """Read the settings of the stack, or stop the run with one line per mistake."""
    config = pulumi.Config()
    key = config.full_key("settings")
    settings = parse(config.get_object("settings"), key)
    for where, what in cross_checks.warnings(settings.all_queues):
        pulumi.log.warn(f"Pulumi.{pulumi.get_stack()}.yaml: {key}.{where}: {what}")
    return settings


def parse(given: Any, key: str) -> Settings:
    """Check what stands under `key` in the stack file.

    Raises `pulumi.RunError`, which ends a run without a traceback, with every mistake at once.
    """
    if not isinstance(given, dict | None):
        raise pulumi.RunError(
            f"Pulumi.{pulumi.get_stack()}.yaml:\n  {key}: should be a map of sections"
        )
    given = given or {}
    errors: list[ErrorDetails] = []
    try:
        sections = dict(Settings.model_validate(given))
    except ValidationError as bad:
        errors = bad.errors()
        broken = {error["loc"][0] for error in errors}
        sections = {
            name: _adapter(name).validate_python(given[name]) if name in given else field.default
            for name, field in Settings.model_fields.items()
            if name not in broken
        }
    lines = [_explain(given, error) for error in errors]
    lines += [f"{where}: {what}" for where, what in cross_checks.mistakes(sections)]
    if lines:
        text = "\n".join(f"  {key}.{line}" for line in lines)
        raise pulumi.RunError(f"Pulumi.{pulumi.get_stack()}.yaml:\n{text}")
    return Settings.model_construct(**sections)


_REASONS = {
    "missing": "is required",
    "extra_forbidden": "is not a known setting",
    "union_tag_not_found": "kind is required",
    "union_tag_invalid": "kind should be one of {expected_tags}, got {tag!r}",
}


def _explain(given: Any, error: ErrorDetails) -> str:
    """Name the key as it stands in the file, what is wrong with it, and what was found there."""
    path: list[str] = []
    union_seen = False
    for part in error["loc"]:
        # In a union pydantic puts the `kind` into the location first; the file has no such key.
        if not union_seen and isinstance(given, dict) and part == given.get("kind"):
            union_seen = True
            continue
        if part == "[key]":  # pydantic's word for: the name itself is wrong, not what stands there
            continue
        path.append(str(part))
        inner = isinstance(given, dict) or isinstance(part, int)
        given = given[part] if inner and part in _keys(given) else None
        union_seen = False
    if error["type"] in _REASONS:
        reason = _REASONS[error["type"]].format(**error.get("ctx", {}))
    else:
        reason = error["msg"].removeprefix("Value error, ")
        if isinstance(error["input"], str | int | float):
            reason += f", got {_without_credentials(error['input'])!r}"
    return f"{'.'.join(path)}: {reason}"


def _keys(given: Any) -> Any:
    return given.keys() if isinstance(given, dict) else range(len(given or ()))


def _without_credentials(value: Any) -> Any:
    return (
        re.sub(r"^(\w+://)?.*@", r"\1***@", value, flags=re.DOTALL)
        if isinstance(value, str)
        else value
    )


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
