"""Each rule against a stack that breaks it. The resources are as small as the rule allows."""

import json
from datetime import date

import pytest

from policies import rules
from policies.view import UNKNOWN, Resource, Secret, Stack

TODAY = date(2026, 11, 24)
TAGS = {"project": "airflow-platform", "stack": "mine", "managed-by": "pulumi"}
BY_NAME = {rule.name: rule for rule in rules.RULES}
ANYWHERE = "0.0.0.0/0"
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")

INSTANCE = "aws:rds/instance:Instance"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
BUCKET = "aws:s3/bucket:Bucket"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
SSE = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
KEY = "aws:kms/key:Key"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
OLD_INGRESS = "aws:ec2/securityGroupRule:SecurityGroupRule"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
RELEASE = "kubernetes:helm.sh/v3:Release"
PARAMS = "kubernetes:eks.amazonaws.com/v1:IngressClassParams"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ROLE = "aws:iam/role:Role"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
COMPONENT = "eks:index:Cluster"
CLUSTER = "aws:eks/cluster:Cluster"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
MACHINE = "aws:ec2/instance:Instance"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
CRON_JOB = "kubernetes:batch/v1:CronJob"
NAMESPACE = "kubernetes:core/v1:Namespace"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
SECRET = "kubernetes:core/v1:Secret"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
SUBNET = "aws:ec2/subnet:Subnet"
NAT = "aws:ec2/natGateway:NatGateway"
DIGEST = f"sha256:{'0' * 64}"


def res(kind, called="it", /, *, protect=False, parent="", provider="", depends_on=(), **inputs):
    return Resource(
        urn=f"urn:pulumi:mine::airflow-platform::{kind}::{called}",
        type=kind,
        name=called,
        inputs=inputs,
        protect=protect,
        parent=parent,
        provider=provider,
        depends_on=frozenset(depends_on),
    )


def stack_of(*resources, today=TODAY, tags=TAGS):
    return Stack(name="mine", resources=resources, default_tags=tags, today=today)


def found(rule, *resources, **about):
    return list(BY_NAME[rule].check(stack_of(*resources, **about)))


def policy(effect="Allow", action="s3:GetObject", resource="arn:aws:s3:::logs/*", **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def tls_only(**changed):
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    return policy(
        **{"effect": "Deny", "action": "s3:*", "Principal": "*", "Condition": condition} | changed
    )


def database(**inputs):
    return res(INSTANCE, "db", **inputs)


def with_bucket(type, **inputs):
    return res(BUCKET, "logs"), res(type, "part", bucket="logs", **inputs)


def block(**changed):
    return with_bucket(BLOCK, **{**dict.fromkeys(BLOCKS, True), **changed})


def sse(algorithm):
    return with_bucket(
        SSE, rules=[{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}]
    )


def lifecycle(status="Enabled", **rule):
    return with_bucket(LIFECYCLE, rules=[{"status": status, **rule}])


def airflow(**values):
    return res(RELEASE, "airflow-release", name="airflow", values=values)


def ui(**annotations):
    good = {
        "listen-ports": '[{"HTTPS": 443}]',
        "ssl-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "inbound-cidrs": "10.0.0.0/8,192.0.2.0/24",
    }
    said = {key: value for key, value in {**good, **annotations}.items() if value is not None}
    listed = {f"alb.ingress.kubernetes.io/{key}": value for key, value in said.items()}
    return airflow(ingress={"apiServer": {"enabled": True, "annotations": listed}})


RESOURCES = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}


def container(**changed):
    return {
        "name": "main",
        "image": "redis:7.2",
        "resources": RESOURCES,
        "securityContext": {"allowPrivilegeEscalation": False},
        **changed,
    }


def server(*containers, namespace="airflow", **spec):
    pod = {
        "securityContext": {"runAsNonRoot": True},
        "containers": list(containers) or [container()],
        **spec,
    }
    meta = {"namespace": namespace}
    return res(STATEFUL_SET, "redis", metadata=meta, spec={"template": {"spec": pod}})


def closed(namespace="airflow", **spec):
    rule = {"podSelector": {}, "policyTypes": ["Ingress"], **spec}
    return res(NETWORK_POLICY, "deny", metadata={"namespace": namespace}, spec=rule)


CHART_PARTS = [
    "scheduler",
    "scheduler.logGroomerSidecar",
    "apiServer",
    "dagProcessor",
    "dagProcessor.logGroomerSidecar",
    "triggerer",
    "triggerer.logGroomerSidecar",
    "dags.gitSync",
    "statsd",
    "migrateDatabaseJob",
    "createUserJob",
    "databaseCleanup",
    "workers.celery",
    "workers.celery.logGroomerSidecar",
]


def chart_resources(without="", resources=RESOURCES):
    values = {"dagProcessor": {"enabled": True}, "databaseCleanup": {"enabled": True}}
    values["dags"] = {"gitSync": {"enabled": True}}
    for part in CHART_PARTS:
        inner = values
        for key in part.split("."):
            inner = inner.setdefault(key, {})
        if part != without:
            inner["resources"] = resources
    return values


def pool(capacity=("on-demand",), taints=()):
    requirement = {"key": "karpenter.sh/capacity-type", "operator": "In", "values": list(capacity)}
    template = {"spec": {"requirements": [requirement], "taints": list(taints)}}
    return res(POOL, "pool", spec={"template": template})


