"""Every knob of a stack, read once and checked before any resource is declared."""

import ipaddress
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import pulumi
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

import capacity
import cross_checks

# https://airflow.apache.org/docs/helm-chart/1.22.0/ supports 3.0+; the values in values/ need 3.2.
AIRFLOW_VERSIONS = ("3.2", "3.3")
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html : a VPC is /16 at the largest.
VPC_PREFIX = 16
# 4,091 addresses for nodes and pods in each zone; the first block is cut into the public subnets.
PRIVATE_PREFIX = 20
ANYWHERE = "0.0.0.0/0"

# Airflow options that other settings decide. Setting them twice would hide which one wins.
DERIVED_OPTIONS = {
    "api.base_url": "airflow.base_url",
    "celery.worker_concurrency": "workers.concurrency",
    "core.executor": "nothing: it is CeleryExecutor",
    "core.parallelism": "airflow.parallelism",
    "database.sql_alchemy_max_overflow": "capacity.py, which counts connections with it",
    "database.sql_alchemy_pool_size": "capacity.py, which counts connections with it",
    "dag_processor.refresh_interval": "dags.poll_seconds",
    "dag_processor.bundle_refresh_check_interval": "dags.poll_seconds",
    "logging.remote_base_log_folder": "nothing: it is the bucket of the stack",
}
SECRET_OPTION = re.compile(r"(password|secret|_key|fernet|token|_conn$|broker_url|result_backend)")


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError as bad:
        raise ValueError(f"should be an IPv4 network such as 10.0.0.0/16 ({bad})") from None


def _bare_url(value: str) -> str:
    """A Git URL that carries no credentials: they would stand in plain text in state and on pods."""
    host = value.removeprefix("ssh://").partition("/")[0]
    login_of_ssh = re.fullmatch(r"[A-Za-z0-9._-]+@[^@]+", host) and not value.startswith("http")
    if "?" in value or ("@" in value and (value.count("@") > 1 or not login_of_ssh)):
        raise ValueError("must not carry credentials; use dags.auth and a secret")
    return value


def _public_url(value: str) -> str:
    if "@" in value:
        raise ValueError("must not carry credentials")
    return value


def _airflow_version(value: str) -> str:
    if value.rpartition(".")[0] not in AIRFLOW_VERSIONS:
        known = " or ".join(f"{version}.x" for version in AIRFLOW_VERSIONS)
        raise ValueError(f"should be {known} for this chart")
    return value


def _image(value: str) -> str:
    if ":" in value.rpartition("/")[2]:
        raise ValueError("should have no tag: the tag is airflow.version")
    return value


def _sub_path(value: str) -> str:
    if value and {"", ".", ".."} & set(value.split("/")):
        raise ValueError("should be a folder in the repository, such as dags or team/dags")
    return value


