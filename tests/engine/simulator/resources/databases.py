"""RDS: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/"""

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    managed,
    ordered,
    pairs,
    retag,
    tags_seen,
)


def _retag(cloud: Cloud, arn: str, old: Values, new: Values) -> Values:
    rds = cloud.client("rds")
    return retag(
        old,
        new,
        lambda keys: rds.remove_tags_from_resource(ResourceName=arn, TagKeys=keys),
        lambda tags: rds.add_tags_to_resource(ResourceName=arn, Tags=pairs(tags)),
    )


def _tags(cloud: Cloud, arn: str, state: Values) -> Values:
    answer = cloud.client("rds").list_tags_for_resource(ResourceName=arn)
    return tags_seen(answer["TagList"], state)


# --- groups


def _create_subnets(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    created = cloud.client("rds").create_db_subnet_group(
        DBSubnetGroupName=inputs["name"],
        DBSubnetGroupDescription=inputs.get("description") or "Managed by Pulumi",
        SubnetIds=inputs["subnetIds"],
        Tags=pairs(inputs.get("tagsAll")),
    )["DBSubnetGroup"]
    outputs = {
        "arn": created["DBSubnetGroupArn"],
        "vpcId": created["VpcId"],
        "name": inputs["name"],
    }
    return inputs["name"], outputs


def _read_subnets(cloud: Cloud, id_: str, state: Values) -> Values:
    answer = cloud.client("rds").describe_db_subnet_groups(DBSubnetGroupName=id_)
    (group,) = answer["DBSubnetGroups"]
    ids = [subnet["SubnetIdentifier"] for subnet in group["Subnets"]]
    arn = group["DBSubnetGroupArn"]
    return {
        "name": id_,
        "arn": arn,
        "vpcId": group["VpcId"],
        "subnetIds": ordered(state.get("subnetIds"), ids),
        **_tags(cloud, arn, state),
    }


def _update_subnets(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    if old.get("subnetIds") != new.get("subnetIds"):
        cloud.client("rds").modify_db_subnet_group(
            DBSubnetGroupName=id_, SubnetIds=new["subnetIds"]
        )
    return _retag(cloud, old["arn"], old, new)


SUBNET_GROUP = Resource(
    create=_create_subnets,
    read=_read_subnets,
    update=_update_subnets,
    delete=lambda cloud, id_, _: cloud.client("rds").delete_db_subnet_group(DBSubnetGroupName=id_),
    replaces=frozenset({"name", "namePrefix"}),
    autoname="name",
)


def _create_parameters(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    created = cloud.client("rds").create_db_parameter_group(
        DBParameterGroupName=inputs["name"],
        DBParameterGroupFamily=inputs["family"],
        Description=inputs.get("description") or "Managed by Pulumi",
        Tags=pairs(inputs.get("tagsAll")),
    )["DBParameterGroup"]
    _set_parameters(cloud, inputs["name"], inputs)
    return inputs["name"], {"arn": created["DBParameterGroupArn"], "name": inputs["name"]}


def _set_parameters(cloud: Cloud, name: str, inputs: Values) -> None:
    parameters = [
        {
            "ParameterName": p["name"],
            "ParameterValue": p["value"],
            "ApplyMethod": p.get("applyMethod") or "immediate",
        }
        for p in inputs.get("parameters") or []
    ]
    if parameters:
        cloud.client("rds").modify_db_parameter_group(
            DBParameterGroupName=name, Parameters=parameters
        )


def _read_parameters(cloud: Cloud, id_: str, state: Values) -> Values | None:
    rds = cloud.client("rds")
    groups = rds.describe_db_parameter_groups(DBParameterGroupName=id_)["DBParameterGroups"]
    if not groups:
        return None
    (group,) = groups
    found = rds.describe_db_parameters(DBParameterGroupName=id_, Source="user")["Parameters"]
    seen = {p["ParameterName"]: p["ParameterValue"] for p in found}
    known = state.get("parameters") or []
    arn = group["DBParameterGroupArn"]
    outputs = {
        "name": id_,
        "arn": arn,
        "family": group["DBParameterGroupFamily"],
        **_tags(cloud, arn, state),
    }
    if seen != {p["name"]: p["value"] for p in known}:
        methods = {p["name"]: p.get("applyMethod") for p in known}
        outputs["parameters"] = [
            {"name": n, "value": v, **({"applyMethod": methods[n]} if methods.get(n) else {})}
            for n, v in sorted(seen.items())
        ]
    return outputs


def _update_parameters(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    rds = cloud.client("rds")
    names = {p["name"] for p in new.get("parameters") or []}
    gone = [p for p in old.get("parameters") or [] if p["name"] not in names]
    if gone:
        reset = [{"ParameterName": p["name"], "ApplyMethod": "pending-reboot"} for p in gone]
        rds.reset_db_parameter_group(DBParameterGroupName=id_, Parameters=reset)
    _set_parameters(cloud, id_, new)
    return _retag(cloud, old["arn"], old, new)


PARAMETER_GROUP = Resource(
    create=_create_parameters,
    read=_read_parameters,
    update=_update_parameters,
    delete=lambda cloud, id_, _: cloud.client("rds").delete_db_parameter_group(
        DBParameterGroupName=id_
    ),
    replaces=frozenset({"name", "namePrefix", "family", "description"}),
    autoname="name",
)

# --- instances

_CHANGEABLE = {
    # The provider renames the instance:
    # https://github.com/hashicorp/terraform-provider-aws/issues/32590
    "identifier": "NewDBInstanceIdentifier",
    "instanceClass": "DBInstanceClass",
    "allocatedStorage": "AllocatedStorage",
    "maxAllocatedStorage": "MaxAllocatedStorage",
    "storageType": "StorageType",
    "engineVersion": "EngineVersion",
    "multiAz": "MultiAZ",
    "backupRetentionPeriod": "BackupRetentionPeriod",
    "backupWindow": "PreferredBackupWindow",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "deletionProtection": "DeletionProtection",
    "copyTagsToSnapshot": "CopyTagsToSnapshot",
    "publiclyAccessible": "PubliclyAccessible",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "password": "MasterUserPassword",
    "parameterGroupName": "DBParameterGroupName",
    "vpcSecurityGroupIds": "VpcSecurityGroupIds",
    "caCertIdentifier": "CACertificateIdentifier",
}
_FIXED = {
    "identifier": "DBInstanceIdentifier",
    "engine": "Engine",
    "dbName": "DBName",
    "username": "MasterUsername",
    "storageEncrypted": "StorageEncrypted",
    "kmsKeyId": "KmsKeyId",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
    "performanceInsightsRetentionPeriod": "PerformanceInsightsRetentionPeriod",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    "availabilityZone": "AvailabilityZone",
}
# Fields of DescribeDBInstances, by Pulumi's names.
_SEEN = {
    "instanceClass": "DBInstanceClass",
    "allocatedStorage": "AllocatedStorage",
    "maxAllocatedStorage": "MaxAllocatedStorage",
    "storageType": "StorageType",
    "multiAz": "MultiAZ",
    "backupRetentionPeriod": "BackupRetentionPeriod",
    "deletionProtection": "DeletionProtection",
    "copyTagsToSnapshot": "CopyTagsToSnapshot",
    "publiclyAccessible": "PubliclyAccessible",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "storageEncrypted": "StorageEncrypted",
    "username": "MasterUsername",
    "engine": "Engine",
}


# What the provider changes after a restore, whose call does not accept it:
# https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/rds/instance.go
_AFTER_RESTORE = {
    "allocatedStorage": "AllocatedStorage",
    "maxAllocatedStorage": "MaxAllocatedStorage",
    "storageType": "StorageType",
    "engineVersion": "EngineVersion",
    "backupRetentionPeriod": "BackupRetentionPeriod",
    "backupWindow": "PreferredBackupWindow",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "password": "MasterUserPassword",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
}
# The provider reads neither in a restore: the source has them.
_OF_SOURCE = ("username", "storageEncrypted", "kmsKeyId")
_RESTORE = {
    ours: theirs
    for ours, theirs in {**_CHANGEABLE, **_FIXED}.items()
    if ours not in (*_AFTER_RESTORE, *_OF_SOURCE, "identifier", "caCertIdentifier")
}


_POINT = {
    "sourceDbInstanceIdentifier": "SourceDBInstanceIdentifier",
    "sourceDbInstanceAutomatedBackupsArn": "SourceDBInstanceAutomatedBackupsArn",
    "restoreTime": "RestoreTime",
    "useLatestRestorableTime": "UseLatestRestorableTime",
}


def _create_instance(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    rds, tags = cloud.client("rds"), pairs(inputs.get("tagsAll"))
    name = inputs["identifier"]
    restored = {**chosen(inputs, _RESTORE), "Tags": tags}
    snapshot, point = inputs.get("snapshotIdentifier"), inputs.get("restoreToPointInTime")
    if snapshot:
        answer = rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier=name, DBSnapshotIdentifier=snapshot, **restored
        )
    elif point:
        answer = rds.restore_db_instance_to_point_in_time(
            TargetDBInstanceIdentifier=name, **chosen(point, _POINT), **restored
        )
    else:
        answer = rds.create_db_instance(**chosen(inputs, {**_CHANGEABLE, **_FIXED}), Tags=tags)
    if snapshot or point:
        later = chosen(inputs, _AFTER_RESTORE)
        rds.modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True, **later)
    created = answer["DBInstance"]
    return created["DbiResourceId"], _instance_outputs(cloud, inputs["identifier"], {})


def _instance_outputs(cloud: Cloud, identifier: str, state: Values) -> Values:
    answer = cloud.client("rds").describe_db_instances(DBInstanceIdentifier=identifier)
    (instance,) = answer["DBInstances"]
    where = instance["Endpoint"]
    seen = {ours: instance.get(theirs) for ours, theirs in _SEEN.items()}
    groups = [group["VpcSecurityGroupId"] for group in instance["VpcSecurityGroups"]]
    seen["vpcSecurityGroupIds"] = ordered(state.get("vpcSecurityGroupIds"), groups)
    return {
        **(managed(state, seen) if state else {}),
        "identifier": identifier,
        "address": where["Address"],
        "endpoint": f"{where['Address']}:{where['Port']}",
        "port": where["Port"],
        "arn": instance["DBInstanceArn"],
        "resourceId": instance["DbiResourceId"],
        "engineVersionActual": instance["EngineVersion"],
        "status": "available",
        "hostedZoneId": "Z29XKXDKYMONMX",
    }


def _read_instance(cloud: Cloud, id_: str, state: Values) -> Values:
    outputs = _instance_outputs(cloud, state["identifier"], state)
    return {**outputs, **_tags(cloud, outputs["arn"], state)}


def _update_instance(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    changed = {k: theirs for k, theirs in _CHANGEABLE.items() if old.get(k) != new.get(k)}
    wanted = chosen(new, changed)
    if wanted:
        cloud.client("rds").modify_db_instance(
            DBInstanceIdentifier=old["identifier"],
            # By default changes wait for the maintenance window, except a new password.
            ApplyImmediately=bool(new.get("applyImmediately")),
            **wanted,
        )
    tags = _retag(cloud, old["arn"], old, new)
    identifier = _identifier(cloud, old["identifier"], new["identifier"])
    return {**_instance_outputs(cloud, identifier, new), **tags}


def _identifier(cloud: Cloud, *possible: str) -> str:
    """The identifier that the instance has: a rename may wait for the maintenance window."""
    found = cloud.client("rds").describe_db_instances()["DBInstances"]
    names = {instance["DBInstanceIdentifier"] for instance in found}
    return next(name for name in possible if name in names)


def _delete_instance(cloud: Cloud, id_: str, state: Values) -> None:
    skip = bool(state.get("skipFinalSnapshot"))
    final = {} if skip else chosen(state, {"finalSnapshotIdentifier": "FinalDBSnapshotIdentifier"})
    cloud.client("rds").delete_db_instance(
        DBInstanceIdentifier=state["identifier"], SkipFinalSnapshot=skip, **final
    )


INSTANCE = Resource(
    create=_create_instance,
    read=_read_instance,
    update=_update_instance,
    delete=_delete_instance,
    # A `dbSubnetGroupName` of another VPC also replaces the instance; this is not simulated.
    replaces=frozenset(
        {
            "engine",
            "dbName",
            "username",
            "storageEncrypted",
            "kmsKeyId",
            "availabilityZone",
            "snapshotIdentifier",
            "restoreToPointInTime",
        }
    ),
    autoname="identifier",
    lagging=frozenset({"identifier", "instanceClass", "multiAz"}),
    secrets=frozenset({"password"}),
)

# --- replicated backups


def _replicate(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    names = {
        "sourceDbInstanceArn": "SourceDBInstanceArn",
        "kmsKeyId": "KmsKeyId",
        "retentionPeriod": "BackupRetentionPeriod",
    }
    started = cloud.client("rds").start_db_instance_automated_backups_replication(
        **chosen(inputs, names)
    )
    return started["DBInstanceAutomatedBackup"]["DBInstanceAutomatedBackupsArn"], {}


def _read_replication(cloud: Cloud, id_: str, state: Values) -> Values | None:
    """A retained backup is one whose replication has stopped."""
    (found,) = cloud.client("rds").describe_db_instance_automated_backups(
        DBInstanceAutomatedBackupsArn=id_
    )["DBInstanceAutomatedBackups"]
    if found["Status"] == "retained":
        return None
    return {
        "sourceDbInstanceArn": found["DBInstanceArn"],
        "kmsKeyId": found["KmsKeyId"],
        "retentionPeriod": found["BackupRetentionPeriod"],
    }


REPLICATION = Resource(
    create=_replicate,
    read=_read_replication,
    delete=lambda cloud, _, state: cloud.client(
        "rds"
    ).stop_db_instance_automated_backups_replication(
        SourceDBInstanceArn=state["sourceDbInstanceArn"]
    ),
    replaces=frozenset({"sourceDbInstanceArn", "kmsKeyId", "retentionPeriod"}),
)

RESOURCES = {
    "aws:rds/subnetGroup:SubnetGroup": SUBNET_GROUP,
    "aws:rds/parameterGroup:ParameterGroup": PARAMETER_GROUP,
    "aws:rds/instance:Instance": INSTANCE,
    "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication": REPLICATION,
}
