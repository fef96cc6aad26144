"""Section `airflow`: image, replicas, options and UI of Airflow."""

import re
from typing import Literal

from pydantic import Field, model_validator

from settings import versions
from settings.types import (
    AirflowVersion,
    Architecture,
    Cidr,
    Image,
    Option,
    PublicUrl,
    Replicas,
    Section,
)

# Airflow options that other settings decide. Setting them twice would hide which one wins.
DERIVED_OPTIONS = {
    "api.base_url": "airflow.base_url",
    "celery.worker_concurrency": "workers.concurrency",
    "core.executor": "nothing: it is CeleryExecutor",
    "core.parallelism": "airflow.parallelism",
    "database.sql_alchemy_max_overflow": "settings/limits.py, which counts connections with it",
    "database.sql_alchemy_pool_size": "settings/limits.py, which counts connections with it",
    "dag_processor.refresh_interval": "nothing: it is each second; dags.poll_seconds is for the Git host",
    "dag_processor.bundle_refresh_check_interval": "nothing: it is each second",
    "dag_processor.dag_bundle_config_list": "dags",
    "logging.remote_base_log_folder": "nothing: it is the bucket of the stack",
}
OFFICIAL_IMAGE = "apache/airflow"
SECRET_OPTION = re.compile(r"(password|secret|_key|fernet|token|_conn$|broker_url|result_backend)")


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
        default=versions.AIRFLOW, pattern=r"^\d+\.\d+\.\d+$", description="Airflow in the image"
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