def _is_directory(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # too long, or a character that no file system takes
        return False


def _instance_class(value: str) -> str:
    if not re.fullmatch(capacity.INSTANCE_CLASS, value):
        raise ValueError("should be an RDS class such as db.t4g.medium or db.m7g.large")
    return value


def _option(value: Any) -> str | int | float | bool:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("should be a text, a number, true or false")
    return value


def _chart_source(value: str) -> str:
    if not value.startswith(("https://", "oci://")) and not _is_directory(value):
        raise ValueError("should be an https:// or oci:// repository, or a directory")
    return _public_url(value)


Cidr = Annotated[str, AfterValidator(_cidr)]
GitUrl = Annotated[
    str, Field(pattern=r"^((https|ssh|git)://[^/]+/.|git@[^:]+:.)"), AfterValidator(_bare_url)
]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
# https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/ : above 1 m.
Cpu = Annotated[float, Field(ge=0.01, le=96)]
InstanceClass = Annotated[str, AfterValidator(_instance_class)]
Option = Annotated[Any, AfterValidator(_option)]
Replicas = Annotated[int, Field(ge=1, le=10)]
Generation = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A block of `Pulumi.<stack>.yaml`. Keys are spelled as here; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NetworkSettings(Section):
    cidr: Cidr = Field(default="10.0.0.0/16", description="Address range of the VPC")
    az_count: int = Field(default=2, ge=2, le=3, description="Availability zones")
    nat: Literal["single", "per_az"] = Field(
        default="single", description="NAT gateways: `single` is cheap, `per_az` survives a zone"
    )

    @model_validator(mode="after")
    def _subnets_fit(self) -> "NetworkSettings":
        prefix = ipaddress.IPv4Network(self.cidr).prefixlen
        blocks = 2 ** max(0, PRIVATE_PREFIX - prefix)
        if prefix < VPC_PREFIX or blocks < 1 + self.az_count:
            raise ValueError(
                f"cidr {self.cidr} should be /{VPC_PREFIX} to /{PRIVATE_PREFIX - 2}: it needs room for "
                f"{self.az_count} private subnets of /{PRIVATE_PREFIX}, and one more for the public ones"
            )
        return self


class EksSettings(Section):
    kind: Literal["eks"]
    version: str = Field(default="1.34", pattern=r"^1\.\d\d$", description="Kubernetes version")
    private_endpoint: bool = Field(
        default=False, description="No public Kubernetes endpoint at all: run Pulumi inside the VPC"
    )
    public_access_cidrs: tuple[Cidr, ...] = Field(
        default=(), description="Who reaches the public Kubernetes endpoint", strict=False
    )
    admin_role_arns: tuple[RoleArn, ...] = Field(
        default=(), description="IAM roles that administer the cluster", strict=False
    )
    protect: bool = Field(default=False, description="Refuse to delete the cluster")

    @model_validator(mode="after")
    def _endpoint_is_open_on_purpose(self) -> "EksSettings":
        if self.private_endpoint and self.public_access_cidrs:
            raise ValueError("public_access_cidrs needs private_endpoint: false")
        if not self.private_endpoint and not self.public_access_cidrs:
            raise ValueError(
                "public_access_cidrs is required unless private_endpoint is true; list your networks, "
                f'or write ["{ANYWHERE}"] out to open the endpoint to the Internet'
            )
        return self


class ExistingClusterSettings(Section):
    kind: Literal["existing"]
    context: str = Field(
        min_length=1, description="Context in your kubeconfig, never the current one"
    )


class RdsSettings(Section):
    kind: Literal["rds"]
    instance_class: InstanceClass = Field(
        default="db.t4g.medium", description="Size of the database server"
    )
    storage_gb: int = Field(default=20, ge=20, le=65536, description="Storage at the start, in GiB")
    max_storage_gb: int = Field(
        default=100, ge=20, le=65536, description="Storage grows by itself up to this, in GiB"
    )
    multi_az: bool = Field(default=False, description="A standby in a second zone")
    backup_days: int = Field(
        default=7, ge=1, le=35, description="Days that point-in-time recovery reaches back"
    )
    protect: bool = Field(default=False, description="Refuse to delete; keep a final snapshot")

    @model_validator(mode="after")
    def _storage_can_grow(self) -> "RdsSettings":
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html : 10 % at least
        if self.max_storage_gb * 10 < self.storage_gb * 11:
            raise ValueError("max_storage_gb must exceed storage_gb by a tenth")
        return self

    @property
    def max_connections(self) -> int:
        return capacity.rds_max_connections(self.instance_class)


class ContainerDatabaseSettings(Section):
    kind: Literal["container"]
    storage_gb: int = Field(default=5, ge=1, le=1000, description="Volume of PostgreSQL, in GiB")

    @property
    def max_connections(self) -> int:
        return capacity.CONTAINER_MAX_CONNECTIONS


class RedisSettings(Section):
    storage_gb: int = Field(default=2, ge=1, le=100, description="Volume of Redis, in GiB")
    memory_mb: int = Field(
        default=256, ge=64, le=16384, description="Data that Redis may hold, in MiB (`maxmemory`)"
    )
    protect: bool = Field(default=False, description="Refuse to delete the volume")

    @model_validator(mode="after")
    def _volume_holds_the_log(self) -> "RedisSettings":
        # While Redis rewrites its append-only file, the old and the new one stand side by side.
        if self.storage_gb * 1024 < 3 * self.memory_mb:
            raise ValueError(
                "storage_gb must hold three times memory_mb: the append-only file and its rewrite"
            )
        return self


class NoAuth(Section):
    kind: Literal["none"] = "none"


class TokenAuth(Section):
    kind: Literal["token"]
    username: str = Field(default="git", min_length=1, description="User that the token belongs to")


class SshAuth(Section):
    kind: Literal["ssh"]
    known_hosts: str = Field(
        pattern=r"\S+ (ssh|ecdsa)-\S+ \S+",
        description="Host key lines, as `ssh-keyscan` prints them",
    )


class DagSettings(Section):
    repo: GitUrl = Field(description="Git repository of the DAGs")
    branch: str | None = Field(
        default=None, min_length=1, description="Branch to follow; `main` if neither is set"
    )
    tag: str | None = Field(
        default=None, min_length=1, description="Tag to stay on, instead of a branch"
    )
    sub_path: Annotated[str, AfterValidator(_sub_path)] = Field(
        default="dags", description="Folder of the DAGs in the repository; empty for all of it"
    )
    poll_seconds: int = Field(
        default=5, ge=1, le=3600, description="How often each pod asks Git for news"
    )
    auth: Annotated[NoAuth | TokenAuth | SshAuth, Field(discriminator="kind")] = NoAuth()

    @model_validator(mode="after")
    def _one_way_in(self) -> "DagSettings":
        if self.branch and self.tag:
            raise ValueError("set branch or tag, not both")
        ssh = self.repo.startswith(("ssh://", "git@"))
        if ssh != isinstance(self.auth, SshAuth):
            raise ValueError(
                "an ssh repository needs auth.kind: ssh"
                if ssh
                else "auth.kind: ssh needs an ssh repository"
            )
        if isinstance(self.auth, TokenAuth) and not self.repo.startswith("https://"):
            raise ValueError(
                "auth.kind: token needs an https:// repository: git:// would send it in the clear"
            )
        return self

    @property
    def ref(self) -> str:
        return self.tag or self.branch or "main"


class GitServerSettings(Section):
    seed: str = Field(
        default="dags-repo-example", description="Folder whose files are the first commit"
    )
    storage_gb: int = Field(default=1, ge=1, le=100, description="Volume of the repository, in GiB")

    @model_validator(mode="after")
    def _seed_exists(self) -> "GitServerSettings":
        if not _is_directory(f"{self.seed}/dags"):
            raise ValueError(f"seed needs a folder {self.seed}/dags")
        return self


class WorkerSettings(Section):
    min: int = Field(default=1, ge=0, le=500, description="Workers when nothing waits")
    max: int = Field(
        default=4, ge=1, le=500, description="Workers at the most: the line to change to scale"
    )
    concurrency: int = Field(
        default=8, ge=1, le=64, description="Tasks that one worker runs at a time"
    )
    cpu: Cpu = Field(default=1.0, description="CPU that a worker requests, in cores")
    memory_mb: int = Field(
        default=3072, ge=512, le=393216, description="Memory of a worker, in MiB"
    )
    spot: bool = Field(
        default=False, description="Spot nodes first, on-demand when there are none (EKS)"
    )
    grace_seconds: int = Field(
        default=600,
        ge=30,
        le=86400,
        description="Time that a stopping worker has to finish its tasks",
    )
    scaling: Literal["queue", "cpu", "fixed"] = Field(
        default="queue",
        description="What the worker count follows: waiting and running tasks (KEDA), CPU (HPA), or nothing",
    )

    @model_validator(mode="after")
    def _bounds_fit(self) -> "WorkerSettings":
        if self.min > self.max:
            raise ValueError(f"min {self.min} must not exceed max {self.max}")
        if self.scaling != "queue" and self.min < 1:
            raise ValueError(f"scaling: {self.scaling} needs min >= 1; only queue can start from 0")
        return self


class ReplicaSettings(Section):
    scheduler: Replicas = Field(default=1, description="Schedulers")
    api_server: Replicas = Field(default=1, description="API servers (UI, API, task execution API)")
    dag_processor: Replicas = Field(default=1, description="DAG processors")
    triggerer: Replicas = Field(default=1, description="Triggerers (deferred tasks)")


class IngressSettings(Section):
    host: str = Field(pattern=r"^[a-z0-9.-]+\.[a-z]+$", description="Host name of the UI")
    certificate_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/.+$",
        description="ACM certificate of that host name",
    )
    scheme: Literal["internal", "internet-facing"] = Field(
        default="internal", description="Load balancer inside the VPC, or on the Internet"
    )
    allowed_cidrs: tuple[Cidr, ...] = Field(
        min_length=1, description="Who reaches the load balancer", strict=False
    )


