"""RDS for PostgreSQL: the metadata database of Airflow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.support.database_login import NAME, PORT, USER, DatabaseLogin
from components.support.passwords import password
from settings import limits
from settings.database import RdsSettings, database_identifier
from settings.rds_ca import RDS_CA
from settings.versions import POSTGRES

LOG_SLOWER_THAN_MS = "1000"
EXPORTED_LOGS = ("postgresql", "upgrade")
SOURCES = ("snapshotIdentifier", "restoreToPointInTime")


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    # Of the nodes of the stack's own cluster; settings name more clients.
    node_security_group_id: pulumi.Input[str] | None
    password: pulumi.Output[str] | None
    password_rotation: int
    log_retention_days: int
    settings: RdsSettings


class Database(pulumi.ComponentResource):
    """Private, encrypted instance that accepts TLS connections from its clients only."""

    login: DatabaseLogin
    # ARN of the present generation.
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:Database", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        secret = password(
            f"{name}-password",
            configured=args.password,
            rotation=args.password_rotation,
            opts=child,
        )
        subnets = aws.rds.SubnetGroup(f"{name}-subnets", subnet_ids=args.subnet_ids, opts=child)
        security_group = aws.ec2.SecurityGroup(
            f"{name}-security-group",
            vpc_id=args.vpc_id,
            description="PostgreSQL of Airflow",
            tags={"Name": f"{name}-security-group"},
            # The former name: without the alias, an update would replace the group.
            opts=pulumi.ResourceOptions(
                parent=self, aliases=[pulumi.Alias(name=f"{name}-firewall")]
            ),
        )
        if args.node_security_group_id is not None:
            admit(name, security_group.id, args.node_security_group_id, opts=child)
        for client in args.settings.client_security_group_ids:
            rule = f"{name}-from-{client}"
            _rule(
                rule, security_group.id, "listed group", child, referenced_security_group_id=client
            )
        for client in args.settings.client_cidrs:
            rule = f"{name}-from-{client.replace('/', '-')}"
            _rule(rule, security_group.id, "listed network", child, cidr_ipv4=client)
        parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            family=f"postgres{POSTGRES}",
            parameters=[
                {"name": "rds.force_ssl", "value": "1"},
                {"name": "log_min_duration_statement", "value": LOG_SLOWER_THAN_MS},
                {
                    "name": "max_connections",
                    "value": str(args.settings.max_connections),
                    "apply_method": "pending-reboot",
                },
            ],
            opts=child,
        )
        shared = Shared(
            name=name,
            password=secret,
            subnets=subnets.name,
            security_group=security_group.id,
            parameters=parameters.name,
        )
        instance = _instance(self, shared, args, args.settings.generation)
        if args.settings.kept_generation is not None:
            _instance(self, shared, args, args.settings.kept_generation)
        self.arn = instance.arn
        self.login = DatabaseLogin(
            host=instance.address,
            password=secret,
            ca=Path(args.settings.ca_file or RDS_CA).read_text(),
        )
        self.register_outputs({"host": instance.address})


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all generations of a database have in common."""

    name: str
    password: pulumi.Output[str]
    subnets: pulumi.Output[str]
    security_group: pulumi.Output[str]
    parameters: pulumi.Output[str]


def _instance(
    parent: pulumi.Resource, shared: Shared, args: DatabaseArgs, generation: int
) -> aws.rds.Instance:
    """One generation, with log groups and a final snapshot of its own."""
    settings, name = args.settings, shared.name
    child = pulumi.ResourceOptions(parent=parent)
    identifier = database_identifier(settings, pulumi.get_stack(), generation)
    suffix = "" if generation == 1 else f"-{generation}"
    # RDS would create these groups without retention, and leave them behind:
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Procedural.UploadtoCloudWatch.html
    log_groups = [
        aws.cloudwatch.LogGroup(
            f"{name}-log-{kind}{suffix}",
            name=f"/aws/rds/instance/{identifier}/{kind}",
            retention_in_days=limits.cloudwatch_retention(args.log_retention_days),
            opts=child,
        )
        for kind in EXPORTED_LOGS
    ]
    # The final snapshot survives the instance, so each instance needs its own snapshot name.
    snapshot = random.RandomId(f"{name}-snapshot{suffix}", byte_length=4, opts=child)
    return aws.rds.Instance(
        f"{name}-instance{suffix}",
        identifier=identifier,
        apply_immediately=settings.apply_immediately,
        engine="postgres",
        # AWS updates the minor version; the major version is a pinned constant.
        engine_version=POSTGRES,
        auto_minor_version_upgrade=True,
        instance_class=settings.instance_class,
        storage_type="gp3",
        max_allocated_storage=settings.max_storage_gb,
        storage_encrypted=True,
        multi_az=settings.multi_az,
        # The provider also sets it after a restore.
        password=shared.password,
        parameter_group_name=shared.parameters,
        db_subnet_group_name=shared.subnets,
        vpc_security_group_ids=[shared.security_group],
        publicly_accessible=False,
        backup_retention_period=settings.backup_days,
        copy_tags_to_snapshot=True,
        performance_insights_enabled=True,
        enabled_cloudwatch_logs_exports=[*EXPORTED_LOGS],
        deletion_protection=settings.protect,
        skip_final_snapshot=not settings.final_snapshot,
        final_snapshot_identifier=pulumi.Output.format("{}-final-{}", identifier, snapshot.hex)
        if settings.final_snapshot
        else None,
        **_content(settings, generation),
        opts=pulumi.ResourceOptions(
            parent=parent,
            protect=settings.protect,
            depends_on=log_groups,
            # A second instance cannot have the same name.
            delete_before_replace=True,
            # Of its creation: another value would replace the instance.
            ignore_changes=[*SOURCES] if generation > 1 else None,
        ),
    )


def _content(settings: RdsSettings, generation: int) -> dict[str, Any]:
    """An empty database, or the source of a restore, which also determines its size and user."""
    if generation == 1:
        return {"allocated_storage": settings.storage_gb, "db_name": NAME, "username": USER}
    if settings.replicated_backup is not None:
        point = {"source_db_instance_automated_backups_arn": settings.replicated_backup}
        if settings.restore_time is None:
            return {"restore_to_point_in_time": {**point, "use_latest_restorable_time": True}}
        return {"restore_to_point_in_time": {**point, "restore_time": settings.restore_time}}
    if settings.former_point is None:
        return {"snapshot_identifier": settings.restore_from}
    former = database_identifier(settings, pulumi.get_stack(), generation - 1)
    return {
        "restore_to_point_in_time": {
            "source_db_instance_identifier": former,
            "restore_time": settings.former_point,
        }
    }


def admit(
    name: str,
    security_group_id: pulumi.Input[str],
    node_security_group_id: pulumi.Input[str],
    *,
    opts: pulumi.ResourceOptions,
    port: int = PORT,
) -> None:
    """Let the nodes of the stack's own cluster connect."""
    _rule(
        f"{name}-from-clients",
        security_group_id,
        "the nodes of the cluster",
        opts,
        port,
        referenced_security_group_id=node_security_group_id,
    )


def _rule(
    name: str,
    security_group_id: pulumi.Input[str],
    clients: str,
    opts: pulumi.ResourceOptions,
    port: int = PORT,
    **source: pulumi.Input[str],
) -> None:
    aws.vpc.SecurityGroupIngressRule(
        name,
        security_group_id=security_group_id,
        description=f"PostgreSQL from {clients}",
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        tags={"Name": name},
        opts=opts,
        **source,
    )
