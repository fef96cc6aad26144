"""Section `database`: RDS, or PostgreSQL in a container."""

from typing import Literal

from pydantic import Field, model_validator

from settings import limits
from settings.types import CaFile, InstanceClass, Section


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
        return limits.rds_max_connections(self.instance_class)


class ContainerDatabaseSettings(Section):
    kind: Literal["container"]
    storage_gb: int = Field(default=5, ge=1, le=1000, description="Volume of PostgreSQL, in GiB")

    @property
    def max_connections(self) -> int:
        return limits.CONTAINER_MAX_CONNECTIONS
