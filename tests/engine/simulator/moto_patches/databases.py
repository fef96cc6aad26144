"""RDS: dependencies of an instance must exist and match; they cannot be deleted before it.

A change waits for the maintenance window or for a reboot, unless it applies immediately.
"""

from contextlib import ExitStack
from datetime import UTC, datetime
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.ec2.models import ec2_backends
from moto.rds.exceptions import RDSClientError
from moto.rds.models import DBInstance, RDSBackend
from moto.rds.responses import RDSResponse

from tests.engine.simulator import moto_backups
from tests.engine.simulator.moto_patches.guard import guards

Arguments = dict[str, Any]


def _ec2(backend: RDSBackend) -> Any:
    return ec2_backends[backend.account_id][backend.region_name]


def subnets_exist_in_two_zones(backend: RDSBackend, given: Arguments) -> None:
    zones = {subnet.availability_zone for subnet in given["subnets"]}
    if len(zones) < 2:
        message = (
            f"Subnet group doesn't meet availability zone coverage: {', '.join(sorted(zones))}"
        )
        raise RDSClientError("DBSubnetGroupDoesNotCoverEnoughAZs", message)


def subnets_are_known(response: RDSResponse, given: Arguments) -> None:
    ec2 = ec2_backends[response.current_account][response.region]
    known = {id_ for zone in ec2.subnets.values() for id_ in zone}
    for id_ in response.params.get("SubnetIds", []):
        if id_ not in known:
            message = f"The requested subnet is invalid: '{id_}' does not exist"
            raise RDSClientError("InvalidSubnet", message)


def subnet_group_exists(backend: RDSBackend, given: Arguments) -> None:
    name = given["db_kwargs"].get("db_subnet_group_name")
    if name is not None and name not in backend.subnet_groups:
        raise RDSClientError("DBSubnetGroupNotFoundFault", f"DBSubnetGroup not found: {name}")


def parameters_fit(backend: RDSBackend, given: Arguments) -> None:
    name = given["db_kwargs"].get("db_parameter_group_name")
    if name is None or name.startswith("default."):
        return
    group = backend.db_parameter_groups.get(name)
    if group is None:
        raise RDSClientError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}")
    major = str(given["db_kwargs"].get("engine_version")).partition(".")[0]
    if group.family != f"postgres{major}":
        message = f"The parameter group {name} with family {group.family} "
        message += f"cannot be used for engine version {major}"
        raise RDSClientError("InvalidParameterCombination", message)


def instance_security_groups_exist(backend: RDSBackend, given: Arguments) -> None:
    ids = given["db_kwargs"].get("vpc_security_group_ids") or []
    for id_ in ids:
        if _ec2(backend).get_security_group_from_id(id_) is None:
            raise RDSClientError("InvalidParameterValue", f"Invalid security group: {id_}")


def security_groups_are_of_the_vpc(backend: RDSBackend, given: Arguments) -> None:
    subnets = backend.subnet_groups.get(given["db_kwargs"].get("db_subnet_group_name") or "")
    for id_ in given["db_kwargs"].get("vpc_security_group_ids") or []:
        group = _ec2(backend).get_security_group_from_id(id_)
        if subnets and group and group.vpc_id != subnets.vpc_id:
            message = f"The DB instance and EC2 security group are in different VPCs: {id_}"
            raise RDSClientError("InvalidVPCNetworkStateFault", message)


def database_is_that_of_the_source(backend: RDSBackend, given: Arguments) -> None:
    if given["overrides"].get("db_name"):
        message = "DBName must be null when Restoring for this Engine."
        raise RDSClientError("InvalidParameterValue", message)


def backups_are_enabled(backend: RDSBackend, given: Arguments) -> None:
    source = backend.databases.get(given["source_db_identifier"])
    if source is not None and not source.backup_retention_period:
        message = f"{source.db_instance_identifier} has a backup retention period of 0"
        raise RDSClientError("PointInTimeRestoreNotEnabled", message)


def time_is_restorable(backend: RDSBackend, given: Arguments) -> None:
    source = backend.databases.get(given["source_db_identifier"])
    wanted = given["overrides"].get("restore_time")
    if source is None or wanted is None:
        return
    if not _moment(source.instance_create_time) <= _moment(wanted) <= datetime.now(UTC):
        message = "The specified time is not between creation and latest restorable time."
        raise RDSClientError("InvalidParameterValue", message)


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def source_exists_in_another_region(backend: RDSBackend, given: Arguments) -> None:
    source = given["source_arn"]
    if source.split(":")[3] == backend.region_name:
        message = f"Cannot replicate backups of {source} to its own region."
        raise RDSClientError("InvalidParameterValue", message)
    moto_backups.source(backend, source)