TAINT = {"key": "nodes", "value": "workers", "effect": "NoSchedule"}
TOLERATION = {"key": "nodes", "value": "workers", "effect": "NoSchedule"}
SPOT = "Taint it with NoSchedule, and give workers.celery the toleration"
TOLERATES = "Take the toleration away: only workers.celery has it"
REAL = f"urn:pulumi:mine::airflow-platform::{COMPONENT}::it"
KMS = {"provider": {"keyArn": "arn:aws:kms:::key/1"}}
WAY_OUT = "List your networks in cluster.public_access_cidrs, or set cluster.private_endpoint"
NO_DIGEST = "`docker buildx imagetools inspect` prints the digest"
SET_SECRET = "`pulumi config set --secret` it, and hand it over in a Kubernetes Secret"
EKS_SOURCE = "https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html"
RDS_SOURCE = "https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html"
CLOSED = "Admit a security group or the networks that need it"
INBOUND = "alb.ingress.kubernetes.io/inbound-cidrs"
ALL_BLOCKS = f"Set {', '.join(BLOCKS)} to true"
ZONES = (
    res(SUBNET, "public-a", availabilityZone="a"),
    res(SUBNET, "private-a", availabilityZone="a"),
    res(SUBNET, "public-b", availabilityZone="b"),
)
PRIVATE = "Set it to false: whoever needs the database comes through the VPC"
COPY = "Set it to true; an existing instance is encrypted by restoring a copy of its snapshot"
DENY = "Deny s3:* to everybody where aws:SecureTransport is false"

