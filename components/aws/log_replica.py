"""A copy of the log bucket in a second Region."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aws.policy import policy_document
from components.aws.private_bucket import Expiration, private_bucket, tls_only


@dataclass(frozen=True, kw_only=True)
class LogReplicaArgs:
    bucket: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    region: str
    expirations: Sequence[Expiration]
    protect: bool


class LogReplica(pulumi.ComponentResource):
    """New objects of a bucket are copied; each bucket expires its own.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html
    """

    def __init__(
        self, name: str, args: LogReplicaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:LogReplica", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        replica = private_bucket(
            name,
            parent=self,
            expirations=args.expirations,
            protect=args.protect,
            versions=True,
            region=args.region,
        )
        aws.s3.BucketPolicy(
            f"{name}-tls-only",
            region=args.region,
            bucket=replica.bucket,
            policy=replica.arn.apply(lambda arn: policy_document([tls_only(arn)])),
            opts=child,
        )
        # S3 replicates between buckets with versions only.
        versions = [
            aws.s3.BucketVersioning(
                f"{name}-{part}-versions",
                region=region,
                bucket=bucket,
                versioning_configuration={"status": "Enabled"},
                opts=child,
            )
            for part, bucket, region in (
                ("source", args.bucket, None),
                ("target", replica.bucket, args.region),
            )
        ]
        role = aws.iam.Role(
            f"{name}-role",
            assume_role_policy=policy_document(
                [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "s3.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ]
            ),
            opts=child,
        )
        allowed = aws.iam.RolePolicy(
            f"{name}-role",
            role=role.name,
            policy=pulumi.Output.all(source=args.bucket_arn, target=replica.arn).apply(_allow),
            opts=child,
        )
        aws.s3.BucketReplicationConfig(
            f"{name}-replication",
            bucket=args.bucket,
            role=role.arn,
            rules=[
                {
                    "id": "replica",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    # Of expired objects: the replica has a retention of its own.
                    "delete_marker_replication": {"status": "Disabled"},
                    "destination": {"bucket": replica.arn},
                }
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*versions, allowed]),
        )
        self.register_outputs({})


def _allow(arn: Mapping[str, str]) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html"""
    read = [f"s3:GetObjectVersion{what}" for what in ("ForReplication", "Acl", "Tagging")]
    write = ["s3:ReplicateObject", "s3:ReplicateTags"]
    of_bucket = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    return policy_document(
        [
            {"Effect": "Allow", "Action": of_bucket, "Resource": arn["source"]},
            {"Effect": "Allow", "Action": read, "Resource": f"{arn['source']}/*"},
            {"Effect": "Allow", "Action": write, "Resource": f"{arn['target']}/*"},
        ]
    )