def regions_support_replication(backend: RDSBackend, given: Arguments) -> None:
    source = given["source_arn"].split(":")[3]
    if (source, backend.region_name) in moto_backups.unsupported:
        message = f"Replication of automated backups from {source} is not supported in this region."
        raise RDSClientError("InvalidParameterValue", message)


def source_has_backups(backend: RDSBackend, given: Arguments) -> None:
    instance = moto_backups.source(backend, given["source_arn"])
    if not instance.backup_retention_period:
        message = f"{instance.db_instance_identifier} has a backup retention period of 0"
        raise RDSClientError("InvalidDBInstanceState", message)


def retention_of_replicated_backups_is_valid(backend: RDSBackend, given: Arguments) -> None:
    if not 1 <= given["days"] <= 35:
        message = f"Invalid backup retention period: {given['days']}"
        raise RDSClientError("InvalidParameterValue", message)


def encrypted_source_has_a_key_in_this_region(backend: RDSBackend, given: Arguments) -> None:
    encrypted = moto_backups.source(backend, given["source_arn"]).storage_encrypted
    if encrypted and not moto_backups.usable_key(backend, given["key"]):
        message = f"KMS key {given['key']} is not accessible in {backend.region_name}"
        raise RDSClientError("KMSKeyNotAccessibleFault", message)


def source_has_no_other_replication_here(backend: RDSBackend, given: Arguments) -> None:
    if moto_backups.replication(backend, given["source_arn"]) is not None:
        message = f"{given['source_arn']} is already replicating to {backend.region_name}"
        raise RDSClientError("InvalidDBInstanceState", message)


def replicated_backup_exists(backend: RDSBackend, given: Arguments) -> None:
    if given["backup_arn"] not in moto_backups.backups(backend):
        raise moto_backups.BackupNotFound(given["backup_arn"])


def key_of_the_backup_is_enabled(backend: RDSBackend, given: Arguments) -> None:
    backup = moto_backups.backups(backend).get(given["backup_arn"])
    if backup and backup.key and not moto_backups.usable_key(backend, backup.key):
        message = f"KMS key {backup.key} is not accessible"
        raise RDSClientError("KMSKeyNotAccessibleFault", message)


def time_is_in_the_backup(backend: RDSBackend, given: Arguments) -> None:
    backup = moto_backups.backups(backend).get(given["backup_arn"])
    wanted = given["overrides"].get("restore_time")
    if backup and wanted and not backup.since <= _moment(wanted) <= backup.latest:
        message = "The specified time is not between creation and latest restorable time."
        raise RDSClientError("InvalidParameterValue", message)


def final_snapshot_is_named(backend: RDSBackend, given: Arguments) -> None:
    if not given["skip_final_snapshot"] and not given["final_db_snapshot_identifier"]:
        message = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
        raise RDSClientError("InvalidParameterCombination", message)


def subnet_group_is_free(backend: RDSBackend, given: Arguments) -> None:
    for instance in backend.databases.values():
        group = instance.db_subnet_group
        if group and group.name == given["subnet_name"]:
            message = (
                f"Cannot delete the subnet group '{group.name}' because at least one database "
            )
            message += f"instance: {instance.db_instance_identifier} is still using it."
            raise RDSClientError("InvalidDBSubnetGroupStateFault", message)


def parameter_group_is_free(backend: RDSBackend, given: Arguments) -> None:
    name = given["db_parameter_group_name"]
    for instance in backend.databases.values():
        if instance.db_parameter_group_name == name:
            message = (
                f"One or more database instances are still members of this parameter group {name}"
            )
            raise RDSClientError("InvalidDBParameterGroupState", message)


# Every other change applies at once, whatever `ApplyImmediately` says.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.Settings.html
DEFERRED = {
    "allocated_storage",
    "ca_certificate_identifier",
    "db_instance_class",
    "engine_version",
    "iops",
    "multi_az",
    "new_db_instance_identifier",
    "storage_throughput",
    "storage_type",
}
RESTARTS = {"db_instance_class", "engine_version", "new_db_instance_identifier"}


