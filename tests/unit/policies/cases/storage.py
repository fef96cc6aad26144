from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    BUCKET,
    CLUSTER,
    DATABASE,
    KMS_KEY,
    LAUNCH_TEMPLATE,
    LOG_GROUP,
    iam_policy,
    resource,
)

PUBLIC_ACCESS = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
VOLUME = "aws:ebs/volume:Volume"
FILE_SYSTEM = "aws:efs/fileSystem:FileSystem"
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
ALL_BLOCKED = dict.fromkeys(BLOCKS, True)
LOGS = resource(BUCKET, "logs")


def bucket_with(type, **inputs):
    return LOGS, resource(type, "config", bucket="logs", **inputs)


def blocks(**changed):
    return bucket_with(PUBLIC_ACCESS, **{**ALL_BLOCKED, **changed})


def encryption(algorithm):
    default = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}
    return bucket_with(ENCRYPTION, rules=[default])


def bucket_policy(**changed):
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    deny_http = {"effect": "Deny", "action": "s3:*", "Principal": "*", "Condition": condition}
    return bucket_with(BUCKET_POLICY, policy=iam_policy(**{**deny_http, **changed}))


def lifecycle(status="Enabled", **rule):
    return bucket_with(LIFECYCLE, rules=[{"status": status, **rule}])


def storage_class(provisioner="ebs.csi.eks.amazonaws.com", **parameters):
    return resource(STORAGE_CLASS, provisioner=provisioner, parameters=parameters)


def group(name):
    return resource(LOG_GROUP, name, name=name, retentionInDays=30)


def cluster(**inputs):
    return resource(CLUSTER, enabledClusterLogTypes=["audit"], **inputs)


def instance(*logs, **inputs):
    return resource(DATABASE, enabledCloudwatchLogsExports=list(logs), **inputs)


def template(*devices):
    return resource(LAUNCH_TEMPLATE, blockDeviceMappings=list(devices))


BREACHES = {
    "bucket-is-private": {
        "Add an aws.s3.BucketPublicAccessBlock that sets blockPublicAcls, blockPublicPolicy, "
        "ignorePublicAcls, restrictPublicBuckets to true": [
            *((f"config.{key} is false", *blocks(**{key: False})) for key in BLOCKS),
            ("the bucket has no BucketPublicAccessBlock", LOGS),
            (
                "the bucket has no BucketPublicAccessBlock",
                LOGS,
                resource(PUBLIC_ACCESS, bucket="other", **ALL_BLOCKED),
            ),
        ],
    },
    "bucket-is-encrypted": {
        "Add an aws.s3.BucketServerSideEncryptionConfiguration with sseAlgorithm AES256 or "
        "aws:kms": [("config.rules set no sseAlgorithm", *encryption("none"))],
    },
    "bucket-requires-tls": {
        "Add an aws.s3.BucketPolicy that denies s3:* to all principals if aws:SecureTransport "
        "is false": [
            ("config.policy allows plain HTTP", *policy)
            for policy in (
                bucket_policy(effect="Allow"),
                bucket_policy(Principal={"AWS": "111122223333"}),
                bucket_policy(action="s3:GetObject"),
                bucket_policy(Condition={}),
            )
        ],
    },
    "bucket-has-lifecycle": {
        "Set logs.retention_days, or add an aws.s3.BucketLifecycleConfiguration with "
        "expiration.days": [
            ("config.rules have no enabled rule with expiration.days", *bucket)
            for bucket in (lifecycle("Disabled", expiration={"days": 3}), lifecycle())
        ],
    },
    "log-group-has-retention": {
        "Set a number of days; 0 means that log events never expire": [
            ("retentionInDays is not set", resource(LOG_GROUP)),
            ("retentionInDays is 0", resource(LOG_GROUP, retentionInDays=0)),
        ],
        "Declare an aws.cloudwatch.LogGroup of this name: AWS creates it without retention": [
            ("the log group /aws/eks/one/cluster is not declared", cluster(name="one")),
            (
                "the log group /aws/eks/one/cluster is not declared",
                cluster(name="one"),
                group("/aws/eks/two/cluster"),
            ),
            (
                "the log group /aws/eks/<name>/cluster is not declared, because name is not set",
                cluster(),
                group("/aws/eks/one/cluster"),
            ),
            (
                "the log group /aws/rds/instance/one/upgrade is not declared",
                instance("postgresql", "upgrade", identifier="one"),
                group("/aws/rds/instance/one/postgresql"),
            ),
            (
                "the log group /aws/rds/instance/<identifier>/postgresql is not declared, because "
                "identifier is not set",
                instance("postgresql"),
            ),
        ],
    },
    "volumes-are-encrypted": {
        "Set it to true": [
            ('parameters.encrypted is "false"', storage_class(encrypted="false")),
            ("encrypted is not set", resource(VOLUME)),
            ("encrypted is false", resource(FILE_SYSTEM, encrypted=False)),
            (
                "blockDeviceMappings[1].ebs.encrypted is not set",
                template({"noDevice": ""}, {"ebs": {}}),
            ),
        ],
    },
    "kms-key-rotation-enabled": {
        "Set it to true": [("enableKeyRotation is not set", resource(KMS_KEY))],
    },
}

COMPLIANT = {
    "bucket-is-private": {"private": blocks()},
    "bucket-is-encrypted": {
        f"{name}": encryption(name) for name in ("AES256", "aws:kms", "aws:kms:dsse", UNKNOWN)
    },
    "bucket-requires-tls": {
        "string": bucket_policy(),
        "account": bucket_policy(Principal={"AWS": "*"}),
        "list": bucket_policy(action=["s3:*"]),
        "unknown": bucket_with(BUCKET_POLICY, policy=UNKNOWN),
    },
    "bucket-has-lifecycle": {
        "expiration": lifecycle(expiration={"days": 30}),
        "unknown": bucket_with(LIFECYCLE, rules=UNKNOWN),
    },
    "log-group-has-retention": {
        "days": resource(LOG_GROUP, retentionInDays=30),
        "unknown": resource(LOG_GROUP, retentionInDays=UNKNOWN),
        "cluster": (cluster(name="one"), group("/aws/eks/one/cluster")),
        "cluster without logs": resource(CLUSTER, enabledClusterLogTypes=[]),
        "unknown cluster": cluster(name=UNKNOWN),
        "unknown group": (cluster(name="one"), group(UNKNOWN)),
        "instance": (
            instance("postgresql", identifier="one"),
            group("/aws/rds/instance/one/postgresql"),
        ),
        "instance without logs": instance(identifier="one"),
    },
    "volumes-are-encrypted": {
        "storage class": storage_class(encrypted="true"),
        "volume": resource(VOLUME, encrypted=True),
        "unknown": resource(FILE_SYSTEM, encrypted=UNKNOWN),
        "launch template": template({"ebs": {"encrypted": "true"}}, {"noDevice": ""}),
        "other driver": storage_class("rancher.io/local-path"),
    },
    "kms-key-rotation-enabled": {"rotation": resource(KMS_KEY, enableKeyRotation=True)},
}
