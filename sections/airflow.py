"""Sections about Airflow itself: DAGs, workers, components, chart, secrets."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

import capacity
from sections.fields import (
    AirflowVersion,
    Architecture,
    CaFile,
    ChartSource,
    Cidr,
    Cpu,
    Generation,
    GitUrl,
    Image,
    Option,
    PolicyArn,
    PublicUrl,
    Replicas,
    Section,
    SubPath,
    is_directory,
)

# Airflow options that other settings decide. Setting them twice would hide which one wins.
DERIVED_OPTIONS = {
    "api.base_url": "airflow.base_url",
    "celery.worker_concurrency": "workers.concurrency",
    "core.executor": "nothing: it is CeleryExecutor",
    "core.parallelism": "airflow.parallelism",
    "database.sql_alchemy_max_overflow": "capacity.py, which counts connections with it",
    "database.sql_alchemy_pool_size": "capacity.py, which counts connections with it",
    "dag_processor.refresh_interval": "nothing: it is each second; dags.poll_seconds is for the Git host",
    "dag_processor.bundle_refresh_check_interval": "nothing: it is each second",
    "dag_processor.dag_bundle_config_list": "dags",
    "logging.remote_base_log_folder": "nothing: it is the bucket of the stack",
}
OFFICIAL_IMAGE = "apache/airflow"
SECRET_OPTION = re.compile(r"(password|secret|_key|fernet|token|_conn$|broker_url|result_backend)")


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


class GithubAppAuth(Section):
    kind: Literal["github_app"]
    client_id: str = Field(min_length=1, description="Client ID of the GitHub App")
    installation_id: int = Field(ge=1, description="Its installation, from the URL of its settings")
    api_url: PublicUrl = Field(
        default="https://api.github.com/",
        pattern=r"^https://",
        description="API of GitHub; `https://HOST/api/v3/` for GitHub Enterprise Server",
    )


class DagSettings(Section):
    repo: GitUrl = Field(description="Git repository of the DAGs")
    branch: str | None = Field(
        default=None, min_length=1, description="Branch to follow; `main` if nothing else is set"
    )
    tag: str | None = Field(
        default=None, min_length=1, description="Tag to stay on, instead of a branch"
    )
    commit: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{40}$",
        description="Commit to stay on, instead of a branch: all 40 digits",
    )
    sub_path: SubPath = Field(
        default="dags", description="Folder of the DAGs in the repository; empty for all of it"
    )
    mode: Literal["git-sync", "bundle"] = Field(
        default="git-sync",
        description="`git-sync`: the newest DAGs; `bundle`: a run stays on the commit it began with",
    )
    poll_seconds: float = Field(
        default=5.0, ge=0.5, le=3600, description="How often the Git host is asked for news"
    )
    webhook: bool = Field(
        default=False,
        description="The Git host may announce a push: the relay then fetches at once "
        "(EKS: through `airflow.ingress`)",
    )
    max_mb: int = Field(
        default=100,
        ge=1,
        le=10240,
        description="Files of a commit together, in MiB; a larger one does not reach the pods",
    )
    storage_gb: int = Field(
        default=5, ge=1, le=1000, description="Volume for the copy of the repository, in GiB"
    )
    ca_file: CaFile | None = Field(
        default=None, description="PEM file that vouches for a Git host with a private CA"
    )
    auth: Annotated[NoAuth | TokenAuth | SshAuth | GithubAppAuth, Field(discriminator="kind")] = (
        NoAuth()
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> "DagSettings":
        if len([ref for ref in (self.branch, self.tag, self.commit) if ref]) > 1:
            raise ValueError("set one of branch, tag and commit")
        ssh = self.repo.startswith(("ssh://", "git@"))
        if ssh != isinstance(self.auth, SshAuth):
            raise ValueError(
                "an ssh repository needs auth.kind: ssh"
                if ssh
                else "auth.kind: ssh needs an ssh repository"
            )
        if isinstance(self.auth, TokenAuth | GithubAppAuth) and not self.repo.startswith(
            "https://"
        ):
            raise ValueError(
                f"auth.kind: {self.auth.kind} needs an https:// repository: "
                "git:// would send its token in the clear"
            )
        # The history, a checkout, and the next one while it is made.
        if self.storage_gb * 1024 < 4 * self.max_mb:
            raise ValueError("storage_gb must hold four times max_mb")
        return self

    @property
    def ref(self) -> str:
        return self.commit or self.tag or self.branch or "main"


class GitServerSettings(Section):
    seed: str = Field(
        default="dags-repo-example", description="Folder whose files are the first commit"
    )
    storage_gb: int = Field(default=1, ge=1, le=100, description="Volume of the repository, in GiB")

    @model_validator(mode="after")
    def _seed_exists(self) -> "GitServerSettings":
        if not is_directory(f"{self.seed}/dags"):
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
        default=3072,
        ge=capacity.worker_memory_mb(1),
        le=capacity.NODE_GIB * 1024,
        description="Memory of a worker, in MiB",
    )
    spot: bool = Field(
        default=False, description="Spot nodes first, on-demand when there are none (EKS)"
    )
    architecture: Architecture = Field(default="amd64", description="Processor of the nodes (EKS)")
    iam_policy_arn: PolicyArn | None = Field(
        default=None, description="What its tasks may do in AWS, beside writing their logs (EKS)"
    )
    grace_seconds: int = Field(
        default=600,
        ge=30,
        le=86400,
        description="Time of a stopping worker; tasks that run 15 s before its end start again elsewhere",
    )
    scaling: Literal["queue", "cpu", "fixed"] = Field(
        default="queue",
        description="What the worker count follows: waiting and running tasks (KEDA), CPU (HPA), or nothing",
    )

    @model_validator(mode="after")
    def _numbers_fit(self) -> "WorkerSettings":
        wrong: list[str] = []
        if self.min > self.max:
            wrong.append(f"min {self.min} must not exceed max {self.max}")
        if self.scaling != "queue" and self.min < 1:
            wrong.append(f"scaling: {self.scaling} needs min >= 1; only queue can start from 0")
        least = capacity.worker_memory_mb(self.concurrency)
        if self.memory_mb < least:
            wrong.append(
                f"memory_mb {self.memory_mb} is too little for concurrency {self.concurrency}: that needs "
                f"{least}, and the data of the tasks on top; raise it, or lower concurrency"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


DEFAULT_QUEUE = "default"


def all_queues(
    workers: WorkerSettings, queues: Mapping[str, WorkerSettings]
) -> dict[str, WorkerSettings]:
    """Settings by queue; first those of tasks that name no queue."""
    return {DEFAULT_QUEUE: workers, **queues}


def key_of(queue: str) -> str:
    """Where the settings of a queue stand."""
    return "workers" if queue == DEFAULT_QUEUE else f"queues.{queue}"


def need_keda(queues: Iterable[WorkerSettings]) -> bool:
    return any(queue.scaling == "queue" for queue in queues)


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
    version: AirflowVersion = Field(
        default="3.2.2", pattern=r"^\d+\.\d+\.\d+$", description="Airflow in the image"
    )
    image: Image = Field(
        default=OFFICIAL_IMAGE,
        pattern=r"^[a-z0-9][a-z0-9._/:-]*$",
        description="Image repository; the tag is the version",
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Digest of the image; wins over the tag",
    )
    architectures: tuple[Architecture, ...] | None = Field(
        default=None,
        min_length=1,
        description="Processors that the image is built for; if not set, both for `apache/airflow`, "
        "`amd64` for another image",
        strict=False,
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
    base_url: PublicUrl | None = Field(
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
    def image_architectures(self) -> tuple[Architecture, ...]:
        if self.architectures is not None:
            return self.architectures
        return ("amd64", "arm64") if self.image == OFFICIAL_IMAGE else ("amd64",)

    @property
    def image_reference(self) -> str:
        """The image as a container names it: by digest if there is one."""
        return f"{self.image}@{self.digest}" if self.digest else f"{self.image}:{self.version}"

    @property
    def url(self) -> str:
        if self.base_url:
            return self.base_url
        return f"https://{self.ingress.host}" if self.ingress else "http://localhost:8080"


class ChartSettings(Section):
    source: ChartSource | None = Field(
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
    keda: Generation = Field(default=1, description="Password with which KEDA reads the database")
    webhook: Generation = Field(
        default=1, description="Secret with which the Git host signs what it announces"
    )
