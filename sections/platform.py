"""Sections about what Airflow stands on: network, cluster, database, queue, logs."""

import ipaddress
from typing import Literal

from pydantic import Field, model_validator

import capacity
from sections.fields import (
    ANYWHERE,
    PRIVATE_PREFIX,
    VPC_PREFIX,
    CaFile,
    Cidr,
    InstanceClass,
    NamespaceName,
    RoleArn,
    Section,
)


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
    version: str = Field(default="1.35", pattern=r"^1\.\d\d$", description="Kubernetes version")
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
    protect: bool = Field(default=False, description="Refuse to delete the database")
    final_snapshot: bool = Field(
        default=True, description="Leave a snapshot behind when the database is deleted"
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="PEM file that vouches for the server, where AWS's commercial Regions do not suffice",
    )

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


KEDA_NAMESPACE = "keda"


class KedaSettings(Section):
    existing: bool = Field(
        default=False, description="The cluster has a KEDA of somebody else: install none"
    )
    namespace: NamespaceName = Field(
        default=KEDA_NAMESPACE, description="Where that KEDA is, which then reads the database"
    )

    @model_validator(mode="after")
    def _namespace_is_that_of_an_existing_one(self) -> "KedaSettings":
        if "namespace" in self.model_fields_set and not self.existing:
            raise ValueError(
                f"namespace {self.namespace} needs existing: true; a KEDA of the stack's own is in "
                f"{KEDA_NAMESPACE}"
            )
        return self


class LogSettings(Section):
    retention_days: int = Field(
        default=30, ge=1, le=3650, description="Days that task logs are kept"
    )
    protect: bool = Field(default=False, description="Refuse to delete the bucket (EKS)")