class AirflowSettings(Section):
    version: Annotated[str, AfterValidator(_airflow_version)] = Field(
        default="3.2.2", pattern=r"^\d+\.\d+\.\d+$", description="Airflow in the image"
    )
    image: Annotated[str, AfterValidator(_image)] = Field(
        default="apache/airflow",
        pattern=r"^[a-z0-9][a-z0-9._/:-]*$",
        description="Image repository; the tag is the version",
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Digest of the image; wins over the tag",
    )
    replicas: ReplicaSettings = ReplicaSettings()
    parallelism: int | None = Field(
        default=None,
        ge=1,
        description="Tasks that one scheduler runs at a time; all worker slots if not set",
    )
    config: dict[str, dict[str, Option]] = Field(
        default={}, description="More Airflow options: `section: {option: value}`"
    )
    base_url: Annotated[str, AfterValidator(_public_url)] | None = Field(
        default=None,
        pattern=r"^https?://[^/]+(/.*[^/])?$",
        description="URL of the UI; from ingress.host if not set",
    )
    ingress: IngressSettings | None = Field(
        default=None, description="A load balancer for the UI (EKS); without it, port-forward"
    )

    @model_validator(mode="after")
    def _options_have_one_home(self) -> "AirflowSettings":
        options = [
            f"{section}.{option}" for section, values in self.config.items() for option in values
        ]
        derived = [
            f"config.{o} is decided by {DERIVED_OPTIONS[o.lower()]}"
            for o in options
            if o.lower() in DERIVED_OPTIONS
        ]
        secret = [
            f"config.{o} looks like a secret, and config is plain text"
            for o in options
            if SECRET_OPTION.search(o.partition(".")[2].lower())
        ]
        if derived or secret:
            raise ValueError("; ".join(derived + secret))
        return self

    @property
    def image_reference(self) -> str:
        """The image as a container names it: by digest if there is one."""
        return f"{self.image}@{self.digest}" if self.digest else f"{self.image}:{self.version}"

    @property
    def url(self) -> str:
        if self.base_url:
            return self.base_url
        return f"https://{self.ingress.host}" if self.ingress else "http://localhost:8080"


