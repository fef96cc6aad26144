"""RDS for PostgreSQL: the metadata database of Airflow."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.support.passwords import password
from settings import limits
from settings.database import RdsSettings, database_identifier
from settings.versions import POSTGRES

PORT = 5432
USER = NAME = "airflow"
LOG_SLOWER_THAN_MS = "1000"
EXPORTED_LOGS = ("postgresql", "upgrade")


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    client_security_group_id: pulumi.Input[str]
    password: pulumi.Output[str] | None
    password_rotation: int
    log_retention_days: int
    settings: RdsSettings


class Database(pulumi.ComponentResource):
    """Private, encrypted instance that accepts TLS connections from one security group."""

    host: pulumi.Output[str]
    password: pulumi.Output[str]

    def __init__(
        self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:Database", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        protect = args.settings.protect
        identifier = database_identifier(args.settings, pulumi.get_stack())

        self.password = password(
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
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-from-clients",
            security_group_id=security_group.id,
            description="PostgreSQL from the nodes of the cluster",
            referenced_security_group_id=args.client_security_group_id,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            tags={"Name": f"{name}-from-clients"},
            opts=child,
        )
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
        # RDS would create these groups without retention, and leave them behind:
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Procedural.UploadtoCloudWatch.html
        log_groups = [
            aws.cloudwatch.LogGroup(
                f"{name}-log-{kind}",
                name=f"/aws/rds/instance/{identifier}/{kind}",
                retention_in_days=limits.cloudwatch_retention(args.log_retention_days),
                opts=child,
            )
            for kind in EXPORTED_LOGS
        ]
        # The final snapshot survives the instance, so each instance needs its own snapshot name.
        snapshot = random.RandomId(f"{name}-snapshot", byte_length=4, opts=child)
        instance = aws.rds.Instance(
            f"{name}-instance",
            identifier=identifier,
            apply_immediately=args.settings.apply_immediately,
            engine="postgres",
            # AWS updates the minor version; the major version is a pinned constant.
            engine_version=POSTGRES,
            auto_minor_version_upgrade=True,
            instance_class=args.settings.instance_class,
            storage_type="gp3",
            allocated_storage=args.settings.storage_gb,
            max_allocated_storage=args.settings.max_storage_gb,
            storage_encrypted=True,
            multi_az=args.settings.multi_az,
            db_name=NAME,
            username=USER,
            password=self.password,
            parameter_group_name=parameters.name,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[security_group.id],
            publicly_accessible=False,
            backup_retention_period=args.settings.backup_days,
            copy_tags_to_snapshot=True,
            performance_insights_enabled=True,
            enabled_cloudwatch_logs_exports=[*EXPORTED_LOGS],
            deletion_protection=protect,
            skip_final_snapshot=not args.settings.final_snapshot,
            final_snapshot_identifier=pulumi.Output.format("{}-final-{}", identifier, snapshot.hex)
            if args.settings.final_snapshot
            else None,
            # A second instance cannot have the same name.
            opts=pulumi.ResourceOptions(
                parent=self, protect=protect, depends_on=log_groups, delete_before_replace=True
            ),
        )
        self.host = instance.address
        self.register_outputs({"host": self.host})
