"""S3."""

import re
from collections import Counter
from collections.abc import Iterator

from tests.engine.simulator.rules.rule import Inputs, one_of, pattern, rule
from tests.engine.simulator.schema import Refusal

_GUIDE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"
_API = "https://docs.aws.amazon.com/AmazonS3/latest/API/"
_BUCKET = "aws:s3/bucket:Bucket"
_LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
_ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
ACTIONS = (
    "expiration",
    "transitions",
    "noncurrentVersionExpiration",
    "noncurrentVersionTransitions",
    "abortIncompleteMultipartUpload",
)
# What counts the days of an action; a transition may come on day 0.
DAYS = {
    "expiration": "days",
    "noncurrentVersionExpiration": "noncurrentDays",
    "abortIncompleteMultipartUpload": "daysAfterInitiation",
}


@rule(_BUCKET, source=f"{_GUIDE}bucketnamingrules.html")
def bucket_name(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
    what = "3 to 63 lower-case letters, digits, hyphens and single dots"
    yield from pattern("bucket", inputs.get("bucket"), regex, what)


@rule(_BUCKET, source=f"{_GUIDE}bucketnamingrules.html")
def bucket_is_no_address(inputs: Inputs) -> Iterator[Refusal]:
    name = inputs.get("bucket")
    if isinstance(name, str) and re.fullmatch(r"\d+(\.\d+){3}", name):
        yield Refusal("bucket", f"should not look like an IP address, got {name!r}")


@rule(_BUCKET, source=f"{_GUIDE}bucketnamingrules.html")
def bucket_name_is_free(inputs: Inputs) -> Iterator[Refusal]:
    name = inputs.get("bucket")
    if isinstance(name, str) and (
        name.startswith(RESERVED_PREFIXES) or name.endswith(RESERVED_SUFFIXES)
    ):
        yield Refusal("bucket", f"has a prefix or suffix that AWS keeps to itself, got {name!r}")


def _rules(inputs: Inputs) -> list[Inputs]:
    found = inputs.get("rules")
    return [r for r in found if isinstance(r, dict)] if isinstance(found, list) else []


@rule(_LIFECYCLE, source=f"{_API}API_LifecycleRule.html")
def lifecycle_status(inputs: Inputs) -> Iterator[Refusal]:
    for index, one in enumerate(_rules(inputs)):
        yield from one_of(f"rules[{index}].status", one.get("status"), ("Enabled", "Disabled"))


@rule(_LIFECYCLE, source=f"{_API}API_LifecycleRule.html")
def lifecycle_id(inputs: Inputs) -> Iterator[Refusal]:
    for index, one in enumerate(_rules(inputs)):
        name = one.get("id")
        if isinstance(name, str) and len(name) > 255:
            yield Refusal(
                f"rules[{index}].id", f"should have 255 characters at most, got {len(name)}"
            )


@rule(_LIFECYCLE, source=f"{_API}API_PutBucketLifecycleConfiguration.html")
def lifecycle_ids_differ(inputs: Inputs) -> Iterator[Refusal]:
    names = [one["id"] for one in _rules(inputs) if isinstance(one.get("id"), str)]
    for name, count in Counter(names).items():
        if count > 1:
            yield Refusal("rules", f"ids should differ, got {name!r} {count} times")


@rule(_LIFECYCLE, source=f"{_API}API_LifecycleExpiration.html")
def lifecycle_days(inputs: Inputs) -> Iterator[Refusal]:
    for index, one in enumerate(_rules(inputs)):
        for action, name in DAYS.items():
            given = one.get(action)
            days = given.get(name) if isinstance(given, dict) else None
            if isinstance(days, int) and days < 1:
                where = f"rules[{index}].{action}.{name}"
                yield Refusal(where, f"should be 1 at least, got {days}")


@rule(_LIFECYCLE, source=f"{_API}API_LifecycleRule.html")
def lifecycle_does_something(inputs: Inputs) -> Iterator[Refusal]:
    for index, one in enumerate(_rules(inputs)):
        if not any(one.get(action) for action in ACTIONS):
            yield Refusal(f"rules[{index}]", "should have an action, such as expiration")


def _default(one: Inputs) -> Inputs:
    default = one.get("applyServerSideEncryptionByDefault")
    return default if isinstance(default, dict) else {}


@rule(_ENCRYPTION, source=f"{_API}API_ServerSideEncryptionByDefault.html")
def encryption_algorithm(inputs: Inputs) -> Iterator[Refusal]:
    for index, one in enumerate(_rules(inputs)):
        algorithm = _default(one).get("sseAlgorithm")
        where = f"rules[{index}].applyServerSideEncryptionByDefault.sseAlgorithm"
        yield from one_of(where, algorithm, ("AES256", "aws:kms", "aws:kms:dsse"))


@rule(_ENCRYPTION, source=f"{_API}API_ServerSideEncryptionByDefault.html")
def encryption_key(inputs: Inputs) -> Iterator[Refusal]:
    for index, one in enumerate(_rules(inputs)):
        default = _default(one)
        if default.get("kmsMasterKeyId") and default.get("sseAlgorithm") == "AES256":
            where = f"rules[{index}].applyServerSideEncryptionByDefault.kmsMasterKeyId"
            yield Refusal(where, "is only for aws:kms and aws:kms:dsse")
