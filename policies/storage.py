"""Rules for buckets, log groups, volumes and KMS keys."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from policies.cluster import clusters
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, as_list, at, describe, differs

BUCKET = "aws:s3/bucket:Bucket"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
KEY = "aws:kms/key:Key"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _each_bucket_has(
    stack: Stack, type: str, flaw: Callable[[Resource], str | None], fix: str
) -> Iterator[Finding]:
    """`flaw` describes what is wrong with a resource of `type` for a bucket, or returns None."""
    kind = type.rpartition(":")[2]
    for bucket in stack.all(BUCKET):
        settings = [each for each in stack.all(type) if each.refers("bucket", bucket)]
        flaws = [flaw(each) for each in settings] or [f"the bucket has no {kind}"]
        if None not in flaws:
            yield Finding(resource=bucket.name, urn=bucket.urn, what=str(flaws[0]), fix=fix)


def _is_public(block: Resource) -> str | None:
    for key in BLOCKS:
        value = block.inputs.get(key)
        if differs(value, True):
            return describe(f"{block.name}.{key}", value)
    return None


def _is_private(stack: Stack) -> Iterator[Finding]:
    fix = f"Add an aws.s3.BucketPublicAccessBlock that sets {', '.join(BLOCKS)} to true"
    yield from _each_bucket_has(stack, BLOCK, _is_public, fix)


def _no_algorithm(encryption: Resource) -> str | None:
    for rule in as_list(encryption.inputs.get("rules")):
        value = at(rule, "applyServerSideEncryptionByDefault.sseAlgorithm")
        if value in ("AES256", "aws:kms", "aws:kms:dsse", UNKNOWN):
            return None
    return f"{encryption.name}.rules set no sseAlgorithm"


def _is_encrypted(stack: Stack) -> Iterator[Finding]:
    fix = (
        "Add an aws.s3.BucketServerSideEncryptionConfiguration with sseAlgorithm AES256 or aws:kms"
    )
    yield from _each_bucket_has(stack, ENCRYPTION, _no_algorithm, fix)


def statements(policy: Any) -> list[dict[str, Any]]:
    """The statements of an IAM policy, as JSON or as a map; none of an unknown policy."""
    if isinstance(policy, str):
        policy = json.loads(policy)
    return as_list(at(policy, "Statement"))


def _allows_http(policy: Resource) -> str | None:
    text = policy.inputs.get("policy")
    denied = any(
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Action") in ("s3:*", ["s3:*"])
        and at(statement, "Condition.Bool") == {"aws:SecureTransport": "false"}
        for statement in statements(text)
    )
    return None if denied or text is UNKNOWN else f"{policy.name}.policy allows plain HTTP"


def _requires_tls(stack: Stack) -> Iterator[Finding]:
    fix = "Add an aws.s3.BucketPolicy that denies s3:* to all principals if aws:SecureTransport is false"
    yield from _each_bucket_has(stack, BUCKET_POLICY, _allows_http, fix)


def _never_expires(lifecycle: Resource) -> str | None:
    rules = lifecycle.inputs.get("rules")
    expires = any(
        rule.get("status") == "Enabled" and at(rule, "expiration.days") for rule in as_list(rules)
    )
    if expires or rules is UNKNOWN:
        return None
    return f"{lifecycle.name}.rules have no enabled rule with expiration.days"


def _has_lifecycle(stack: Stack) -> Iterator[Finding]:
    fix = "Set logs.retention_days, or add an aws.s3.BucketLifecycleConfiguration with expiration.days"
    yield from _each_bucket_has(stack, LIFECYCLE, _never_expires, fix)


def _exported_logs(stack: Stack) -> Iterator[tuple[Resource, str, str]]:
    """Writer, the input with its name, and name pattern of each log group that AWS writes to."""
    for cluster in clusters(stack):
        if as_list(cluster.inputs.get("enabledClusterLogTypes")):
            yield cluster, "name", "/aws/eks/{}/cluster"
    for instance in stack.all("aws:rds/instance:Instance"):
        for log in as_list(instance.inputs.get("enabledCloudwatchLogsExports")):
            yield instance, "identifier", f"/aws/rds/instance/{{}}/{log}"


def _exported_logs_are_declared(stack: Stack) -> Iterator[Finding]:
    declared = [group.inputs.get("name") for group in stack.all(LOG_GROUP)]
    for writer, key, pattern in _exported_logs(stack):
        name = writer.inputs.get(key)
        if name is UNKNOWN or UNKNOWN in declared:
            continue
        group = pattern.format(name or f"<{key}>")
        if group not in declared:
            reason = "" if name else f", because {key} is not set"
            yield Finding(
                resource=writer.name,
                urn=writer.urn,
                what=f"the log group {group} is not declared{reason}",
                fix="Declare an aws.cloudwatch.LogGroup of this name: AWS creates it without retention",
            )


def _log_groups_have_retention(stack: Stack) -> Iterator[Finding]:
    yield from _exported_logs_are_declared(stack)
    for group in stack.all(LOG_GROUP):
        value = group.inputs.get("retentionInDays")
        if value is not UNKNOWN and not value:
            yield Finding(
                resource=group.name,
                urn=group.urn,
                what=describe("retentionInDays", value),
                fix="Set a number of days; 0 means that log events never expire",
            )


def _volumes(stack: Stack) -> Iterator[tuple[Resource, str, Any]]:
    for resource in stack.all("kubernetes:storage.k8s.io/v1:StorageClass"):
        if "ebs.csi" in str(resource.inputs.get("provisioner")):
            yield resource, "parameters.encrypted", resource.get("parameters.encrypted")
    for resource in stack.all("aws:ebs/volume:Volume", "aws:efs/fileSystem:FileSystem"):
        yield resource, "encrypted", resource.inputs.get("encrypted")
    for resource in stack.all("aws:ec2/launchTemplate:LaunchTemplate"):
        for index, device in enumerate(as_list(resource.inputs.get("blockDeviceMappings"))):
            if at(device, "ebs") is not None:
                yield (
                    resource,
                    f"blockDeviceMappings[{index}].ebs.encrypted",
                    at(device, "ebs.encrypted"),
                )


def _volumes_are_encrypted(stack: Stack) -> Iterator[Finding]:
    for resource, path, value in _volumes(stack):
        if value not in (True, "true", UNKNOWN):
            yield Finding(
                resource=resource.name,
                urn=resource.urn,
                what=describe(path, value),
                fix="Set it to true",
            )


def _keys_rotate(stack: Stack) -> Iterator[Finding]:
    for key in stack.all(KEY):
        value = key.inputs.get("enableKeyRotation")
        if differs(value, True):
            yield Finding(
                resource=key.name,
                urn=key.urn,
                what=describe("enableKeyRotation", value),
                fix="Set it to true",
            )


RULES = (
    Rule(
        name="bucket-is-private",
        reason="Task logs contain data, and a single ACL or policy can make a bucket public",
        check=_is_private,
    ),
    Rule(
        name="bucket-is-encrypted",
        reason="The program, not an account default, must define how logs are encrypted",
        check=_is_encrypted,
    ),
    Rule(
        name="bucket-requires-tls",
        former_name="bucket-speaks-tls-only",
        reason="S3 accepts plain HTTP unless the bucket policy denies it",
        check=_requires_tls,
    ),
    Rule(
        name="bucket-has-lifecycle",
        former_name="bucket-forgets",
        reason="Without expiration, storage costs grow every month and personal data is retained too long",
        check=_has_lifecycle,
        excusable=True,
    ),
    Rule(
        name="log-group-has-retention",
        former_name="log-group-forgets",
        reason="By default, log events in CloudWatch Logs never expire, also after their writer is deleted",
        check=_log_groups_have_retention,
        excusable=True,
    ),
    Rule(
        name="volumes-are-encrypted",
        reason="Snapshots and discarded disks of unencrypted volumes expose the data of Redis and Airflow",
        check=_volumes_are_encrypted,
    ),
    Rule(
        name="kms-key-rotation-enabled",
        former_name="keys-rotate",
        reason="Without rotation, one key version decrypts all data ever encrypted with the key",
        check=_keys_rotate,
        excusable=True,
    ),
)
