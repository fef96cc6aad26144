"""Types of single settings: valid values, error messages, and the JSON Schema for editors."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from settings import limits, versions

ANYWHERE = "0.0.0.0/0"
# Part of the names of Deployments, ServiceAccounts, NodePools and IAM roles. An IAM role name has up
# to 64 characters, of which `logs-airflow-worker-` and Pulumi's suffix take 28.
QUEUE_NAME = r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?"
RESERVED_QUEUES = {
    "default": "is reserved: the section workers configures this queue",
    "default-queue": "is reserved for the workers of the section workers; choose another name",
}

# Part of the names of containers, claims, Secrets and bundles, and of keys of the stack file.
REPOSITORY_NAME = r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?"
# Bundles of `dags.repo`: of the chart with git-sync, and components/airflow/values.py.
RESERVED_REPOSITORIES = ("dags", "dags-folder")


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError as invalid:
        raise ValueError(f"should be an IPv4 network such as 10.0.0.0/16 ({invalid})") from None


def _bare_url(value: str) -> str:
    """A Git URL without credentials: state and pods would contain them in plain text."""
    host = value.removeprefix("ssh://").partition("/")[0]
    ssh_login = re.fullmatch(r"[A-Za-z0-9._-]+@[^@]+", host) and not value.startswith("http")
    if "?" in value or ("@" in value and (value.count("@") > 1 or not ssh_login)):
        raise ValueError("must not contain credentials; use dags.auth and a secret")
    return value


def _public_url(value: str) -> str:
    if "@" in value:
        raise ValueError("must not contain credentials")
    return value


def _airflow_version(value: str) -> str:
    if value not in versions.AIRFLOW_VERSIONS:
        known = " or ".join(versions.AIRFLOW_VERSIONS)
        raise ValueError(f"should be a tested version, {known}, listed in settings/versions.py")
    return value


def _image(value: str) -> str:
    if ":" in value.rpartition("/")[2]:
        raise ValueError("should have no tag: the tag is airflow.version")
    return value


def _tagged_image(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*:[A-Za-z0-9_][A-Za-z0-9._-]*", value):
        raise ValueError("should be an image with a tag, such as redis:7.2.16-bookworm")
    return value


def _sub_path(value: str) -> str:
    if value and {"", ".", ".."} & set(value.split("/")):
        raise ValueError("should be a folder in the repository, such as dags or team/dags")
    return value


def _queue_name(value: str) -> str:
    if value in RESERVED_QUEUES:
        raise ValueError(RESERVED_QUEUES[value])
    if not re.fullmatch(QUEUE_NAME, value):
        raise ValueError(
            "should be a Kubernetes name: up to 30 lowercase letters, digits and inner hyphens, "
            "starting with a letter, such as etl or high-memory"
        )
    return value


def _repository_name(value: str) -> str:
    if value in RESERVED_REPOSITORIES:
        raise ValueError("is reserved for the repository dags.repo; choose another name")
    if not re.fullmatch(REPOSITORY_NAME, value):
        raise ValueError(
            "should be up to 30 lowercase letters, digits and inner hyphens, starting with a letter, "
            "such as sales or data-science"
        )
    return value


def is_directory(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # too long, or a character that the file system refuses
        return False


def _instance_class(value: str) -> str:
    if not re.fullmatch(limits.INSTANCE_CLASS, value):
        raise ValueError("should be an RDS class such as db.t4g.medium or db.m7g.large")
    return value


def _rds_identifier(value: str) -> str:
    if not re.fullmatch(limits.RDS_IDENTIFIER, value):
        raise ValueError(
            f"should be up to {limits.RDS_IDENTIFIER_LENGTH} lowercase letters, digits and single "
            "hyphens, starting with a letter, such as airflow-prod"
        )
    return value


def _restore_source(value: str) -> str:
    if not re.fullmatch(limits.RESTORE_SOURCE, value):
        raise ValueError(
            "should be the name or ARN of a snapshot, such as airflow-prod-3-2-2-20261129-091500, the ARN "
            "of a replicated backup, or a point in time in UTC, such as 2026-11-28T10:00:00Z"
        )
    return value


def _restore_time(value: str) -> str:
    if not re.fullmatch(limits.RESTORE_TIME, value):
        raise ValueError("should be a point in time in UTC, such as 2026-11-28T10:00:00Z")
    return value


def _option(value: Any) -> str | int | float | bool:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("should be a string, a number, true or false")
    return value


def _chart_source(value: str) -> str:
    if not value.startswith(("https://", "oci://")) and not is_directory(value):
        raise ValueError("should be an https:// or oci:// repository, or a directory")
    return _public_url(value)


def _ca_file(value: str) -> str:
    try:
        text = Path(value).read_text()
    except (OSError, ValueError) as invalid:  # ValueError: not UTF-8, or not a path
        raise ValueError(f"should be a readable PEM file ({invalid})") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ValueError("should contain PEM certificates")
    return value


# `title`: how docs/settings.md names the type. A pattern in `json_schema_extra` is for editors only:
# the program reports such values with the message of the validator.
CaFile = Annotated[str, AfterValidator(_ca_file), Field(title="path")]
Cidr = Annotated[
    str,
    AfterValidator(_cidr),
    Field(
        title="IPv4 network",
        json_schema_extra={"pattern": r"^\d{1,3}(\.\d{1,3}){3}(/\d{1,2})?$"},
    ),
]
GitUrl = Annotated[
    str,
    Field(
        title="URL: `https://`, `ssh://`, `git@host:` or `git://`",
        pattern=r"^((https|ssh|git)://[^/]+/.|git@[^:]+:.)",
    ),
    AfterValidator(_bare_url),
]
VpcId = Annotated[str, Field(title="ID of a VPC", pattern=r"^vpc-[0-9a-f]{8,17}$")]
SecurityGroupId = Annotated[
    str, Field(title="ID of a security group", pattern=r"^sg-[0-9a-f]{8,17}$")
]
SubnetId = Annotated[str, Field(title="ID of a subnet", pattern=r"^subnet-[0-9a-f]{8,17}$")]
# https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/ : above 1 m.
Cpu = Annotated[float, Field(ge=0.01, le=limits.NODE_CPU)]
Architecture = Literal["amd64", "arm64"]
NamespaceName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
# Shorter: `make doctor` uses the namespace `<name>-doctor`.
AirflowNamespace = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,54}[a-z0-9])?$",
        description="Namespace of Airflow; each stack in a cluster has its own. It cannot change after "
        "the first `make up`",
    ),
]
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
SecretName = Annotated[
    str,
    Field(
        title="name of a Secret",
        max_length=253,
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
    ),
]
QueueName = Annotated[str, AfterValidator(_queue_name)]
RepositoryName = Annotated[str, AfterValidator(_repository_name)]
RdsIdentifier = Annotated[
    str,
    AfterValidator(_rds_identifier),
    Field(title="RDS identifier", json_schema_extra={"pattern": limits.RDS_IDENTIFIER}),
]
RestoreSource = Annotated[
    str,
    AfterValidator(_restore_source),
    Field(
        title="RDS snapshot, replicated backup or point in time",
        json_schema_extra={"pattern": limits.RESTORE_SOURCE},
    ),
]
RestoreTime = Annotated[
    str,
    AfterValidator(_restore_time),
    Field(title="point in time in UTC", json_schema_extra={"pattern": f"^{limits.RESTORE_TIME}$"}),
]
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
Region = Annotated[
    str, Field(title="AWS Region such as eu-central-1", pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d$")
]
InstanceFamily = Annotated[
    str,
    Field(title="EC2 instance family such as m8g", pattern=r"^[a-z]{1,4}\d{1,2}[a-z0-9-]*$"),
]
InstanceClass = Annotated[
    str,
    AfterValidator(_instance_class),
    Field(title="RDS instance class", json_schema_extra={"pattern": limits.INSTANCE_CLASS}),
]
SubPath = Annotated[str, AfterValidator(_sub_path)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
BaseUrl = Annotated[
    str,
    Field(title="URL without a trailing slash", pattern=r"^https?://[^/]+(/.*[^/])?$"),
    AfterValidator(_public_url),
]
AirflowVersion = Annotated[str, AfterValidator(_airflow_version)]
Image = Annotated[str, AfterValidator(_image)]
TaggedImage = Annotated[
    str,
    AfterValidator(_tagged_image),
    Field(
        title="image with a tag",
        json_schema_extra={"pattern": r"^[a-z0-9][a-z0-9._/:-]*:[A-Za-z0-9_][A-Za-z0-9._-]*$"},
    ),
]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
ChartSource = Annotated[str, AfterValidator(_chart_source), Field(title="URL or path")]
Option = Annotated[
    Any, AfterValidator(_option), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
# https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data
SecretKey = Annotated[
    str,
    Field(
        title="`secret/key`",
        pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9._-]{1,253}$",
    ),
]
Replicas = Annotated[int, Field(ge=1, le=10)]
Rotation = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of `Pulumi.<stack>.yaml`. Its fields are the keys; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
