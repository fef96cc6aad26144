"""Section `database`: RDS, or PostgreSQL in a container."""

import re
from typing import Literal

from pydantic import Field, model_validator

from settings import limits, versions
from settings.images import pinned
from settings.types import (
    CaFile,
    Digest,
    InstanceClass,
    RdsIdentifier,
    Section,
    TaggedImage,
)


class RdsSettings(Section):
    kind: Literal["rds"]
    identifier: RdsIdentifier | None = Field(
        default=None,
        description="Name of the RDS instance; default `airflow-<stack>`. A stack of an earlier "
        "release keeps its name here: `make up` prints it",
    )
    instance_class: InstanceClass = Field(
        default="db.t4g.medium", description="Size of the database instance"
    )
    apply_immediately: bool = Field(
        default=True,
        description="Apply a change such as a new `instance_class` during `make up`: no connections "
        "for one to two minutes with `multi_az`, for several without. `false`: in the weekly "
        "maintenance window; `make up` prints what waits",
    )
    storage_gb: int = Field(default=20, ge=20, le=65536, description="Initial storage")
    max_storage_gb: int = Field(
        default=100, ge=20, le=65536, description="Limit of storage autoscaling"
    )
    multi_az: bool = Field(default=False, description="Standby in a second availability zone")
    backup_days: int = Field(
        default=7, ge=1, le=35, description="Backup retention (point-in-time recovery)"
    )
    protect: bool = Field(default=False, description="Refuse to delete the database")
    final_snapshot: bool = Field(
        default=True, description="Take a snapshot before the database is deleted"
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="PEM file with the root certificates of RDS, for a Region that "
        "`components/aws/rds_ca.pem` lacks",
    )

    @model_validator(mode="after")
    def _storage_can_grow(self) -> "RdsSettings":
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
        if self.max_storage_gb * 10 < self.storage_gb * 11:
            raise ValueError(
                f"max_storage_gb {self.max_storage_gb} must be at least 10 % larger than storage_gb "
                f"{self.storage_gb}"
            )
        return self

    @property
    def max_connections(self) -> int:
        return limits.rds_max_connections(self.instance_class)


def database_identifier(settings: RdsSettings, stack_name: str) -> str:
    """Name of the RDS instance. Stack names may contain `_` and `.`, which RDS refuses."""
    if settings.identifier is not None:
        return settings.identifier
    name = "-".join(["airflow", *re.findall("[a-z0-9]+", stack_name.lower())])
    return name[: limits.RDS_IDENTIFIER_LENGTH].rstrip("-")


class ContainerDatabaseSettings(Section):
    kind: Literal["container"]
    storage_gb: int = Field(default=5, ge=1, le=1000, description="Volume of PostgreSQL")
    image: TaggedImage = Field(
        default=versions.POSTGRES_IMAGE, description="PostgreSQL image, with its tag"
    )
    digest: Digest | None = Field(
        default=None, description="Digest of the image; takes precedence over the tag"
    )

    @property
    def image_reference(self) -> str:
        return pinned(self.image, self.digest)

    @property
    def max_connections(self) -> int:
        return limits.CONTAINER_MAX_CONNECTIONS