# By rule: resources, then the resource it names, what it found, what to do.
BROKEN = [
    (
        "database-is-private",
        [database(publiclyAccessible=True)],
        "db",
        "publiclyAccessible is true",
        PRIVATE,
    ),
    ("database-is-private", [database()], "db", "publiclyAccessible is missing", PRIVATE),
    (
        "database-is-encrypted",
        [database(storageEncrypted=False)],
        "db",
        "storageEncrypted is false",
        COPY,
    ),
    ("database-is-encrypted", [database()], "db", "storageEncrypted is missing", COPY),
    (
        "database-requires-tls",
        [res(PARAMETERS, parameters=[{"name": "rds.force_ssl", "value": "0"}])],
        "it",
        'rds.force_ssl is "0"',
        'Set it to "1"',
    ),
    (
        "database-requires-tls",
        [res(PARAMETERS)],
        "it",
        "rds.force_ssl is missing",
        'Set it to "1"',
    ),
    (
        "database-requires-tls",
        [database(parameterGroupName="default.postgres16")],
        "db",
        'parameterGroupName is "default.postgres16"',
        "Give it a parameter group of this stack, with rds.force_ssl",
    ),
    (
        "database-auto-minor-version-upgrade",
        [database(autoMinorVersionUpgrade=False)],
        "db",
        "autoMinorVersionUpgrade is false",
        "Set it to true",
    ),
    *(
        ("bucket-is-private", block(**{key: False}), "logs", f"part.{key} is false", ALL_BLOCKS)
        for key in BLOCKS
    ),
    (
        "bucket-is-private",
        [res(BUCKET, "logs")],
        "logs",
        "BucketPublicAccessBlock is missing",
        ALL_BLOCKS,
    ),
    (
        "bucket-is-private",
        [res(BUCKET, "logs"), res(BLOCK, bucket="other", **dict.fromkeys(BLOCKS, True))],
        "logs",
        "BucketPublicAccessBlock is missing",
        ALL_BLOCKS,
    ),
    (
        "bucket-is-encrypted",
        sse("none"),
        "logs",
        "part.rules name no algorithm",
        "Declare a default encryption: AES256 or aws:kms",
    ),
    *(
        ("bucket-requires-tls", bucket, "logs", "part.policy admits plain HTTP", DENY)
        for bucket in (
            with_bucket(BUCKET_POLICY, policy=tls_only(effect="Allow")),
            with_bucket(BUCKET_POLICY, policy=tls_only(Principal={"AWS": "111122223333"})),
            with_bucket(BUCKET_POLICY, policy=tls_only(action="s3:GetObject")),
            with_bucket(BUCKET_POLICY, policy=tls_only(Condition={})),
        )
    ),
    *(
        (
            "bucket-has-lifecycle",
            bucket,
            "logs",
            "part.rules let nothing expire",
            "Set logs.retention_days",
        )
        for bucket in (lifecycle("Disabled", expiration={"days": 3}), lifecycle())
    ),
    *(
        (
            "log-group-has-retention",
            [res(LOG_GROUP, **given)],
            "it",
            f"retentionInDays is {said}",
            "Set the number of days; 0 keeps logs for ever",
        )
        for given, said in (({}, "missing"), ({"retentionInDays": 0}, "0"))
    ),
    (
        "volumes-are-encrypted",
        [
            res(
                STORAGE_CLASS,
                provisioner="ebs.csi.eks.amazonaws.com",
                parameters={"encrypted": "false"},
            )
        ],
        "it",
        'parameters.encrypted is "false"',
        "Set it to true",
    ),
    (
        "volumes-are-encrypted",
        [res("aws:ebs/volume:Volume")],
        "it",
        "encrypted is missing",
        "Set it to true",
    ),
    (
        "volumes-are-encrypted",
        [res("aws:efs/fileSystem:FileSystem", encrypted=False)],
        "it",
        "encrypted is false",
        "Set it to true",
    ),
    (
        "volumes-are-encrypted",
        [res(TEMPLATE, blockDeviceMappings=[{"noDevice": ""}, {"ebs": {}}])],
        "it",
        "blockDeviceMappings[1].ebs.encrypted is missing",
        "Set it to true",
    ),
    ("kms-key-rotation-enabled", [res(KEY)], "it", "enableKeyRotation is missing", "Set it to true"),
    *(
        ("no-public-ingress", [resource], "it", what, CLOSED)
        for resource, what in (
            (res(INGRESS, cidrIpv4=ANYWHERE), f'cidrIpv4 is "{ANYWHERE}"'),
            (res(INGRESS, cidrIpv6="::/0"), 'cidrIpv6 is "::/0"'),
            (
                res(OLD_INGRESS, type="ingress", cidrBlocks=[ANYWHERE]),
                f'cidrBlocks is ["{ANYWHERE}"]',
            ),
            (
                res(OLD_INGRESS, type="ingress", ipv6CidrBlocks=["::/0"]),
                'ipv6CidrBlocks is ["::/0"]',
            ),
            (
                res(GROUP, ingress=[{"cidrBlocks": ["10.0.0.0/8"]}, {"cidrBlocks": [ANYWHERE]}]),
                f'ingress[1].cidrBlocks is ["{ANYWHERE}"]',
            ),
            (
                res(DEFAULT_GROUP, ingress=[{"ipv6CidrBlocks": ["::/0"]}]),
                'ingress[0].ipv6CidrBlocks is ["::/0"]',
            ),
        )
    ),
    *(
        (
            "no-inline-security-group-rules",
            [res(type, ingress=[{"self": True}])],
            "it",
            'ingress is [{"self": true}]',
            "Declare a SecurityGroupIngressRule for each",
        )
        for type in (GROUP, DEFAULT_GROUP)
    ),
    *(
        (
            "ui-requires-tls",
            [ui(**{"listen-ports": ports})],
            "airflow-release",
            f"alb.ingress.kubernetes.io/listen-ports is {said}",
            "Listen on HTTPS only",
        )
        for ports, said in (
            ('[{"HTTPS": 443}, {"HTTP": 80}]', r'"[{\"HTTPS\": 443}, {\"HTTP\": 80}]"'),
            (None, "missing"),
        )
    ),
    *(
        (
            "ui-requires-tls",
            [ui(**{"ssl-policy": given})],
            "airflow-release",
            f"alb.ingress.kubernetes.io/ssl-policy is {said}",
            "Take an ELBSecurityPolicy-TLS13 policy",
        )
        for given, said in (
            ("ELBSecurityPolicy-2016-08", '"ELBSecurityPolicy-2016-08"'),
            (None, "missing"),
        )
    ),
    (
        "ui-requires-tls",
        [res(PARAMS, spec={"certificateARNs": []})],
        "it",
        "spec.certificateARNs is []",
        "Set airflow.ingress.certificate_arn",
    ),
    *(
        (
            "ui-access-restricted",
            [ui(**{"inbound-cidrs": given})],
            "airflow-release",
            f"{INBOUND} is {said}",
            "List your networks in airflow.ingress.allowed_cidrs",
        )
        for given, said in (
            (f"10.0.0.0/8,{ANYWHERE}", f'"10.0.0.0/8,{ANYWHERE}"'),
            (None, "missing"),
        )
    ),
    *(
        (
            "iam-least-privilege",
            [resource],
            "it",
            f"policy allows {what} on every resource",
            "Name the actions, or name the resources",
        )
        for resource, what in (
            (res(ROLE_POLICY, policy=policy(action="*", resource="*")), "*"),
            (res(ROLE_POLICY, policy=policy(action=["s3:Get", "s3:*"], resource=["*"])), "s3:*"),
            (res("aws:iam/policy:Policy", policy=policy(action="s3:*", resource="*")), "s3:*"),
            (
                res("aws:iam/userPolicy:UserPolicy", policy=policy(action="s3:*", resource="*")),
                "s3:*",
            ),
            (
                res("aws:iam/groupPolicy:GroupPolicy", policy=policy(action="s3:*", resource="*")),
                "s3:*",
            ),
            (res(ROLE, inlinePolicies=[{"policy": policy(action="s3:*", resource="*")}]), "s3:*"),
            (
                res(ROLE_POLICY, policy=policy(action=[], resource="*", NotAction="iam:*")),
                "everything but iam:*",
            ),
        )
    ),
    *(
        (
            "iam-no-admin",
            [res(type, policyArn=f"arn:aws:iam::aws:policy/{name}")],
            "it",
            f'policyArn is "arn:aws:iam::aws:policy/{name}"',
            "Write a policy with the rights that are used",
        )
        for type, name in (
            (ATTACHMENT, "AdministratorAccess"),
            ("aws:iam/userPolicyAttachment:UserPolicyAttachment", "PowerUserAccess"),
            ("aws:iam/groupPolicyAttachment:GroupPolicyAttachment", "IAMFullAccess"),
        )
    ),
    *(
        (
            "iam-trust-no-wildcard",
            [res(ROLE, assumeRolePolicy=policy(Principal=trusted))],
            "it",
            f"assumeRolePolicy trusts {trusted!r}",
            "Name the service or the account",
        )
        for trusted in ("*", {"AWS": "*"}, {"AWS": ["111122223333", "*"]})
    ),
    (
        "cluster-encrypts-secrets",
        [res(COMPONENT)],
        "it",
        "KMS key for Secrets is missing",
        "Set encryptionConfigKeyArn",
    ),
    (
        "cluster-encrypts-secrets",
        [res(CLUSTER)],
        "it",
        "KMS key for Secrets is missing",
        "Set encryptionConfigKeyArn",
    ),
    (
        "cluster-audit-log-enabled",
        [res(COMPONENT, enabledClusterLogTypes=["api"])],
        "it",
        'enabledClusterLogTypes is ["api"]',
        "Add audit",
    ),
    (
        "cluster-audit-log-enabled",
        [res(CLUSTER)],
        "it",
        "enabledClusterLogTypes is missing",
        "Add audit",
    ),
    (
        "cluster-endpoint-access-restricted",
        [res(COMPONENT)],
        "it",
        "publicAccessCidrs is missing",
        WAY_OUT,
    ),
    (
        "cluster-endpoint-access-restricted",
        [res(COMPONENT, endpointPublicAccess=True, publicAccessCidrs=["192.0.2.0/24", ANYWHERE])],
        "it",
        f'publicAccessCidrs is ["192.0.2.0/24", "{ANYWHERE}"]',
        WAY_OUT,
    ),
    (
        "cluster-endpoint-access-restricted",
        [res(CLUSTER, vpcConfig={"publicAccessCidrs": [ANYWHERE]})],
        "it",
        f'publicAccessCidrs is ["{ANYWHERE}"]',
        WAY_OUT,
    ),
    *(
        (
            "explicit-kubernetes-provider",
            [res(CONFIG_MAP, provider=provider)],
            "it",
            "provider is the ambient one",
            "Pass the provider of the cluster in its options",
        )
        for provider in ("", "urn:pulumi:mine::p::pulumi:providers:kubernetes::default_4_32_0::1")
    ),
    *(
        (
            "imdsv2-required",
            [res(type, metadataOptions={"httpTokens": "optional"})],
            "it",
            'metadataOptions.httpTokens is "optional"',
            "Set it to required",
        )
        for type in (TEMPLATE, MACHINE, "aws:ec2/launchConfiguration:LaunchConfiguration")
    ),
    (
        "imdsv2-required",
        [res(NODE_GROUP)],
        "it",
        "launchTemplate is missing",
        "Give it a launch template with httpTokens: required",
    ),
    (
        "spot-only-for-workers",
        [pool(["spot", "on-demand"])],
        "pool",
        "has spot nodes and no taint",
        SPOT,
    ),
    (
        "spot-only-for-workers",
        [pool(["spot"], [{**TAINT, "effect": "PreferNoSchedule"}])],
        "pool",
        "has spot nodes and no taint",
        SPOT,
    ),
    (
        "spot-only-for-workers",
        [res(NODE_GROUP, capacityType="SPOT")],
        "it",
        "has spot nodes and no taint",
        SPOT,
    ),
    *(
        (
            "spot-only-for-workers",
            [pool(taints=[TAINT]), server(tolerations=[toleration])],
            "redis",
            "tolerations tolerate the taint nodes of pool",
            TOLERATES,
        )
        for toleration in (
            TOLERATION,
            {"operator": "Exists"},
            {"operator": "Exists", "key": "nodes"},
            {"operator": "Equal", "key": "nodes", "value": "workers"},
        )
    ),
    (
        "spot-only-for-workers",
        [
            res(NODE_GROUP, taints=[{**TAINT, "effect": "NO_EXECUTE"}]),
            server(tolerations=[TOLERATION]),
        ],
        "redis",
        "tolerations tolerate the taint nodes of it",
        TOLERATES,
    ),
    *(
        (
            "spot-only-for-workers",
            [pool(taints=[TAINT]), airflow(**{part: {"tolerations": [TOLERATION]}})],
            "airflow-release",
            f"{part}.tolerations tolerate the taint nodes of pool",
            TOLERATES,
        )
        for part in (
            "scheduler",
            "apiServer",
            "dagProcessor",
            "triggerer",
            "statsd",
            "workers",
            "migrateDatabaseJob",
            "createUserJob",
            "databaseCleanup",
        )
    ),
    (
        "spot-only-for-workers",
        [pool(taints=[TAINT]), airflow(tolerations=[TOLERATION])],
        "airflow-release",
        "tolerations tolerate the taint nodes of pool",
        TOLERATES,
    ),
    *(
        (
            "containers-request-resources",
            [server(container(resources=given))],
            "redis",
            f"main: resources.{missing} is missing",
            "Measure it and set it",
        )
        for given, missing in (
            ({**RESOURCES, "limits": {}}, "limits.memory"),
            ({**RESOURCES, "requests": {"cpu": "1"}}, "requests.memory"),
            ({**RESOURCES, "requests": {"memory": "1Gi"}}, "requests.cpu"),
        )
    ),
    (
        "containers-request-resources",
        [airflow(**chart_resources(resources={**RESOURCES, "limits": {}}))],
        "airflow-release",
        [f"{part}.resources.limits.memory is missing" for part in CHART_PARTS],
        "Set it in values/",
    ),
    *(
        (
            "pod-security-context-restricted",
            [server(**spec)],
            "redis",
            "securityContext.runAsNonRoot is " + said,
            "Set it to true",
        )
        for spec, said in (
            ({"securityContext": {"runAsNonRoot": False}}, "false"),
            ({"securityContext": None}, "missing"),
        )
    ),
    (
        "pod-security-context-restricted",
        [server(container(), initContainers=[container(name="first", securityContext={})])],
        "redis",
        "first: securityContext.allowPrivilegeEscalation is missing",
        "Set it to false",
    ),
    *(
        (
            "namespace-pod-security-restricted",
            [res(NAMESPACE, metadata={"labels": labels})],
            "it",
            f"pod-security.kubernetes.io/enforce is {said}",
            "Set the label to restricted",
        )
        for labels, said in (
            ({"pod-security.kubernetes.io/enforce": "baseline"}, '"baseline"'),
            (None, "missing"),
        )
    ),
    *(
        (
            "default-deny-network-policy",
            [server(), rule],
            "redis",
            "namespace airflow has no NetworkPolicy that admits nobody",
            "Declare one with an empty podSelector; each server then names its clients",
        )
        for rule in (
            closed("other"),
            closed(podSelector={"matchLabels": {"a": "b"}}),
            closed(policyTypes=["Egress"]),
            closed(ingress=[{}]),
        )
    ),
    *(
        (
            "image-tag-pinned",
            [resource],
            name,
            f"{where} is {json.dumps(image)}",
            "Name a version",
        )
        for resource, name, where, image in (
            (server(container(image="redis")), "redis", "main: image", "redis"),
            (
                server(container(image="host:5000/redis:latest")),
                "redis",
                "main: image",
                "host:5000/redis:latest",
            ),
            (server(container(image="host:5000/redis")), "redis", "main: image", "host:5000/redis"),
            (
                airflow(defaultAirflowRepository="a/b"),
                "airflow-release",
                "Airflow's image",
                "a/b",
            ),
            (
                res(
                    RELEASE,
                    "keda",
                    values={"image": {"keda": {"repository": "kedacore/keda", "tag": "latest"}}},
                ),
                "keda",
                "image.keda",
                "kedacore/keda:latest",
            ),
        )
    ),
    *(
        (
            "image-digest-pinned",
            [resource],
            name,
            f"{where} is {json.dumps(image)}",
            f"{NO_DIGEST}: {fix}",
        )
        for resource, name, where, image, fix in (
            (server(), "redis", "main: image", "redis:7.2", "append @sha256:..."),
            (
                airflow(defaultAirflowRepository="a/b", defaultAirflowTag="3"),
                "airflow-release",
                "Airflow's image",
                "a/b:3",
                "set airflow.digest",
            ),
            (
                res(RELEASE, "keda", values={"image": {"keda": {"repository": "k", "tag": "1"}}}),
                "keda",
                "image.keda",
                "k:1",
                "append @sha256:...",
            ),
        )
    ),
    *(
        (
            "secrets-encrypted-in-state",
            [res(SECRET, **{kind: {"user": Secret(), "password": "hunter2"}})],
            "it",
            f"{kind}.password is not marked as secret",
            "Wrap it in pulumi.Output.secret",
        )
        for kind in ("data", "stringData")
    ),
    (
        "no-secrets-in-helm-values",
        [
            res(
                RELEASE,
                values={"env": [{"name": "A", "value": "b"}, {"name": "TOKEN", "value": Secret()}]},
            )
        ],
        "it",
        "values.env[1].TOKEN is a secret",
        "Put it into a Kubernetes Secret and name that",
    ),
    *(
        (
            "no-plaintext-secrets",
            [res(type, **inputs)],
            "it",
            f"{path} looks like {what}",
            SET_SECRET,
        )
        for type, inputs, path, what in (
            (INSTANCE, {"password": "hunter2"}, "password", "a secret by its name"),
            (
                RELEASE,
                {"values": {"auth": {"apiToken": "x"}}},
                "values.auth.apiToken",
                "a secret by its name",
            ),
            (
                STATEFUL_SET,
                {"env": [{"name": "GIT_TOKEN", "value": "x"}]},
                "env[0].GIT_TOKEN",
                "a secret by its name",
            ),
            (CONFIG_MAP, {"data": {"a": "AKIAIOSFODNN7EXAMPLE"}}, "data.a", "an AWS access key"),
            (
                CONFIG_MAP,
                {"data": {"a": "-----BEGIN RSA PRIVATE KEY-----"}},
                "data.a",
                "a private key",
            ),
            (
                CONFIG_MAP,
                {"data": {"a": "redis://:pw@redis:6379"}},
                "data.a",
                "a URL with a password",
            ),
            (CONFIG_MAP, {"data": {"a": f"ghp_{'a' * 36}"}}, "data.a", "a token of a Git host"),
            (CONFIG_MAP, {"data": {"a": "xoxb-1234567890-abc"}}, "data.a", "a Slack token"),
        )
    ),
    *(
        (
            "deletion-protection-consistent",
            [res(type, protect=protect, deletionProtection=deletion)],
            "it",
            f"protect is {json.dumps(protect)}, but deletionProtection is {json.dumps(bool(deletion))}",
            "Let one setting decide both",
        )
        for type in (INSTANCE, COMPONENT, CLUSTER)
        for protect, deletion in ((True, None), (False, True))
    ),
    *(
        ("stateful-resources-protected", [res(*kind)], res(*kind).name, "protect is false", fix)
        for kind, fix in (
            ([INSTANCE], "Set database.protect to true"),
            ([COMPONENT], "Set cluster.protect to true"),
            ([CLUSTER], "Set cluster.protect to true"),
            ([KEY], "Set cluster.protect to true"),
            ([BUCKET], "Set logs.protect to true"),
            ([CLAIM, "redis-data"], "Set redis.protect to true"),
            ([CLAIM, "git-server-data"], "Keep this data outside the cluster: RDS, a Git host"),
        )
    ),
    *(
        (
            "database-final-snapshot",
            [database(**given)],
            "db",
            f"skipFinalSnapshot is {said}",
            "Set database.final_snapshot to true",
        )
        for given, said in (({"skipFinalSnapshot": True}, "true"), ({}, "missing"))
    ),
    *(
        (
            "database-backup-retention",
            [database(**given)],
            "db",
            f"backupRetentionPeriod is {said}",
            "Set database.backup_days to 7 or more",
        )
        for given, said in (({"backupRetentionPeriod": 6}, "6"), ({}, "missing"))
    ),
    (
        "database-multi-az",
        [database(multiAz=False)],
        "db",
        "multiAz is false",
        "Set database.multi_az to true",
    ),
    (
        "nat-gateway-per-az",
        [*ZONES, res(NAT, subnetId="public-a-id")],
        "public-b",
        "zone b has no NAT gateway",
        "Set network.nat to per_az",
    ),
    (
        "kubernetes-version-supported",
        [res(COMPONENT, version="1.33")],
        "it",
        "version is 1.33, whose standard support ended on 2026-07-29",
        f"Raise cluster.version, one minor version at a time ({EKS_SOURCE})",
    ),
    (
        "kubernetes-version-supported",
        [res(CLUSTER, version="1.99")],
        "it",
        "version is 1.99, and policies/versions.py knows 1.31, 1.32, 1.33, 1.34, 1.35, 1.36",
        f"Take one of those, or add it with its date from {EKS_SOURCE}",
    ),
    (
        "postgresql-version-supported",
        [database(engineVersion="9.6")],
        "db",
        "engineVersion is 9, and policies/versions.py knows 13, 14, 15, 16, 17",
        f"Take one of those, or add it with its date from {RDS_SOURCE}",
    ),
    (
        "postgresql-version-supported",
        [database(engineVersion="13.20")],
        "db",
        "engineVersion is 13, whose standard support ended on 2026-02-28",
        f"Raise ENGINE_VERSION in components/database.py ({RDS_SOURCE})",
    ),
]

