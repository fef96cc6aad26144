"""S3: a bucket has one owner; its policy must name it, and its TLS condition is evaluated."""

import copy
import json
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, S3Backend, s3_backends

from tests.engine.simulator.moto_patches.guard import Guard

_POLICY = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"
_HEAD = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html"


class MalformedPolicy(S3ClientError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("MalformedPolicy", message)


class OfAnotherAccount(S3ClientError):
    code = 403

    def __init__(self) -> None:
        super().__init__("AccessDenied", "Access Denied")


def bucket_is_of_the_account(backend: S3Backend, given: dict[str, Any]) -> None:
    name = given["bucket_name"]
    if name not in backend.buckets and name in s3_backends.bucket_accounts:
        raise OfAnotherAccount


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
    Guard(S3Backend, "head_bucket", bucket_is_of_the_account, _HEAD),
)