def defer_changes(patches: ExitStack) -> None:
    """Moto applies every change at once, and knows no parameter that waits for a reboot.

    Values that wait are in `pending_modified_values` of an instance, which DescribeDBInstances
    shows. `restart_needed`: a static parameter of its group has changed.
    """
    modify, reboot = RDSBackend.modify_db_instance, RDSBackend.reboot_db_instance
    set_parameters = RDSBackend.modify_db_parameter_group

    @wraps(modify)
    def modified(backend: RDSBackend, identifier: str, given: Arguments) -> DBInstance:
        (instance,) = backend.describe_db_instances(identifier)
        waiting: Arguments = dict(getattr(instance, "pending_modified_values", {}))
        waiting |= {k: v for k, v in given.items() if k in DEFERRED and v is not None}
        waiting = {k: v for k, v in waiting.items() if v != getattr(instance, k, None)}
        now = {k: v for k, v in given.items() if k not in DEFERRED}
        if given.get("apply_immediately"):
            now, waiting = {**now, **waiting}, {}
        if any(getattr(instance, key, None) != now[key] for key in RESTARTS & now.keys()):
            instance.restart_needed = False
        instance.pending_modified_values = waiting
        return modify(backend, identifier, now)

    @wraps(reboot)
    def rebooted(backend: RDSBackend, identifier: str) -> DBInstance:
        instance = reboot(backend, identifier)
        instance.restart_needed = False
        return instance

    @wraps(set_parameters)
    def parameters_set(backend: RDSBackend, name: str, parameters: Any) -> Any:
        given = list(parameters)
        group = backend.db_parameter_groups.get(name)
        before = {} if group is None else {k: dict(v) for k, v in group.parameters.items()}
        changed = set_parameters(backend, name, given)
        for parameter in given:
            known = before.get(parameter["ParameterName"], {}).get("ParameterValue")
            if parameter.get("ApplyMethod") == "pending-reboot" and known != parameter.get(
                "ParameterValue"
            ):
                for instance in backend.databases.values():
                    if instance.db_parameter_group_name == name:
                        instance.restart_needed = True
        return changed

    def statuses(instance: DBInstance) -> list[Any]:
        groups = instance.db_parameter_groups()
        status = "pending-reboot" if getattr(instance, "restart_needed", False) else "in-sync"
        for group in groups:
            group.ParameterApplyStatus = status
        return groups

    for name, replacement in (
        ("modify_db_instance", modified),
        ("reboot_db_instance", rebooted),
        ("modify_db_parameter_group", parameters_set),
    ):
        patches.enter_context(patch.object(RDSBackend, name, replacement))
    patches.enter_context(
        patch.object(DBInstance, "db_parameter_group_status_list", property(statuses))
    )
    patches.enter_context(patch.object(DBInstance, "pending_modified_values", {}, create=True))


_API = "https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/"
GUARDS = (
    *guards(
        RDSResponse, _API, ("create_db_subnet_group", "CreateDBSubnetGroup", subnets_are_known)
    ),
    *guards(
        RDSBackend,
        _API,
        ("create_subnet_group", "CreateDBSubnetGroup", subnets_exist_in_two_zones),
        (
            "create_db_instance",
            "CreateDBInstance",
            subnet_group_exists,
            parameters_fit,
            instance_security_groups_exist,
            security_groups_are_of_the_vpc,
        ),
        (
            "restore_db_instance_from_db_snapshot",
            "RestoreDBInstanceFromDBSnapshot",
            database_is_that_of_the_source,
        ),
        (
            "restore_db_instance_to_point_in_time",
            "RestoreDBInstanceToPointInTime",
            backups_are_enabled,
            time_is_restorable,
        ),
        (
            "start_replication",
            "StartDBInstanceAutomatedBackupsReplication",
            source_exists_in_another_region,
            regions_support_replication,
            source_has_backups,
            retention_of_replicated_backups_is_valid,
            encrypted_source_has_a_key_in_this_region,
            source_has_no_other_replication_here,
        ),
        (
            "restore_replicated_backup",
            "RestoreDBInstanceToPointInTime",
            replicated_backup_exists,
            key_of_the_backup_is_enabled,
            time_is_in_the_backup,
        ),
        ("delete_db_instance", "DeleteDBInstance", final_snapshot_is_named),
        ("delete_subnet_group", "DeleteDBSubnetGroup", subnet_group_is_free),
        ("delete_db_parameter_group", "DeleteDBParameterGroup", parameter_group_is_free),
    ),
)
