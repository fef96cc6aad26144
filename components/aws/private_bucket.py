"""A private, encrypted bucket whose objects expire."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

# Of a version that another one, or its expiration, has replaced.
NONCURRENT_DAYS = 1


def private_bucket(
    name: str,
    *,
    parent: pulumi.Resource,
    retention_days: int,
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
    rule: aws.s3.BucketLifecycleConfigurationRuleArgsDict = {
        "id": "retention",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "expiration": {"days": retention_days},
        "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
    }
    if versions:
        # Otherwise an expired object of a bucket with versions stays as a noncurrent one:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-expire-general-considerations.html
        rule["noncurrent_version_expiration"] = {"noncurrent_days": NONCURRENT_DAYS}
    aws.s3.BucketLifecycleConfiguration(
        f"{name}-retention",
        region=region,
        bucket=bucket.bucket,
        rules=[rule],
        opts=child,
    )
    return bucket


def policy(statements: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def tls_only(bucket_arn: str) -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
