"""A private, encrypted bucket whose objects expire."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

# Of a version that another one, or its expiration, has replaced.
NONCURRENT_DAYS = 1


@dataclass(frozen=True, kw_only=True)
class Expiration:
    """`days` of the objects with a prefix; 0: they never expire."""

    name: str
    prefix: str
    days: int


def private_bucket(
    name: str,
    *,
    parent: pulumi.Resource,
    expirations: Sequence[Expiration],
    protect: bool,
    versions: bool = False,
    region: str | None = None,
) -> aws.s3.Bucket:
    """A bucket without its policy. `region`: another one than that of the stack."""
    child = pulumi.ResourceOptions(parent=parent)
    bucket = aws.s3.Bucket(
        f"{name}-bucket",
        region=region,
        force_destroy=not protect,
        opts=pulumi.ResourceOptions(parent=parent, protect=protect),
    )
    aws.s3.BucketPublicAccessBlock(
        f"{name}-private",
        region=region,
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child,
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption",
        region=region,
        bucket=bucket.bucket,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
        opts=child,
    )
    aws.s3.BucketLifecycleConfiguration(
        f"{name}-retention",
        region=region,
        bucket=bucket.bucket,
        rules=[_rule(each, versions) for each in expirations],
        opts=child,
    )
    return bucket


def _rule(
    expiration: Expiration, versions: bool
) -> aws.s3.BucketLifecycleConfigurationRuleArgsDict:
    rule: aws.s3.BucketLifecycleConfigurationRuleArgsDict = {
        "id": expiration.name,
        "status": "Enabled",
        "filter": {"prefix": expiration.prefix},
        "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
    }
    if expiration.days:
        rule["expiration"] = {"days": expiration.days}
    if versions:
        # Otherwise an expired object of a bucket with versions stays as a noncurrent one:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-expire-general-considerations.html
        rule["noncurrent_version_expiration"] = {"noncurrent_days": NONCURRENT_DAYS}
    return rule


def tls_only(bucket_arn: str) -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
