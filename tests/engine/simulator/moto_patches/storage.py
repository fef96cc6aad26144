"""S3: a bucket has one owner; its policy must name it, and its TLS condition is evaluated."""

import copy
import json
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from moto.iam.models import iam_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, S3Backend, s3_backends

from tests.engine.simulator.moto_patches.guard import Guard

_POLICY = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"
_REPLICATION = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketReplication.html"
_VERSIONING = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html"
_HEAD = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html"


class MalformedPolicy(S3ClientError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("MalformedPolicy", message)


class InvalidBucketState(S3ClientError):
    code = 409

    def __init__(self) -> None:
        message = "A replication configuration is present on this bucket, so you cannot change the "
        super().__init__("InvalidBucketState", f"{message}versioning state.")


class OfAnotherAccount(S3ClientError):
    code = 403

    def __init__(self) -> None:
        super().__init__("AccessDenied", "Access Denied")


def bucket_is_of_the_account(backend: S3Backend, given: dict[str, Any]) -> None:
    name = given["bucket_name"]
    if name not in backend.buckets and name in s3_backends.bucket_accounts:
        raise OfAnotherAccount


class InvalidRequest(S3ClientError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("InvalidRequest", message)


def _targets(given: dict[str, Any]) -> list[str]:
    rules = given["replication"]["Rule"]
    rules = rules if isinstance(rules, list) else [rules]
    return [rule["Destination"]["Bucket"].rpartition(":::")[2] for rule in rules]


def replicated_buckets_exist(backend: S3Backend, given: dict[str, Any]) -> None:
    for name in _targets(given):
        if name not in backend.buckets:
            raise InvalidRequest("Destination bucket must exist.")


def replicated_buckets_have_versions(backend: S3Backend, given: dict[str, Any]) -> None:
    for name in (given["bucket_name"], *_targets(given)):
        bucket = backend.buckets.get(name)
        if bucket is not None and not bucket.is_versioned:
            raise InvalidRequest(f"Versioning must be 'Enabled' on the bucket {name}")


def replication_role_exists(backend: S3Backend, given: dict[str, Any]) -> None:
    roles = iam_backends[backend.account_id]["aws"].roles.values()
    if given["replication"]["Role"] not in {role.arn for role in roles}:
        raise InvalidRequest("The replication role does not exist")


def versions_stay_while_they_are_replicated(backend: S3Backend, given: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-requirements.html"""
    bucket = backend.buckets.get(given["bucket_name"])
    if given["status"] != "Enabled" and getattr(bucket, "replication", None):
        raise InvalidBucketState


def policy_is_about_the_bucket(backend: S3Backend, given: dict[str, Any]) -> None:
    try:
        statements = json.loads(given["policy"])["Statement"]
    except (ValueError, KeyError, TypeError):
        raise MalformedPolicy("Policies must be valid JSON with a Statement") from None
    for statement in statements if isinstance(statements, list) else [statements]:
        named = statement.get("Resource", [])
        for resource in named if isinstance(named, list) else [named]:
            bucket = resource.rpartition(":::")[2].partition("/")[0]
            if bucket not in (given["bucket_name"], "*"):
                raise MalformedPolicy(f"Policy has invalid resource: {resource}")


def _denies_plain_http(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition", {})
    return condition == {"Bool": {"aws:SecureTransport": "false"}}


def read_condition(patches: ExitStack) -> None:
    """Moto ignores conditions. Requests count as TLS, so a deny of plain HTTP does not match."""
    original = FakeBucket.get_permission

    def permission(bucket: FakeBucket, action: str, resource: str) -> Any:
        if bucket.policy is None:
            return original(bucket, action, resource)
        policy = json.loads(bucket.policy)
        applicable = [s for s in policy["Statement"] if not _denies_plain_http(s)]
        seen = copy.copy(bucket)
        seen.policy = json.dumps({**policy, "Statement": applicable}).encode()
        return original(seen, action, resource)

    patches.enter_context(patch.object(FakeBucket, "get_permission", permission))


GUARDS = (
    Guard(S3Backend, "put_bucket_policy", policy_is_about_the_bucket, _POLICY),
    *(
        Guard(S3Backend, "put_bucket_replication", check, _REPLICATION)
        for check in (
            replicated_buckets_exist,
            replicated_buckets_have_versions,
            replication_role_exists,
        )
    ),
    Guard(S3Backend, "put_bucket_versioning", versions_stay_while_they_are_replicated, _VERSIONING),
    Guard(S3Backend, "head_bucket", bucket_is_of_the_account, _HEAD),
)
