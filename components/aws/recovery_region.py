"""What a second Region needs for a database of this stack when the Region of the stack is lost."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

# The provider gives up after 75 minutes; AWS copies terabytes for longer.
FIRST_COPY = "12h"


@dataclass(frozen=True, kw_only=True)
class RecoveryRegionArgs:
    region: str
    # Of the present generation, and the begin of the name of the secret.
    database_arn: pulumi.Input[str]
    database_name: str
    backup_days: int
    fernet_keys: pulumi.Output[str]
    protect: bool


class RecoveryRegion(pulumi.ComponentResource):
    """Replicated backups of the database, the key that encrypts them, and the Fernet keys.

    docs/adr/0035-backups-in-a-second-region.md
    """

    def __init__(
        self, name: str, args: RecoveryRegionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:RecoveryRegion", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        # An encrypted instance needs a key of the other Region:
        # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_StartDBInstanceAutomatedBackupsReplication.html
        key = aws.kms.Key(
            f"{name}-key",
            region=args.region,
            description="Replicated backups of the metadata database of Airflow",
            enable_key_rotation=True,
            tags={"Name": f"{name}-key"},
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                # Replicated backups outlive the stack, and so does a database restored from them.
                retain_on_delete=True,
            ),
        )
        aws.rds.InstanceAutomatedBackupsReplication(
            f"{name}-backups",
            region=args.region,
            source_db_instance_arn=args.database_arn,
            kms_key_id=key.arn,
            retention_period=args.backup_days,
            opts=pulumi.ResourceOptions(
                parent=self,
                # An instance has one replication, of which no property changes in place.
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(create=FIRST_COPY),
            ),
        )
        # A deleted secret keeps its name for the recovery window, so each one needs its own name.
        suffix = random.RandomId(f"{name}-fernet", byte_length=4, opts=child)
        secret = aws.secretsmanager.Secret(
            f"{name}-fernet",
            name=pulumi.Output.format("{}-fernet-{}", args.database_name, suffix.hex),
            description="Fernet keys of Airflow, which decrypt its database",
            replicas=[{"region": args.region}],
            opts=child,
        )
        aws.secretsmanager.SecretVersion(
            f"{name}-fernet",
            secret_id=secret.id,
            # The SDK marks it as secret.
            secret_string=args.fernet_keys,
            opts=child,
        )
        self.register_outputs({})
