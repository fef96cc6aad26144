import pytest

from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    BUCKET,
    KMS_KEY,
    LAUNCH_TEMPLATE,
    assert_complies,
    breaches,
    iam_policy,
    resource,
)

PUBLIC_ACCESS = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
VOLUME = "aws:ebs/volume:Volume"
FILE_SYSTEM = "aws:efs/fileSystem:FileSystem"
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
BLOCK_ALL = (
    "Add an aws.s3.BucketPublicAccessBlock that sets blockPublicAcls, blockPublicPolicy, "
    "ignorePublicAcls, restrictPublicBuckets to true"
)


def bucket_with(type, **inputs):
    return resource(BUCKET, "logs"), resource(type, "config", bucket="logs", **inputs)


def public_access_block(**changed):
    return bucket_with(PUBLIC_ACCESS, **{**dict.fromkeys(BLOCKS, True), **changed})


def encryption(algorithm):
    default = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}
    return bucket_with(ENCRYPTION, rules=[default])


def bucket_policy(**changed):
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    deny_http = {"effect": "Deny", "action": "s3:*", "Principal": "*", "Condition": condition}
    return bucket_with(BUCKET_POLICY, policy=iam_policy(**{**deny_http, **changed}))


def lifecycle(status="Enabled", **rule):
    return bucket_with(LIFECYCLE, rules=[{"status": status, **rule}])


def storage_class(encrypted):
    parameters = {"encrypted": encrypted}
    return resource(STORAGE_CLASS, provisioner="ebs.csi.eks.amazonaws.com", parameters=parameters)


@pytest.mark.parametrize("key", BLOCKS)
def test_a_bucket_that_can_become_public_is_a_breach(key):
    assert breaches("bucket-is-private", *public_access_block(**{key: False})) == [
        ("logs", f"config.{key} is false", BLOCK_ALL)
    ]


@pytest.mark.parametrize(
    "others", [(), (resource(PUBLIC_ACCESS, bucket="other", **dict.fromkeys(BLOCKS, True)),)]
)
def test_a_bucket_without_its_public_access_block_is_a_breach(others):
    assert breaches("bucket-is-private", resource(BUCKET, "logs"), *others) == [
        ("logs", "the bucket has no BucketPublicAccessBlock", BLOCK_ALL)
    ]


def test_a_private_bucket_complies():
    assert_complies("bucket-is-private", *public_access_block())


def test_a_bucket_without_encryption_is_a_breach():
    assert breaches("bucket-is-encrypted", *encryption("none")) == [
        (
            "logs",
            "config.rules set no sseAlgorithm",
            "Add an aws.s3.BucketServerSideEncryptionConfiguration with sseAlgorithm AES256 or aws:kms",
        )
    ]


@pytest.mark.parametrize("algorithm", ["AES256", "aws:kms", "aws:kms:dsse", UNKNOWN])
def test_an_encrypted_bucket_complies(algorithm):
    assert_complies("bucket-is-encrypted", *encryption(algorithm))


@pytest.mark.parametrize(
    "changed",
    [
        {"effect": "Allow"},
        {"Principal": {"AWS": "111122223333"}},
        {"action": "s3:GetObject"},
        {"Condition": {}},
    ],
)
def test_a_bucket_policy_that_allows_http_is_a_breach(changed):
    assert breaches("bucket-requires-tls", *bucket_policy(**changed)) == [
        (
            "logs",
            "config.policy allows plain HTTP",
            "Add an aws.s3.BucketPolicy that denies s3:* to all principals if aws:SecureTransport is false",
        )
    ]


@pytest.mark.parametrize("changed", [{}, {"Principal": {"AWS": "*"}}, {"action": ["s3:*"]}])
def test_a_bucket_policy_that_denies_http_complies(changed):
    assert_complies("bucket-requires-tls", *bucket_policy(**changed))


def test_an_unknown_bucket_policy_complies():
    assert_complies("bucket-requires-tls", *bucket_with(BUCKET_POLICY, policy=UNKNOWN))


@pytest.mark.parametrize("bucket", [lifecycle("Disabled", expiration={"days": 3}), lifecycle()])
def test_a_bucket_whose_objects_never_expire_is_a_breach(bucket):
    assert breaches("bucket-has-lifecycle", *bucket) == [
        (
            "logs",
            "config.rules have no enabled rule with expiration.days",
            "Set logs.retention_days, or add an aws.s3.BucketLifecycleConfiguration with expiration.days",
        )
    ]


@pytest.mark.parametrize(
    "bucket", [lifecycle(expiration={"days": 30}), bucket_with(LIFECYCLE, rules=UNKNOWN)]
)
def test_a_bucket_with_expiration_complies(bucket):
    assert_complies("bucket-has-lifecycle", *bucket)


@pytest.mark.parametrize(
    ("inputs", "found"), [({}, "is not set"), ({"retentionInDays": 0}, "is 0")]
)
def test_a_log_group_without_retention_is_a_breach(inputs, found):
    assert breaches("log-group-has-retention", resource(LOG_GROUP, **inputs)) == [
        (
            "it",
            f"retentionInDays {found}",
            "Set a number of days; 0 means that log events never expire",
        )
    ]


@pytest.mark.parametrize("days", [30, UNKNOWN])
def test_a_log_group_with_retention_complies(days):
    assert_complies("log-group-has-retention", resource(LOG_GROUP, retentionInDays=days))


@pytest.mark.parametrize(
    ("volume", "found"),
    [
        (storage_class("false"), 'parameters.encrypted is "false"'),
        (resource(VOLUME), "encrypted is not set"),
        (resource(FILE_SYSTEM, encrypted=False), "encrypted is false"),
        (
            resource(LAUNCH_TEMPLATE, blockDeviceMappings=[{"noDevice": ""}, {"ebs": {}}]),
            "blockDeviceMappings[1].ebs.encrypted is not set",
        ),
    ],
)
def test_an_unencrypted_volume_is_a_breach(volume, found):
    assert breaches("volumes-are-encrypted", volume) == [("it", found, "Set it to true")]


@pytest.mark.parametrize(
    "volume",
    [
        storage_class("true"),
        resource(VOLUME, encrypted=True),
        resource(FILE_SYSTEM, encrypted=UNKNOWN),
        resource(
            LAUNCH_TEMPLATE, blockDeviceMappings=[{"ebs": {"encrypted": "true"}}, {"noDevice": ""}]
        ),
    ],
)
def test_an_encrypted_volume_complies(volume):
    assert_complies("volumes-are-encrypted", volume)


def test_storage_classes_of_other_drivers_comply():
    local = resource(STORAGE_CLASS, provisioner="rancher.io/local-path")
    assert_complies("volumes-are-encrypted", local)


def test_a_kms_key_without_rotation_is_a_breach():
    assert breaches("kms-key-rotation-enabled", resource(KMS_KEY)) == [
        ("it", "enableKeyRotation is not set", "Set it to true")
    ]


def test_a_kms_key_with_rotation_complies():
    assert_complies("kms-key-rotation-enabled", resource(KMS_KEY, enableKeyRotation=True))
