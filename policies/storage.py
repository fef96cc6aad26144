"""Rules for what keeps data: buckets, log groups, volumes, keys."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, at, differs, is_, items

BUCKET = "aws:s3/bucket:Bucket"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
KEY = "aws:kms/key:Key"
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _each_bucket_has(
    stack: Stack, type: str, missing: Callable[[Resource], str | None], fix: str
) -> Iterator[Finding]:
    """`missing` says what a companion of the bucket lacks; None: it is as it should be."""
    kind = type.rpartition(":")[2]
    for bucket in stack.all(BUCKET):
        companions = [part for part in stack.all(type) if part.refers("bucket", bucket)]
        wrong = [missing(part) for part in companions] or [f"{kind} is missing"]
        if None not in wrong:
            yield Finding(resource=bucket.name, urn=bucket.urn, what=str(wrong[0]), fix=fix)


def _open(block: Resource) -> str | None:
    for key in BLOCKS:
        value = block.inputs.get(key)
        if differs(value, True):
            return is_(f"{block.name}.{key}", value)
    return None


def _is_private(stack: Stack) -> Iterator[Finding]:
    yield from _each_bucket_has(stack, BLOCK, _open, f"Set {', '.join(BLOCKS)} to true")


def _no_algorithm(encryption: Resource) -> str | None:
    for rule in items(encryption.inputs.get("rules")):
        value = at(rule, "applyServerSideEncryptionByDefault.sseAlgorithm")
        if value in ("AES256", "aws:kms", "aws:kms:dsse", UNKNOWN):
            return None
    return f"{encryption.name}.rules name no algorithm"


def _is_encrypted(stack: Stack) -> Iterator[Finding]:
    fix = "Declare a default encryption: AES256 or aws:kms"
    yield from _each_bucket_has(stack, ENCRYPTION, _no_algorithm, fix)


def statements(policy: Any) -> list[dict[str, Any]]:
    """The statements of an IAM policy, which may be JSON; none if it is not known yet."""
    if isinstance(policy, str):
        policy = json.loads(policy)
    return items(at(policy, "Statement"))


def _admits_http(policy: Resource) -> str | None:
    text = policy.inputs.get("policy")
    refused = any(
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Action") in ("s3:*", ["s3:*"])
        and at(statement, "Condition.Bool") == {"aws:SecureTransport": "false"}
        for statement in statements(text)
    )
    return None if refused or text is UNKNOWN else f"{policy.name}.policy admits plain HTTP"


def _speaks_tls_only(stack: Stack) -> Iterator[Finding]:
    fix = "Deny s3:* to everybody where aws:SecureTransport is false"
    yield from _each_bucket_has(stack, BUCKET_POLICY, _admits_http, fix)


def _keeps_for_ever(lifecycle: Resource) -> str | None:
    rules = lifecycle.inputs.get("rules")
    forgets = any(
        rule.get("status") == "Enabled" and at(rule, "expiration.days") for rule in items(rules)
    )
    return None if forgets or rules is UNKNOWN else f"{lifecycle.name}.rules let nothing expire"


def _forgets(stack: Stack) -> Iterator[Finding]:
    yield from _each_bucket_has(stack, LIFECYCLE, _keeps_for_ever, "Set logs.retention_days")


def _log_groups_forget(stack: Stack) -> Iterator[Finding]:
    for group in stack.all("aws:cloudwatch/logGroup:LogGroup"):
        value = group.inputs.get("retentionInDays")
        if value is not UNKNOWN and not value:
            yield Finding(
                resource=group.name,
                urn=group.urn,
                what=is_("retentionInDays", value),
                fix="Set the number of days; 0 keeps logs for ever",
            )


def _volumes(stack: Stack) -> Iterator[tuple[Resource, str, Any]]:
    for resource in stack.all("kubernetes:storage.k8s.io/v1:StorageClass"):
        if "ebs.csi" in str(resource.inputs.get("provisioner")):
            yield resource, "parameters.encrypted", resource.get("parameters.encrypted")
    for resource in stack.all("aws:ebs/volume:Volume", "aws:efs/fileSystem:FileSystem"):
        yield resource, "encrypted", resource.inputs.get("encrypted")
    for resource in stack.all("aws:ec2/launchTemplate:LaunchTemplate"):
        for index, device in enumerate(items(resource.inputs.get("blockDeviceMappings"))):
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
                what=is_(path, value),
                fix="Set it to true",
            )


def _keys_rotate(stack: Stack) -> Iterator[Finding]:
    for key in stack.all(KEY):
        value = key.inputs.get("enableKeyRotation")
        if differs(value, True):
            yield Finding(
                resource=key.name,
                urn=key.urn,
                what=is_("enableKeyRotation", value),
                fix="Set it to true",
            )


RULES = (
    Rule(
        name="bucket-is-private",
        reason="Task logs quote data, and one wrong ACL would publish them",
        check=_is_private,
    ),
    Rule(
        name="bucket-is-encrypted",
        reason="What encrypts the logs should stand in the code, not in an account's defaults",
        check=_is_encrypted,
    ),
    Rule(
        name="bucket-speaks-tls-only",
        reason="S3 answers plain HTTP unless a policy denies it",
        check=_speaks_tls_only,
    ),
    Rule(
        name="bucket-forgets",
        reason="Logs that nobody deletes cost more every month and keep personal data too long",
        check=_forgets,
        excusable=True,
    ),
    Rule(
        name="log-group-forgets",
        reason="CloudWatch keeps logs for ever unless it is told otherwise",
        check=_log_groups_forget,
        excusable=True,
    ),
    Rule(
        name="volumes-are-encrypted",
        reason="Redis and Airflow write to disks that are snapshotted and thrown away",
        check=_volumes_are_encrypted,
    ),
    Rule(
        name="keys-rotate",
        reason="A key that never changes opens everything that was ever encrypted",
        check=_keys_rotate,
        excusable=True,
    ),
)
