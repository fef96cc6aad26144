"""Section `airflow`: image, replicas, options and UI of Airflow."""

from typing import Literal

from pydantic import Field, model_validator

from settings import limits, versions
from settings.arns import CertificateArn, PolicyArn
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
    SecretKey,
    Section,
    VariableName,
)

# Airflow options that the program sets. A second value in `config` would hide which one applies.
DERIVED_OPTIONS = {
    "api.base_url": "is set by airflow.base_url",
    "api.port": "is fixed: the Service, the probes and the load balancer use 8080",
    "api.secret_key": "is set by the Pulumi secret api_secret_key",
    "api_auth.jwt_kid": "follows from rotation.jwt",
    "api_auth.jwt_private_key_path": "would replace the keys of rotation.jwt",
    "api_auth.jwt_secret": "is set by the Pulumi secret jwt_secret",
    "api_auth.trusted_jwks_url": "would replace the keys of rotation.jwt",
    "celery.broker_url": "is always the Redis of the stack",
    "celery.result_backend": "is always the database of the stack",
    "celery.worker_autoscale": "would replace workers.concurrency, which sizes workers and autoscalers",
    "celery.worker_concurrency": "is set by workers.concurrency",
    "celery.worker_enable_remote_control": "is fixed: the liveness probe asks the worker for its queues",
    "core.dags_folder": "is set by dags",
    "core.fernet_key": "is set by the Pulumi secret fernet_key",
    "core.hostname_callable": "is fixed: liveness probes and links to log files use the address of the pod",
    "core.executor": "is always CeleryExecutor",
    "core.parallelism": "is set by airflow.parallelism",
    "database.sql_alchemy_conn": "is always the database of the stack",
    "database.sql_alchemy_conn_async": "is always the database of the stack",
    "database.sql_alchemy_max_overflow": "is set by settings/limits.py, which counts connections with it",
    "database.sql_alchemy_pool_enabled": "is fixed: settings/limits.py counts the connections of pools",
    "database.sql_alchemy_schema": "is fixed: probes, KEDA and the task keeper read the default schema",
    "database.sql_alchemy_pool_size": "is set by settings/limits.py, which counts connections with it",
    "dag_processor.refresh_interval": "is fixed: DAG processors look for changes every second; "
    "dags.poll_seconds sets how often the Git host is polled",
    "dag_processor.bundle_refresh_check_interval": "is fixed: one second",
    "dag_processor.dag_bundle_config_list": "is set by dags",
    "logging.base_log_folder": "is fixed: the chart mounts the volume of the log files there",
    "logging.trigger_log_server_port": "is fixed: the network policies open 8794",
    "logging.worker_log_server_port": "is fixed: the network policies open 8793",
    "logging.remote_base_log_folder": "is the log bucket of the stack on EKS, and set by logs.bucket on "
    "an existing cluster",
}
FAB_AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
OFFICIAL_IMAGE = "apache/airflow"


class ReplicaSettings(Section):
    """Pods per Airflow component"""

    scheduler: Replicas = Field(default=1, description="Schedulers")
    api_server: Replicas = Field(
        default=1, description="API servers (UI, REST API, task execution API)"
    )
    dag_processor: Replicas = Field(
        default=1,
        description="DAG processors: one processes the DAGs, the others take over within seconds",
    )
    triggerer: Replicas = Field(default=1, description="Triggerers (deferred tasks)")


class ComponentPolicies(Section):
    """IAM policies for the AWS access of components, besides task logs (EKS)"""

    scheduler: PolicyArn | None = Field(default=None, description="IAM policy of the schedulers")
    api_server: PolicyArn | None = Field(default=None, description="IAM policy of the API servers")
    dag_processor: PolicyArn | None = Field(
        default=None, description="IAM policy of the DAG processors"
    )
    triggerer: PolicyArn | None = Field(default=None, description="IAM policy of the triggerers")

    def set(self) -> dict[str, str]:
        """The policies that are set, by setting."""
        return {name: arn for name, arn in self if arn is not None}


class IngressSettings(Section):
    host: str = Field(pattern=r"^[a-z0-9.-]+\.[a-z]+$", description="Host name of the UI")
    certificate_arn: CertificateArn = Field(description="ACM certificate of the host name")
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
        json_schema_extra={"enum": [*versions.AIRFLOW_VERSIONS]},
        description="Airflow version in the image, one of those that were tested",
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
    iam_policy_arns: ComponentPolicies = ComponentPolicies()
    parallelism: int | None = Field(
        default=None,
        ge=1,
        description="Running tasks per scheduler; if not set, all worker slots",
    )
    config: dict[str, dict[str, Option]] = Field(
        default={}, description="Additional Airflow options: `section: {option: value}`"
    )
    env: dict[VariableName, Option] = Field(
        default={}, description="Environment variables of all Airflow containers: `NAME: value`"
    )
    secret_env: dict[VariableName, SecretKey] = Field(
        default={},
        description="Environment variables from Kubernetes Secrets: `NAME: secret/key`",
    )
    xcom_bucket: bool = Field(
        default=False,
        description="Store XComs from 1 MiB in the bucket of the task logs; the image needs `s3fs`",
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
    def _options_are_not_derived(self) -> "AirflowSettings":
        derived = [
            f"config.{o} {DERIVED_OPTIONS[o.lower()]}"
            for o in self.options
            if o.lower() in DERIVED_OPTIONS
        ]
        if derived:
            raise ValueError("; ".join(derived))
        return self

    def whole_number(self, section: str, option: str) -> int | None:
        """An option of `config`, if it is set to a positive whole number."""
        text = str(self.config.get(section, {}).get(option, ""))
        return int(text) if text.isdecimal() and int(text) else None

    @property
    def api_processes(self) -> int:
        """Processes of all API servers."""
        workers = self.whole_number("api", "workers") or limits.API_WORKERS
        return self.replicas.api_server * workers

    @property
    def options(self) -> list[str]:
        """`section.option` of every option in `config`."""
        return [f"{section}.{option}" for section, given in self.config.items() for option in given]

    @property
    def auth_manager(self) -> str:
        return str(self.config.get("core", {}).get("auth_manager", FAB_AUTH_MANAGER))

    @property
    def creates_admin(self) -> bool:
        """Only the auth manager of the FAB provider has users in the database of Airflow."""
        return self.auth_manager == FAB_AUTH_MANAGER

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
