"""`make bootstrap`: what an AWS account needs once, before the first stack.

Bucket and KMS key for Pulumi, and the service-linked role of EC2 Spot. Each step looks before it
creates: a repeated or interrupted command ends with the same account.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from ops import shell, stack_files
from ops.recovery.aws import Aws
from ops.session import aws_account
from ops.shell import OperationError, confirmed
from settings.arns import partition

KEY_ALIAS = "alias/pulumi"
# Found again by this tag if the command was interrupted before the key got its alias.
KEY_TAG = "airflow-platform:bootstrap"
# S3 in this Region refuses a LocationConstraint, and every other Region requires one:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
NO_LOCATION = "us-east-1"
PUBLIC_ACCESS = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
TLS_ONLY = "RequireTls"
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
SPOT_ROLE = "AWSServiceRoleForEC2Spot"
SPOT_SERVICE = "spot.amazonaws.com"

Bucket = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A property of the account. `apply` establishes it; None if the account has it."""

    what: str
    apply: Callable[[], object] | None = None


def bootstrap(
    name: str, bucket: str | None = None, key_alias: str | None = None, *, yes: bool = False
) -> int:
    """Create what the account of a stack lacks, after one question, and print the next commands."""
    aws = aws_account(name)
    if aws is None:
        raise OperationError(f"stack {name!r} has no aws:region: it needs no AWS account")
    bucket = bucket or state_bucket(os.environ.get("PULUMI_BACKEND_URL", ""))
    if bucket is None:
        raise OperationError(
            "name the bucket for the state of Pulumi: BUCKET=my-pulumi-state. Bucket names are "
            "unique across all AWS accounts"
        )
    alias = key_alias or KEY_ALIAS
    if not alias.startswith("alias/"):
        raise OperationError(f"KEY_ALIAS: must begin with alias/, got {alias!r}")
    shell.require(shell.AWS)
    aws.check_reachable()
    account = aws.call("sts", "get-caller-identity")["Account"]
    with ThreadPoolExecutor() as pool:
        parts = (
            pool.submit(lambda: list(_bucket(aws, bucket, account))),
            pool.submit(lambda: list(_key(aws, alias))),
            pool.submit(lambda: [_spot_role(aws)]),
        )
        steps = [step for part in parts for step in part.result()]
    print(f"AWS account {account}, Region {aws.region}:")
    for step in steps:
        print(f"  {'create' if step.apply else 'exists'}  {step.what}")
    missing = [step for step in steps if step.apply]
    if missing and not (yes or confirmed("Create them?")):
        print("Nothing was changed.")
        return 1
    for step in missing:
        if step.apply:
            step.apply()
            print(f"created {step.what}")
    print(_next_commands(name, bucket, alias, aws.region))
    return 0


def state_bucket(backend: str) -> str | None:
    """Bucket of a backend URL such as `s3://my-pulumi-state?region=eu-west-1`."""
    url = urlsplit(backend)
    return url.netloc if url.scheme == "s3" and url.netloc else None


def _next_commands(name: str, bucket: str, alias: str, region: str) -> str:
    # Without the Region, Pulumi takes that of the AWS profile, which may have none.
    lines = [
        "",
        "The account is ready. Next:",
        f'  export PULUMI_BACKEND_URL="s3://{bucket}?region={region}"',
    ]
    given = yaml.safe_load(stack_files.stack_path(name).read_text()) or {}
    if "secretsprovider" not in given:
        lines += [
            f'  pulumi stack init {name} --secrets-provider "awskms://{alias}?region={region}"'
        ]
    lines += [f"  make preview STACK={name}"]
    return "\n".join(lines)


def _bucket(aws: Aws, name: str, account: str) -> Iterator[Step]:
    exists = owns_bucket(aws, name, account)
    location = [] if aws.region == NO_LOCATION else _location(aws.region)

    def put(what: str, *words: str) -> Callable[[], object]:
        return lambda: aws.call("s3api", what, "--bucket", name, *words)

    def step(what: str, done: bool, apply: Callable[[], object]) -> Step:
        return Step(what=f"{what} of bucket {name}", apply=None if done else apply)

    def get(what: str) -> dict[str, Any]:
        return (aws.call_or_none("s3api", what, "--bucket", name) or {}) if exists else {}

    create = _create_bucket(aws, name, location)
    yield Step(what=f"S3 bucket {name}", apply=None if exists else create)
    yield step(
        "versioning",
        get("get-bucket-versioning").get("Status") == "Enabled",
        put("put-bucket-versioning", "--versioning-configuration", "Status=Enabled"),
    )
    yield step(
        "block of public access",
        get("get-public-access-block").get("PublicAccessBlockConfiguration") == PUBLIC_ACCESS,
        put(
            "put-public-access-block",
            "--public-access-block-configuration",
            json.dumps(PUBLIC_ACCESS),
        ),
    )
    encryption = ["--server-side-encryption-configuration", json.dumps(ENCRYPTION)]
    yield step(
        # A bucket that encrypts with a KMS key keeps its key.
        "default encryption",
        bool(get("get-bucket-encryption")),
        put("put-bucket-encryption", *encryption),
    )
    policy = json.loads(get("get-bucket-policy").get("Policy", "{}"))
    merged = with_tls_only(policy, f"arn:{partition(aws.region)}:s3:::{name}")
    others = 0 if merged == policy else len(_statements(policy))
    yield step(
        f"TLS-only policy, beside {others} statement(s) that stay,"
        if others
        else "TLS-only policy",
        merged == policy,
        put("put-bucket-policy", "--policy", json.dumps(merged)),
    )


