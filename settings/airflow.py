"""Section `airflow`: image, replicas, options and UI of Airflow."""

import re
from typing import Literal

from pydantic import Field, model_validator

from settings import versions
from settings.sso import SsoSettings
from settings.types import (
    AirflowVersion,
    Architecture,
    BaseUrl,
    Cidr,
    Digest,
    Image,
    Option,
    Replicas,
    Section,
)

# Airflow options that the program sets. A second value in `config` would hide which one applies.
DERIVED_OPTIONS = {
    "api.base_url": "is set by airflow.base_url",
    "celery.worker_concurrency": "is set by workers.concurrency",
    "core.executor": "is always CeleryExecutor",
    "core.parallelism": "is set by airflow.parallelism",
    "database.sql_alchemy_max_overflow": "is set by settings/limits.py, which counts connections with it",
    "database.sql_alchemy_pool_size": "is set by settings/limits.py, which counts connections with it",
    "dag_processor.refresh_interval": "is fixed: DAG processors look for changes every second; "
    "dags.poll_seconds sets how often the Git host is polled",
    "dag_processor.bundle_refresh_check_interval": "is fixed: one second",
    "dag_processor.dag_bundle_config_list": "is set by dags",
    "logging.remote_base_log_folder": "is always the log bucket of the stack",
}
OFFICIAL_IMAGE = "apache/airflow"
SECRET_OPTION = re.compile(r"(password|secret|_key|fernet|token|_conn$|broker_url|result_backend)")


class ReplicaSettings(Section):
    """Pods per Airflow component"""

    scheduler: Replicas = Field(default=1, description="Schedulers")
    api_server: Replicas = Field(
        default=1, description="API servers (UI, REST API, task execution API)"
    )
    dag_processor: Replicas = Field(default=1, description="DAG processors")
    triggerer: Replicas = Field(default=1, description="Triggerers (deferred tasks)")


class IngressSettings(Section):
    host: str = Field(pattern=r"^[a-z0-9.-]+\.[a-z]+$", description="Host name of the UI")
    certificate_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/.+$",
        description="ACM certificate of the host name",
    )
    scheme: Literal["internal", "internet-facing"] = Field(
        default="internal", description="Load balancer inside the VPC, or public"
    )
    allowed_cidrs: tuple[Cidr, ...] = Field(
        min_length=1, description="Networks that may reach the load balancer", strict=False
    )
    access_logs: bool = Field(
        default=True,
        description="Write a line per request into the log bucket, for `logs.retention_days`",
    )


class AirflowSettings(Section):
    """Image, replicas, options and UI of Airflow"""

    version: AirflowVersion = Field(
        default=versions.AIRFLOW,
        pattern=r"^\d+\.\d+\.\d+$",
        description="Airflow version in the image",
    )
    image: Image = Field(
        default=OFFICIAL_IMAGE,
        pattern=r"^[a-z0-9][a-z0-9._/:-]*$",
        description="Image repository; the tag is the version",
    )
    digest: Digest | None = Field(
        default=None, description="Digest of the image; takes precedence over the tag"
    )
    architectures: tuple[Architecture, ...] | None = Field(
        default=None,
        min_length=1,
        description="Architectures of the image; if not set, both for `apache/airflow`, `amd64` for any "
        "other image",
        strict=False,
    )
    replicas: ReplicaSettings = ReplicaSettings()
    parallelism: int | None = Field(
        default=None,
        ge=1,
        description="Running tasks per scheduler; if not set, all worker slots",
    )
    config: dict[str, dict[str, Option]] = Field(
        default={}, description="Additional Airflow options: `section: {option: value}`"
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description="URL of the UI; if not set, derived from `ingress.host`",
    )
    ingress: IngressSettings | None = Field(
        default=None, description="Load balancer for the UI (EKS); if not set, use port-forward"
    )
    sso: SsoSettings | None = Field(
        default=None,
        description="Sign-in at an OpenID Connect provider; if not set, the UI asks for a password",
    )
    admin_user: bool = Field(
        default=True, description="Local user `admin` with a password, whatever `sso` is"
    )

    @model_validator(mode="after")
    def _options_are_not_derived_or_secret(self) -> "AirflowSettings":
        options = [
            f"{section}.{option}" for section, values in self.config.items() for option in values
        ]
        derived = [
            f"config.{o} {DERIVED_OPTIONS[o.lower()]}"
            for o in options
            if o.lower() in DERIVED_OPTIONS
        ]
        secret = [
            f"config.{o} looks like a secret, but config is stored in plain text"
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
        """Image reference with the digest, or with the tag if no digest is set."""
        return f"{self.image}@{self.digest}" if self.digest else f"{self.image}:{self.version}"

    @property
    def url(self) -> str:
        if self.base_url:
            return self.base_url
        return f"https://{self.ingress.host}" if self.ingress else "http://localhost:8080"

    @property
    def sso_redirect(self) -> str | None:
        """Redirect URI that the client at the OpenID Connect provider must allow."""
        return None if self.sso is None else self.url + self.sso.redirect_path
