"""Section `database`: RDS, PostgreSQL in a container, or an existing server."""

import re
from typing import Literal

from pydantic import Field, model_validator

from settings import limits, versions
from settings.images import pinned
from settings.types import (
    CaFile,
    Cidr,
    Digest,
    InstanceClass,
    RdsIdentifier,
    Region,
    RestoreSource,
    RestoreTime,
    Section,
    SecurityGroupId,
    TaggedImage,
)

# https://www.postgresql.org/docs/16/sql-syntax-lexical.html : 63 bytes, of which `_keda` takes 5.
ROLE_NAME = r"^[A-Za-z_][A-Za-z0-9_-]{0,57}$"
BACKUP_DAYS = 7  # an error of a Friday is found on Monday
RDS_DOMAINS = (".rds.amazonaws.com", ".rds.amazonaws.com.cn")


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
    storage_gb: int = Field(
        default=20,
        ge=20,
        le=65536,
        description="Initial storage; a later `generation` has the storage of its source",
    )
    max_storage_gb: int = Field(
        default=100, ge=20, le=65536, description="Limit of storage autoscaling"
    )
    generation: int = Field(
        default=1,
        ge=1,
        le=999,
        description="Number of the instance; the name of a later one ends with `-g<number>`. `make "
        "rollback` and `make restore` write it",
    )
    restore_from: RestoreSource | None = Field(
        default=None,
        description="Snapshot (name or ARN), replicated backup (ARN), or point in time of the generation "
        "before, such as `2026-11-28T10:00:00Z`, from which AWS creates a `generation` after 1; read at "
        "its creation only",
    )
    restore_time: RestoreTime | None = Field(
        default=None,
        description="Point in time of the replicated backup in `restore_from`; if not set, its latest one",
    )
    kept_generation: int | None = Field(
        default=None,
        ge=1,
        description="Former generation, which stays beside the present one until `make forget-database`",
    )
    multi_az: bool = Field(default=False, description="Standby in a second availability zone")
    backup_days: int = Field(
        default=BACKUP_DAYS, ge=1, le=35, description="Backup retention (point-in-time recovery)"
    )
    replicate_to: Region | None = Field(
        default=None,
        description="Second Region, for the automated backups and the Fernet key: "
        "[runbook](runbooks/lost-region.md)",
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
    client_security_group_ids: tuple[SecurityGroupId, ...] = Field(
        default=(),
        description="Security groups that may connect, such as the one of the nodes of an existing "
        "cluster; the nodes of a new EKS cluster always may",
        strict=False,
    )
    client_cidrs: tuple[Cidr, ...] = Field(
        default=(),
        description="Networks that may connect, such as the subnets of the nodes of an existing cluster",
        strict=False,
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

    @model_validator(mode="after")
    def _generations_fit(self) -> "RdsSettings":
        if self.generation > 1 and self.restore_from is None:
            raise ValueError(
                f"generation {self.generation} needs restore_from: only generation 1 begins empty"
            )
        if self.generation == 1 and self.restore_from is not None:
            raise ValueError(
                f"restore_from {self.restore_from} needs a generation after 1: generation 1 begins "
                "empty. `make restore` sets both"
            )
        if self.kept_generation is not None and self.kept_generation >= self.generation:
            raise ValueError(
                f"kept_generation {self.kept_generation} must be lower than generation "
                f"{self.generation}, the present one"
            )
        if self.restore_time is not None and self.replicated_backup is None:
            raise ValueError(
                f"restore_time {self.restore_time} needs the ARN of a replicated backup in restore_from, "
                f"got {self.restore_from}: write a point in time of the generation before into "
                "restore_from"
            )
        return self

    @property
    def former_point(self) -> str | None:
        """The point in time of the generation before in `restore_from`; None for another source."""
        return self._source(limits.RESTORE_TIME)

    @property
    def replicated_backup(self) -> str | None:
        """The ARN of a replicated backup in `restore_from`; None for another source."""
        return self._source(limits.REPLICATED_BACKUP)

    def _source(self, pattern: str) -> str | None:
        given = self.restore_from
        return given if given and re.fullmatch(pattern, given) else None

    @property
    def max_connections(self) -> int:
        return limits.rds_max_connections(self.instance_class)

    @property
    def uses_tls(self) -> bool:
        return True


def database_identifier(
    settings: RdsSettings, stack_name: str, generation: int | None = None
) -> str:
    """Name of an RDS instance, by default of the present generation.

    Stack names may contain `_` and `.`, which RDS refuses.
    """
    number = generation or settings.generation
    suffix = "" if number == 1 else f"-g{number}"
    name = settings.identifier
    if name is None:
        name = "-".join(["airflow", *re.findall("[a-z0-9]+", stack_name.lower())])
    return _with_suffix(name, suffix)


def drill_identifier(instance: str) -> str:
    """Name of the RDS instance that `make drill` restores from another one, and deletes."""
    return _with_suffix(instance, "-drill")


def _with_suffix(name: str, suffix: str) -> str:
    return name[: limits.RDS_IDENTIFIER_LENGTH - len(suffix)].rstrip("-") + suffix


def dump_prefix(stack_name: str, airflow_version: str) -> str:
    """The begin of the name of a dump, before its time."""
    return re.sub("[^a-zA-Z0-9]+", "-", f"{stack_name}-{airflow_version}")


class ContainerDatabaseSettings(Section):
    kind: Literal["container"]
    storage_gb: int = Field(default=5, ge=1, le=1000, description="Volume of PostgreSQL")
    backup_days: int = Field(
        default=BACKUP_DAYS,
        ge=0,
        le=365,
        description="Retention of the nightly dumps, on a volume of their own. `0`: neither dumps nor "
        "this volume",
    )
    backup_storage_gb: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Volume of the nightly dumps, which are compressed: one for each day of `backup_days`, "
        "and two more",
    )
    protect: bool = Field(
        default=False, description="Refuse to delete the volumes of the database and of its dumps"
    )
    image: TaggedImage = Field(
        default=versions.POSTGRES_IMAGE, description="PostgreSQL image, with its tag"
    )
    digest: Digest | None = Field(
        default=None, description="Digest of the image; takes precedence over the tag"
    )

    @model_validator(mode="after")
    def _the_volume_has_a_use(self) -> "ContainerDatabaseSettings":
        if self.backup_days == 0 and "backup_storage_gb" in self.model_fields_set:
            raise ValueError(
                f"backup_storage_gb {self.backup_storage_gb} needs backup_days of 1 or more: remove it, or "
                "set backup_days"
            )
        return self

    @property
    def image_reference(self) -> str:
        return pinned(self.image, self.digest)

    @property
    def max_connections(self) -> int:
        return limits.CONTAINER_MAX_CONNECTIONS

    @property
    def uses_tls(self) -> bool:
        return False


class ExistingDatabaseSettings(Section):
    kind: Literal["existing"]
    host: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
        description="Host name of a PostgreSQL server, such as the endpoint of an RDS instance; the "
        "password is the Pulumi secret `database_password`",
    )
    port: int = Field(default=5432, ge=1, le=65535, description="Port of the server")
    name: str = Field(
        default="airflow",
        pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$",
        description="Database, used by this stack only",
    )
    user: str = Field(
        default="airflow",
        pattern=ROLE_NAME,
        description="Owner of the database, used by this stack only; with `CREATEROLE`, or beside a role "
        "`<user>_keda` (docs/clusters.md)",
    )
    tls: bool = Field(
        default=True,
        description="Require TLS and verify the certificate of the server; `false`: without encryption",
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="PEM file with the root certificates of the server; if not set, "
        "`components/aws/rds_ca.pem` for an endpoint of RDS",
    )
    max_connections: int = Field(
        default=100, ge=20, le=10_000, description="Connections that the server has for this stack"
    )
    security_group_id: SecurityGroupId | None = Field(
        default=None,
        description="Security group of the database, to which the nodes of the new cluster are added "
        "(EKS)",
    )

    @model_validator(mode="after")
    def _certificate_can_be_verified(self) -> "ExistingDatabaseSettings":
        if not self.tls and self.ca_file is not None:
            raise ValueError("ca_file needs tls: true")
        if self.tls and self.ca_file is None and not self.host.lower().endswith(RDS_DOMAINS):
            raise ValueError(
                f"ca_file is required: {self.host} is no endpoint of RDS, whose root certificates are the "
                "default; or set tls: false if the server has no TLS"
            )
        return self

    @property
    def uses_tls(self) -> bool:
        return self.tls
