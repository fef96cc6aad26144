"""Automated backups of RDS in a second Region, which moto lacks.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReplicateBackups.html
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.core.responses import ActionResult
from moto.kms.models import kms_backends
from moto.rds.exceptions import DBInstanceNotFoundError, RDSClientError
from moto.rds.models import DBInstance, RDSBackend, rds_backends
from moto.rds.responses import RDSResponse

Values = dict[str, Any]
# What a restored instance has from its backup, unless the call says otherwise.
OF_THE_SOURCE = (
    *("engine", "engine_version", "db_instance_class", "allocated_storage", "storage_type"),
    *("storage_encrypted", "db_name", "master_username", "master_user_password", "port"),
)
# (source, destination) between which AWS does not replicate, for tests; moto has no list.
unsupported: set[tuple[str, str]] = set()


@dataclass(kw_only=True)
class Backup:
    """`instance` stays readable after its deletion, or the loss of its Region."""

    arn: str
    instance: DBInstance
    source_arn: str
    key: str | None
    days: int
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    # When the last transaction log arrived; None while the source is replicated.
    ended: datetime | None = None

    @property
    def latest(self) -> datetime:
        return self.ended or datetime.now(UTC)

    def described(self) -> Values:
        return {
            "DBInstanceAutomatedBackupsArn": self.arn,
            "DBInstanceArn": self.source_arn,
            "DBInstanceIdentifier": self.instance.db_instance_identifier,
            "DbiResourceId": self.instance.dbi_resource_id,
            "Region": self.source_arn.split(":")[3],
            "Status": "retained" if self.ended else "replicating",
            "BackupRetentionPeriod": self.days,
            "Encrypted": self.instance.storage_encrypted,
            "Engine": self.instance.engine,
            "KmsKeyId": self.key,
            "RestoreWindow": {"EarliestTime": self.since, "LatestTime": self.latest},
        }


class BackupNotFound(RDSClientError):
    def __init__(self, arn: str) -> None:
        super().__init__("DBInstanceAutomatedBackupNotFound", f"{arn} not found.")


def backups(backend: RDSBackend) -> dict[str, Backup]:
    """The replicated backups in a Region, by ARN."""
    return backend.__dict__.setdefault("replicated_backups", {})


def of_region(account: str, region: str) -> list[Backup]:
    """The backups that other Regions have of instances of this one, and still replicate."""
    every = (
        found for backend in rds_backends[account].values() for found in backups(backend).values()
    )
    return [each for each in every if each.source_arn.split(":")[3] == region and not each.ended]


def source(backend: RDSBackend, arn: str) -> DBInstance:
    *_, region, account, _, name = arn.split(":")
    instance = rds_backends[account][region].databases.get(name)
    if instance is None:
        raise DBInstanceNotFoundError(name)
    return instance


def usable_key(backend: RDSBackend, key: str | None) -> bool:
    """Whether the Region has this key, enabled."""
    found = kms_backends[backend.account_id][backend.region_name].keys.values()
    return any(each.arn == key and each.key_state == "Enabled" for each in found)


def _start(backend: RDSBackend, source_arn: str, key: str | None, days: int) -> Backup:
    instance = source(backend, source_arn)
    name = f"ab-{len(backups(backend)):024d}"
    arn = f"arn:aws:rds:{backend.region_name}:{backend.account_id}:auto-backup:{name}"
    backup = Backup(arn=arn, instance=instance, source_arn=source_arn, key=key, days=days)
    backups(backend)[arn] = backup
    return backup


def _stop(backend: RDSBackend, source_arn: str) -> Backup:
    backup = replication(backend, source_arn)
    if backup is None:
        raise RDSClientError(
            "InvalidDBInstanceState", f"{source_arn} is not replicating to the current region."
        )
    backup.ended = datetime.now(UTC)
    return backup


def replication(backend: RDSBackend, source_arn: str) -> Backup | None:
    found = backups(backend).values()
    return next((b for b in found if b.source_arn == source_arn and not b.ended), None)


def _restore(backend: RDSBackend, backup_arn: str, target: str, overrides: Values) -> DBInstance:
    backup = backups(backend)[backup_arn]
    # Moto does not hand out the password, and keeps it.
    stored = {key.removeprefix("_"): value for key, value in vars(backup.instance).items()}
    given = {key: stored[key] for key in OF_THE_SOURCE}
    given |= {key: value for key, value in overrides.items() if value is not None}
    given |= {"db_instance_identifier": target, "kms_key_id": backup.key}
    return backend.create_db_instance(given)


def _on_start(response: RDSResponse) -> ActionResult:
    given, backend = response.params, response.backend
    created = backend.start_replication(  # type: ignore[attr-defined]
        given["SourceDBInstanceArn"], given.get("KmsKeyId"), given.get("BackupRetentionPeriod", 7)
    )
    return ActionResult({"DBInstanceAutomatedBackup": created.described()})


def _on_stop(response: RDSResponse) -> ActionResult:
    backend: Any = response.backend
    stopped = backend.stop_replication(response.params["SourceDBInstanceArn"])
    return ActionResult({"DBInstanceAutomatedBackup": stopped.described()})


def _on_source_regions(response: RDSResponse) -> ActionResult:
    """Every Region that moto knows, or the one of the request."""
    wanted, here = response.params.get("RegionName"), response.backend.region_name
    names = [wanted] if wanted else list(rds_backends[response.current_account])
    rows = [
        {
            "RegionName": name,
            "Endpoint": f"https://rds.{name}.amazonaws.com",
            "Status": "available",
            "SupportsDBInstanceAutomatedBackupsReplication": (name, here) not in unsupported,
        }
        for name in names
        if name != here
    ]
    return ActionResult({"SourceRegions": rows})


def install(patches: ExitStack) -> None:
    describe = RDSResponse.describe_db_instance_automated_backups
    restore = RDSResponse.restore_db_instance_to_point_in_time

    @wraps(describe)
    def described(response: RDSResponse) -> ActionResult:
        """Moto's are those of instances in this Region, and have no ARN."""
        found, arn = backups(response.backend), response.params.get("DBInstanceAutomatedBackupsArn")
        if arn and arn not in found:
            raise BackupNotFound(arn)
        chosen = [found[arn]] if arn else found.values()
        return ActionResult({"DBInstanceAutomatedBackups": [b.described() for b in chosen]})

    @wraps(restore)
    def restored(response: RDSResponse) -> ActionResult:
        given: Any = response.params
        arn, target = (
            given.get("SourceDBInstanceAutomatedBackupsArn"),
            given["TargetDBInstanceIdentifier"],
        )
        if not arn:
            return restore(response)
        backend: Any = response.backend
        return ActionResult({"DBInstance": backend.restore_replicated_backup(arn, target, given)})

    unsupported.clear()
    for name, replacement in (
        ("start_db_instance_automated_backups_replication", _on_start),
        ("stop_db_instance_automated_backups_replication", _on_stop),
        ("describe_source_regions", _on_source_regions),
        ("describe_db_instance_automated_backups", described),
        ("restore_db_instance_to_point_in_time", restored),
    ):
        patches.enter_context(patch.object(RDSResponse, name, replacement, create=True))
    for name, replacement in (
        ("start_replication", _start),
        ("stop_replication", _stop),
        ("restore_replicated_backup", _restore),
    ):
        patches.enter_context(patch.object(RDSBackend, name, replacement, create=True))
