"""S3: a bucket's policy is one, and is about that bucket."""

import json
from typing import Any

from moto.s3.exceptions import S3ClientError
from moto.s3.models import S3Backend

from tests.engine.simulator.stricter.guard import Guard

_POLICY = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"


class MalformedPolicy(S3ClientError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("MalformedPolicy", message)


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


GUARDS = (Guard(S3Backend, "put_bucket_policy", policy_is_about_the_bucket, _POLICY),)
