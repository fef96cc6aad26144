"""Types of single settings: what a value may look like, and what is wrong with one that does not."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from settings import limits, versions

ANYWHERE = "0.0.0.0/0"
# In names of Deployments, ServiceAccounts, NodePools and IAM roles; the last may have 64 characters, of which
# `logs-airflow-worker-` and Pulumi's suffix take 28.
QUEUE_NAME = r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?"
RESERVED_QUEUES = {
    "default": "is the queue of the section workers: set it there",
    "default-queue": "is the name of the workers of the section workers: take another one",
}


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
    if value.rpartition(".")[0] not in versions.AIRFLOW_MINORS:
        known = " or ".join(f"{version}.x" for version in versions.AIRFLOW_MINORS)
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


def _queue_name(value: str) -> str:
    if value in RESERVED_QUEUES:
        raise ValueError(RESERVED_QUEUES[value])
    if not re.fullmatch(QUEUE_NAME, value):
        raise ValueError(
            "should be a name for Kubernetes: up to 30 small letters, digits and inner hyphens, "
            "the first a letter, such as etl or high-memory"
        )
    return value


def is_directory(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # too long, or a character that no file system takes
        return False


def _instance_class(value: str) -> str:
    if not re.fullmatch(limits.INSTANCE_CLASS, value):
        raise ValueError("should be an RDS class such as db.t4g.medium or db.m7g.large")
    return value


def _option(value: Any) -> str | int | float | bool:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("should be a text, a number, true or false")
    return value


def _chart_source(value: str) -> str:
    if not value.startswith(("https://", "oci://")) and not is_directory(value):
        raise ValueError("should be an https:// or oci:// repository, or a directory")
    return _public_url(value)


def _ca_file(value: str) -> str:
    try:
        text = Path(value).read_text()
    except (OSError, ValueError) as bad:  # ValueError: no text, or no path
        raise ValueError(f"should be a readable PEM file ({bad})") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ValueError("should hold certificates in PEM form")
    return value


CaFile = Annotated[str, AfterValidator(_ca_file)]
Cidr = Annotated[str, AfterValidator(_cidr)]
GitUrl = Annotated[
    str, Field(pattern=r"^((https|ssh|git)://[^/]+/.|git@[^:]+:.)"), AfterValidator(_bare_url)
]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
# https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/ : above 1 m.
Cpu = Annotated[float, Field(ge=0.01, le=limits.NODE_CPU)]
Architecture = Literal["amd64", "arm64"]
NamespaceName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
QueueName = Annotated[str, AfterValidator(_queue_name)]
PolicyArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/.+$")]
InstanceClass = Annotated[str, AfterValidator(_instance_class)]
SubPath = Annotated[str, AfterValidator(_sub_path)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
AirflowVersion = Annotated[str, AfterValidator(_airflow_version)]
Image = Annotated[str, AfterValidator(_image)]
ChartSource = Annotated[str, AfterValidator(_chart_source)]
Option = Annotated[Any, AfterValidator(_option)]
Replicas = Annotated[int, Field(ge=1, le=10)]
Rotation = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A block of `Pulumi.<stack>.yaml`. Keys are spelled as here; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