PROVIDER = "urn:pulumi:mine::p::pulumi:providers:kubernetes::cluster-kubernetes::1"
GOOD = [
    ("database-is-private", [database(publiclyAccessible=False)]),
    ("database-is-private", [database(publiclyAccessible=UNKNOWN)]),
    ("database-is-encrypted", [database(storageEncrypted=True)]),
    (
        "database-requires-tls",
        [
            res(PARAMETERS, "group", parameters=[{"name": "rds.force_ssl", "value": "1"}]),
            database(parameterGroupName="group"),
        ],
    ),
    ("database-requires-tls", [res(PARAMETERS, parameters=UNKNOWN)]),
    ("database-auto-minor-version-upgrade", [database(autoMinorVersionUpgrade=True)]),
    ("bucket-is-private", block()),
    ("bucket-is-encrypted", sse("AES256")),
    ("bucket-is-encrypted", sse("aws:kms")),
    ("bucket-is-encrypted", sse("aws:kms:dsse")),
    ("bucket-is-encrypted", sse(UNKNOWN)),
    ("bucket-requires-tls", with_bucket(BUCKET_POLICY, policy=tls_only())),
    ("bucket-requires-tls", with_bucket(BUCKET_POLICY, policy=tls_only(Principal={"AWS": "*"}))),
    ("bucket-requires-tls", with_bucket(BUCKET_POLICY, policy=tls_only(action=["s3:*"]))),
    ("bucket-requires-tls", with_bucket(BUCKET_POLICY, policy=UNKNOWN)),
    ("bucket-has-lifecycle", lifecycle(expiration={"days": 30})),
    ("bucket-has-lifecycle", with_bucket(LIFECYCLE, rules=UNKNOWN)),
    ("log-group-has-retention", [res(LOG_GROUP, retentionInDays=30)]),
    ("log-group-has-retention", [res(LOG_GROUP, retentionInDays=UNKNOWN)]),
    (
        "volumes-are-encrypted",
        [
            res(
                STORAGE_CLASS,
                provisioner="ebs.csi.eks.amazonaws.com",
                parameters={"encrypted": "true"},
            ),
            res(STORAGE_CLASS, "local", provisioner="rancher.io/local-path"),
            res("aws:ebs/volume:Volume", encrypted=True),
            res("aws:efs/fileSystem:FileSystem", encrypted=UNKNOWN),
            res(TEMPLATE, blockDeviceMappings=[{"ebs": {"encrypted": "true"}}, {"noDevice": ""}]),
        ],
    ),
    ("kms-key-rotation-enabled", [res(KEY, enableKeyRotation=True)]),
    ("no-public-ingress", [res(INGRESS, cidrIpv4="10.0.0.0/8"), res(GROUP), res(DEFAULT_GROUP)]),
    ("no-public-ingress", [res(OLD_INGRESS, type="egress", cidrBlocks=[ANYWHERE])]),
    ("no-inline-security-group-rules", [res(GROUP), res(DEFAULT_GROUP, ingress=[])]),
    ("ui-requires-tls", [ui(), res(PARAMS, spec={"certificateARNs": ["arn"]})]),
    ("ui-requires-tls", [airflow(ingress={"apiServer": {"enabled": False}})]),
    ("ui-access-restricted", [ui()]),
    ("iam-least-privilege", [res(ROLE_POLICY, policy=policy(action="s3:*"))]),
    ("iam-least-privilege", [res(ROLE_POLICY, policy=policy(resource="*"))]),
    ("iam-least-privilege", [res(ROLE_POLICY, policy=policy("Deny", "*", "*"))]),
    ("iam-least-privilege", [res(ROLE_POLICY, policy=UNKNOWN)]),
    (
        "iam-no-admin",
        [res(ATTACHMENT, policyArn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy")],
    ),
    (
        "iam-trust-no-wildcard",
        [res(ROLE, assumeRolePolicy=policy(Principal={"Service": "eks.amazonaws.com"}))],
    ),
    ("iam-trust-no-wildcard", [res(ROLE, assumeRolePolicy=policy(Principal="*", Condition={"a": {}}))]),
    ("iam-trust-no-wildcard", [res(ROLE, assumeRolePolicy=policy("Deny", Principal="*"))]),
    ("cluster-encrypts-secrets", [res(COMPONENT, encryptionConfigKeyArn="arn")]),
    ("cluster-encrypts-secrets", [res(CLUSTER, encryptionConfig=KMS)]),
    ("cluster-encrypts-secrets", [res(COMPONENT), res(CLUSTER, parent=REAL, encryptionConfig=KMS)]),
    ("cluster-encrypts-secrets", [res(COMPONENT, encryptionConfigKeyArn=UNKNOWN)]),
    ("cluster-audit-log-enabled", [res(COMPONENT, enabledClusterLogTypes=["api", "audit"])]),
    ("cluster-audit-log-enabled", [res(COMPONENT, enabledClusterLogTypes=UNKNOWN)]),
    ("cluster-endpoint-access-restricted", [res(COMPONENT, endpointPublicAccess=False)]),
    ("cluster-endpoint-access-restricted", [res(COMPONENT, publicAccessCidrs=["192.0.2.0/24"])]),
    ("cluster-endpoint-access-restricted", [res(CLUSTER, vpcConfig={"endpointPublicAccess": False})]),
    ("explicit-kubernetes-provider", [res(CONFIG_MAP, provider=PROVIDER), res(KEY)]),
    ("imdsv2-required", [res(TEMPLATE, metadataOptions={"httpTokens": "required"})]),
    ("imdsv2-required", [res(NODE_GROUP, launchTemplate={"id": "lt-1"})]),
    (
        "spot-only-for-workers",
        [
            pool(["spot"], [TAINT]),
            airflow(workers={"celery": {"tolerations": [TOLERATION]}}),
            server(
                tolerations=[
                    {"key": "nodes", "value": "others"},
                    {"key": "other", "operator": "Exists"},
                ]
            ),
        ],
    ),
    ("spot-only-for-workers", [pool(), server(tolerations=[{"operator": "Exists"}])]),
    ("containers-request-resources", [server(), airflow(**chart_resources())]),
    ("pod-security-context-restricted", [server()]),
    (
        "namespace-pod-security-restricted",
        [res(NAMESPACE, metadata={"labels": {"pod-security.kubernetes.io/enforce": "restricted"}})],
    ),
    ("namespace-pod-security-restricted", [res(NAMESPACE, metadata={"labels": UNKNOWN})]),
    ("default-deny-network-policy", [server(), closed()]),
    ("default-deny-network-policy", [server(namespace=UNKNOWN)]),
    (
        "image-tag-pinned",
        [
            server(container(image=f"redis@{DIGEST}"), container(image="host:5000/redis:7.2")),
            airflow(defaultAirflowRepository="a/b", defaultAirflowTag="3.2.2"),
        ],
    ),
    (
        "image-digest-pinned",
        [
            server(container(image=f"redis:7@{DIGEST}")),
            airflow(
                defaultAirflowRepository="a/b", defaultAirflowTag="3", defaultAirflowDigest=DIGEST
            ),
            res(RELEASE, "keda", values={"image": {"keda": {"repository": "k", "digest": DIGEST}}}),
        ],
    ),
    ("secrets-encrypted-in-state", [res(SECRET, stringData={"a": Secret()}, data=Secret())]),
    (
        "no-secrets-in-helm-values",
        [res(RELEASE, values={"a": "b"}), res(INSTANCE, password=Secret())],
    ),
    (
        "no-plaintext-secrets",
        [
            res(INSTANCE, password=Secret(), username="airflow", masterUserSecretName=""),
            airflow(
                user={"password": "in-secret-airflow-admin"}, metadataSecretName="airflow-metadata"
            ),
            res(STATEFUL_SET, annotations={"checksum/db-password": "0a1b2c"}),
            res(
                CONFIG_MAP,
                data={
                    "url": "https://git@example.com/a:b",
                    "code": "redis://:${REDIS_PASSWORD}@redis redis://:{password}@redis",
                    "cert": "-----BEGIN CERTIFICATE-----",
                },
            ),
            res(SECRET, stringData={"password": "another rule says it"}),
        ],
    ),
    ("deletion-protection-consistent", [res(INSTANCE, protect=True, deletionProtection=True), res(COMPONENT)]),
    (
        "stateful-resources-protected",
        [res(t, protect=True) for t in (INSTANCE, COMPONENT, KEY, BUCKET, CLAIM)],
    ),
    ("database-final-snapshot", [database(skipFinalSnapshot=False)]),
    ("database-backup-retention", [database(backupRetentionPeriod=7)]),
    ("database-backup-retention", [database(backupRetentionPeriod=UNKNOWN)]),
    ("database-multi-az", [database(multiAz=True)]),
    (
        "nat-gateway-per-az",
        [
            *ZONES,
            res(NAT, "nat-a", subnetId="public-a-id"),
            res(NAT, "nat-b", subnetId=UNKNOWN, depends_on=[ZONES[2].urn]),
        ],
    ),
    ("kubernetes-version-supported", [res(COMPONENT, version="1.35"), res(CLUSTER, version=UNKNOWN)]),
    ("postgresql-version-supported", [database(engineVersion="16"), database(engineVersion=UNKNOWN)]),
]


@pytest.mark.parametrize(("rule", "resources", "name", "what", "fix"), BROKEN)
def test_a_breach_names_the_resource_what_was_found_why_it_matters_and_the_way_out(
    rule, resources, name, what, fix
):
    lines = [BY_NAME[rule].explain(each) for each in found(rule, *resources)]
    each_what = what if isinstance(what, list) else [what]
    reason = BY_NAME[rule].reason
    assert lines == [f"{rule}: {name}: {one}. {reason}. {fix}." for one in each_what]


@pytest.mark.parametrize(("rule", "resources"), GOOD)
def test_what_is_as_it_should_be_or_not_known_yet_breaks_nothing(rule, resources):
    assert found(rule, *resources) == []


@pytest.mark.parametrize("without", CHART_PARTS)
def test_every_container_of_the_chart_requests_resources(without):
    whats = [
        f.what for f in found("containers-request-resources", airflow(**chart_resources(without)))
    ]
    paths = ("requests.cpu", "requests.memory", "limits.memory")
    assert whats == [f"{without}.resources.{path} is missing" for path in paths]


def test_every_set_of_workers_requests_resources():
    values = chart_resources("workers.celery")
    values["workers"]["celery"] |= {
        "enableDefault": False,
        "sets": [{"name": "one", "resources": RESOURCES}, {"name": "two"}],
    }

    whats = [f.what for f in found("containers-request-resources", airflow(**values))]
    paths = ("requests.cpu", "requests.memory", "limits.memory")
    assert whats == [f"workers.celery.sets.two.resources.{path} is missing" for path in paths]


def test_a_part_of_the_chart_that_is_off_needs_no_resources():
    values = chart_resources("databaseCleanup")
    values["databaseCleanup"] = {"enabled": False}
    assert found("containers-request-resources", airflow(**values)) == []


@pytest.mark.parametrize(
    ("type", "path"),
    [
        ("kubernetes:apps/v1:Deployment", "spec.template.spec"),
        ("kubernetes:apps/v1:DaemonSet", "spec.template.spec"),
        ("kubernetes:batch/v1:Job", "spec.template.spec"),
        (CRON_JOB, "spec.jobTemplate.spec.template.spec"),
        ("kubernetes:core/v1:Pod", "spec"),
    ],
)
def test_pods_are_checked_whatever_makes_them(type, path):
    inputs = {"containers": [container(image="redis:latest")]}
    for key in reversed(path.split(".")):
        inputs = {key: inputs}
    assert [f.what for f in found("image-tag-pinned", res(type, **inputs))] == [
        'main: image is "redis:latest"'
    ]


@pytest.mark.parametrize("tag", TAGS)
def test_every_aws_resource_gets_the_tags_that_costs_go_by(tag):
    fix = "Set it to mine" if tag == "stack" else "Set it"
    without = {key: value for key, value in TAGS.items() if key != tag}
    (breach,) = found("default-tags-required", res(KEY), tags=without)

    assert breach.resource == "Pulumi.mine.yaml"
    assert breach.what == f"aws:defaultTags.tags.{tag} is missing"
    assert breach.fix == fix


def test_a_copied_stack_tag_is_found():
    (breach,) = found("default-tags-required", res(KEY), tags={**TAGS, "stack": "prod"})
    assert (breach.what, breach.fix) == ('aws:defaultTags.tags.stack is "prod"', "Set it to mine")


def test_a_stack_without_aws_needs_no_tags():
    assert found("default-tags-required", res(CONFIG_MAP), tags={}) == []
    assert found("default-tags-required", res(KEY)) == []


@pytest.mark.parametrize(
    ("today", "warning", "said"),
    [
        (date(2026, 10, 3), None, None),
        (date(2026, 10, 4), True, "whose standard support ends on 2026-12-02, in 59 days"),
        (date(2026, 12, 1), True, "whose standard support ends on 2026-12-02, in 1 days"),
        (date(2026, 12, 2), False, "whose standard support ended on 2026-12-02"),
    ],
)
def test_support_that_ends_soon_warns_and_one_that_ended_stops(today, warning, said):
    findings = found("kubernetes-version-supported", res(COMPONENT, version="1.34"), today=today)
    expected = [] if said is None else [(f"version is 1.34, {said}", warning)]
    assert [(f.what, f.warning) for f in findings] == expected


def test_files_of_chart_values_are_read_and_the_wired_values_win(tmp_path):
    (tmp_path / "values.yaml").write_text("auth: {token: x, password: y}")
    files = [{"path": str(tmp_path / "values.yaml")}]
    wired = {"auth": {"password": "in-secret-db"}}
    release = res(RELEASE, valueYamlFiles=files, values=wired)

    whats = [f.what for f in found("no-plaintext-secrets", release)]
    assert whats == ["values.auth.token looks like a secret by its name"]
    unknown = res(RELEASE, valueYamlFiles=files, values=UNKNOWN)
    assert len(found("no-plaintext-secrets", unknown)) == 2


def test_every_rule_has_a_case_that_breaks_it_and_one_that_does_not():
    elsewhere = {"default-tags-required", "no-stateful-deletion"}
    assert {case[0] for case in BROKEN} == set(BY_NAME) - elsewhere
    assert {case[0] for case in GOOD} == set(BY_NAME) - elsewhere


@pytest.mark.parametrize(("rule", "resources"), [case[:2] for case in BROKEN])
def test_a_breach_leads_to_the_resource_in_the_engine(rule, resources):
    assert {f.urn for f in found(rule, *resources)} <= {r.urn for r in resources}
    assert all(f.urn for f in found(rule, *resources))