def owns_bucket(aws: Aws, name: str, account: str) -> bool:
    """Whether the bucket exists in this account. Raises `OperationError` for another owner."""
    words = ["head-bucket", "--bucket", name, "--expected-bucket-owner", account]
    try:
        aws.call("s3api", *words)
    except OperationError as error:
        # HeadBucket has no body: its errors are status codes.
        if "(404)" in str(error):
            return False
        if "(403)" in str(error):
            raise _taken(name) from None
        raise
    return True


def _taken(name: str) -> OperationError:
    return OperationError(
        f"nothing was changed: bucket {name!r} belongs to another AWS account, or these credentials "
        "may not read it. Bucket names are unique across all accounts: choose another BUCKET="
    )


def _location(region: str) -> list[str]:
    return ["--create-bucket-configuration", f"LocationConstraint={region}"]


def _create_bucket(aws: Aws, name: str, location: list[str]) -> Callable[[], object]:
    def create() -> None:
        try:
            aws.call("s3api", "create-bucket", "--bucket", name, *location)
        except OperationError as error:
            if "(BucketAlreadyExists)" in str(error):
                raise _taken(name) from None
            raise

    return create


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found = policy.get("Statement", [])
    return found if isinstance(found, list) else [found]


def with_tls_only(policy: dict[str, Any], bucket_arn: str) -> dict[str, Any]:
    """The policy with the statement that denies plain HTTP; its other statements stay.

    Raises `OperationError` if another statement has the ID of ours.
    """
    wanted = {
        "Sid": TLS_ONLY,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    statements = _statements(policy)
    if any({**statement, "Sid": TLS_ONLY} == wanted for statement in statements):
        return policy
    if any(statement.get("Sid") == TLS_ONLY for statement in statements):
        raise OperationError(
            f"nothing was changed: the policy of bucket {bucket_arn!r} has another statement {TLS_ONLY}. "
            f"Rename it, or replace it by: {json.dumps(wanted)}"
        )
    return {"Version": "2012-10-17", **policy, "Statement": [*statements, wanted]}


def _key(aws: Aws, alias: str) -> Iterator[Step]:
    named = key_state(aws, alias)
    key = named or _key_without_alias(aws, alias)
    rotates = bool(
        key and aws.call("kms", "get-key-rotation-status", "--key-id", key)["KeyRotationEnabled"]
    )

    def create() -> None:
        nonlocal key
        words = ["--description", "Secrets of Pulumi stacks"]
        tags = ["--tags", f"TagKey={KEY_TAG},TagValue={alias}"]
        key = aws.call("kms", "create-key", *words, *tags)["KeyMetadata"]["KeyId"]

    def rotate() -> None:
        aws.call("kms", "enable-key-rotation", "--key-id", str(key))

    def name() -> None:
        aws.call("kms", "create-alias", "--alias-name", alias, "--target-key-id", str(key))

    yield Step(what="KMS key for the secrets of Pulumi", apply=None if key else create)
    yield Step(what=f"alias {alias} of the KMS key", apply=None if named else name)
    yield Step(what="yearly rotation of the KMS key", apply=None if rotates else rotate)


def key_state(aws: Aws, alias: str) -> str | None:
    """ID of the enabled key of an alias; None without a key. Raises for a disabled key."""
    found = aws.call_or_none("kms", "describe-key", "--key-id", alias)
    if found is None:
        return None
    key = found["KeyMetadata"]
    if key["KeyState"] != "Enabled":
        raise OperationError(
            f"{alias} names a KMS key in state {key['KeyState']}, which decrypts nothing; nothing was "
            "changed. Run `aws kms cancel-key-deletion` and `aws kms enable-key` with --key-id "
            f"{key['KeyId']}, or use another alias"
        )
    return key["KeyId"]


def _key_without_alias(aws: Aws, alias: str) -> str | None:
    words = ["get-resources", "--resource-type-filters", "kms:key"]
    tagged = ["--tag-filters", f"Key={KEY_TAG},Values={alias}"]
    found = aws.call("resourcegroupstaggingapi", *words, *tagged)["ResourceTagMappingList"]
    for arn in sorted(row["ResourceARN"] for row in found):
        key = aws.call("kms", "describe-key", "--key-id", arn)["KeyMetadata"]
        # A deleted key keeps its tags for up to 30 days.
        if key["KeyState"] == "Enabled":
            return key["KeyId"]
    return None


def _spot_role(aws: Aws) -> Step:
    words = ["create-service-linked-role", "--aws-service-name", SPOT_SERVICE]
    return Step(
        what=f"service-linked role {SPOT_ROLE}",
        apply=None if has_spot_role(aws) else lambda: aws.call("iam", *words),
    )


def has_spot_role(aws: Aws) -> bool:
    return aws.exists("iam", "get-role", "--role-name", SPOT_ROLE)