class LogSettings(Section):
    retention_days: int = Field(
        default=30, ge=1, le=3650, description="Days that task logs are kept"
    )
    protect: bool = Field(default=False, description="Refuse to delete the bucket (EKS)")


class ChartSettings(Section):
    source: Annotated[str, AfterValidator(_chart_source)] | None = Field(
        default=None,
        description="Repository URL or directory of the charts; the projects' own repositories if not set",
    )


class RotationSettings(Section):
    """Raise a number by one to replace that secret; exactly the pods that use it restart."""

    fernet: Generation = Field(default=1, description="Key that encrypts connections and variables")
    api: Generation = Field(default=1, description="Key that signs log requests and sessions")
    jwt: Generation = Field(default=1, description="Key that signs API tokens")
    admin: Generation = Field(default=1, description="Password of the user `admin`")
    database: Generation = Field(default=1, description="Password of the database")
    redis: Generation = Field(default=1, description="Password of Redis")


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
    airflow: AirflowSettings = AirflowSettings()
    logs: LogSettings = LogSettings()
    charts: ChartSettings = ChartSettings()
    rotation: RotationSettings = RotationSettings()


def _adapter(name: str) -> TypeAdapter[Any]:
    field = Settings.model_fields[name]
    annotated: Any = Annotated
    return TypeAdapter(annotated[field.annotation, field])


def load() -> Settings:
    """Read the settings of the stack, or stop the run with one line per mistake."""
    config = pulumi.Config()
    return parse(config.get_object("settings"), config.full_key("settings"))


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


def load_secrets(dags: DagSettings) -> Secrets:
    """Read the secrets of the stack. What `dags.auth` needs is required, the rest is optional.

    They are top-level keys: inside `settings` they would lose their mark (pulumi/pulumi#7127).
    """
    config = pulumi.Config()
    if isinstance(dags.auth, TokenAuth):
        config.require_secret("git_token")
    if isinstance(dags.auth, SshAuth):
        config.require_secret("git_ssh_key")
    return Secrets(**{field.name: config.get_secret(field.name) for field in fields(Secrets)})
