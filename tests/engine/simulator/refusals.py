"""Values of settings that AWS refuses, as rules on the inputs of a resource.

A rule has a resource type, a condition, AWS's error text and a link. It depends on the inputs of
one resource only; refusals that depend on other resources in the account are in `moto_patches`.
Write REFUSALS.md: `python -m tests.engine.simulator.refusals`.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.versions import KUBERNETES, KUBERNETES_SOURCE
from tests.engine.simulator import moto_patches
from tests.engine.simulator.schema import Refusal
from tests.engine.simulator.values import has_unknown

Inputs = dict[str, Any]

PAGE = Path(__file__).parents[1] / "REFUSALS.md"
VPC, CLUSTER = "aws:ec2/vpc:Vpc", "aws:eks/cluster:Cluster"
ACCESS_ENTRY = "aws:eks/accessEntry:AccessEntry"
POD_IDENTITY = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
ROLE = "aws:iam/role:Role"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
INSTANCE = "aws:rds/instance:Instance"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
CACHE_RULE = "aws:ecr/pullThroughCacheRule:PullThroughCacheRule"
EVERY_TYPE = ""

_DOCS = "https://docs.aws.amazon.com"
_EKS = f"{_DOCS}/eks/latest/APIReference"
_RDS = f"{_DOCS}/AmazonRDS/latest/APIReference/API_CreateDBInstance.html"
# AWS's list; botocore has it only as text.
CLOUDWATCH_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096),
    *(1827, 2192, 2557, 2922, 3288, 3653),
)
_ECR = f"{_DOCS}/AmazonECR/latest"
_TAGS = f"{_DOCS}/tag-editor/latest/userguide/best-practices-and-strats.html"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """AWS refuses a resource of `type` with `error` if `refuses` is true for `property`.

    `setting` determines the value of `property`, a dotted path. `example` are inputs that break
    the rule. `{value}` in `error` is the refused value; omit it for secrets.
    """

    name: str
    type: str
    property: str
    setting: str
    refuses: Callable[[Any, Inputs], bool]
    error: str
    source: str
    example: Inputs


def _matches_not(regex: str) -> Callable[[Any, Inputs], bool]:
    return lambda value, _: not re.fullmatch(regex, value, re.ASCII)


def _is_network(text: str, smallest: int = 32, largest: int = 0) -> bool:
    """Whether a text is an IPv4 CIDR block without host bits, with a prefix in the range."""
    address, _, prefix = text.partition("/")
    try:
        ipaddress.IPv4Network(f"{address}/{int(prefix)}")
    except ValueError:
        return False
    return largest <= int(prefix) <= smallest


def _expires_too_early(rules: Any, _: Inputs) -> bool:
    days = [rule.get("expiration", {}).get("days") for rule in rules]
    return any(count is not None and count < 1 for count in days)


RULES = (
    Rule(
        name="vpc-cidr",
        type=VPC,
        property="cidrBlock",
        setting="network.cidr",
        refuses=lambda value, _: not _is_network(value, largest=16, smallest=28),
        error="InvalidVpc.Range: The CIDR '{value}' is invalid.",
        source=f"{_DOCS}/vpc/latest/userguide/vpc-cidr-blocks.html",
        example={"cidrBlock": "10.0.0.0/8"},
    ),
    Rule(
        name="kubernetes-version",
        type=CLUSTER,
        property="version",
        setting="cluster.version",
        refuses=lambda value, _: value not in KUBERNETES,
        error="InvalidParameterException: unsupported Kubernetes version {value}",
        source=KUBERNETES_SOURCE,
        example={"version": "1.99"},
    ),
    Rule(
        name="cluster-name",
        type=CLUSTER,
        property="name",
        setting="cluster.name",
        refuses=_matches_not("[0-9A-Za-z][A-Za-z0-9_-]{0,99}"),
        error="InvalidParameterException: cluster name {value} must match ^[0-9A-Za-z][A-Za-z0-9-_]*",
        source=f"{_EKS}/API_CreateCluster.html",
        example={"name": "airflow-team.prod"},
    ),
    Rule(
        name="public-access-cidr",
        type=CLUSTER,
        property="vpcConfig.publicAccessCidrs",
        setting="cluster.public_access_cidrs",
        refuses=lambda value, _: not all(map(_is_network, value)),
        error="InvalidParameterException: The following CIDRs are invalid in publicAccessCidrs: {value}",
        source=f"{_EKS}/API_VpcConfigRequest.html",
        example={"vpcConfig": {"publicAccessCidrs": ["203.0.113.7/24"]}},
    ),
    Rule(
        name="public-access-cidr-count",
        type=CLUSTER,
        property="vpcConfig.publicAccessCidrs",
        setting="cluster.public_access_cidrs",
        refuses=lambda value, _: len(value) > 40,
        error="InvalidParameterException: at most 40 public endpoint access CIDR ranges per cluster",
        source=f"{_DOCS}/eks/latest/userguide/service-quotas.html",
        example={"vpcConfig": {"publicAccessCidrs": [f"203.0.113.{n}/32" for n in range(41)]}},
    ),
    Rule(
        name="access-entry-principal",
        type=ACCESS_ENTRY,
        property="principalArn",
        setting="cluster.admin_role_arns",
        refuses=_matches_not(r"arn:aws[a-z-]*:iam::\d{12}:(user|role)/.+"),
        error="InvalidParameterException: The specified principalArn is invalid: invalid principal.",
        source=f"{_EKS}/API_CreateAccessEntry.html",
        example={"principalArn": "arn:aws:iam::111122223333:group/one"},
    ),
    Rule(
        name="service-account-name",
        type=POD_IDENTITY,
        property="serviceAccount",
        setting="queues",
        refuses=_matches_not(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?"),
        error="InvalidParameterException: invalid service account name: {value}",
        source="https://kubernetes.io/docs/concepts/overview/working-with-objects/names/",
        example={"serviceAccount": "airflow-worker-High_Memory"},
    ),
    Rule(
        name="role-name",
        type=ROLE,
        property="name",
        setting="queues",
        refuses=_matches_not(r"[\w+=,.@-]{1,64}"),
        error="ValidationError: Value '{value}' at 'roleName' failed to satisfy constraint: "
        "1 to 64 letters, digits and _+=,.@-",
        source=f"{_DOCS}/IAM/latest/APIReference/API_CreateRole.html",
        example={"name": f"logs-airflow-worker-{'q' * 40}-0123456"},
    ),
    Rule(
        name="policy-arn",
        type=ATTACHMENT,
        property="policyArn",
        setting="workers.iam_policy_arn",
        refuses=_matches_not(r"arn:aws[a-z-]*:iam::(aws|\d{12}):policy/.+"),
        error="InvalidInput: ARN {value} is not valid.",
        source=f"{_DOCS}/IAM/latest/APIReference/API_AttachRolePolicy.html",
        example={"policyArn": "AmazonS3ReadOnlyAccess"},
    ),
    Rule(
        name="instance-class",
        type=INSTANCE,
        property="instanceClass",
        setting="database.instance_class",
        refuses=_matches_not(
            r"db\.[a-z]+\d+[a-z]*\.(micro|small|medium|large|(\d{1,2})?xlarge|metal)"
        ),
        error="InvalidParameterValue: Invalid DB Instance class: {value}",
        source=f"{_DOCS}/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Types.html",
        example={"instanceClass": "m7g.large"},
    ),
    Rule(
        name="storage-size",
        type=INSTANCE,
        property="allocatedStorage",
        setting="database.storage_gb",
        refuses=lambda value, _: not 20 <= value <= 65536,
        error="InvalidParameterValue: Invalid storage size for engine name postgres and storage type "
        "gp3: {value}",
        source=f"{_DOCS}/AmazonRDS/latest/UserGuide/CHAP_Storage.html",
        example={"allocatedStorage": 10},
    ),
    Rule(
        name="max-storage-size",
        type=INSTANCE,
        property="maxAllocatedStorage",
        setting="database.max_storage_gb",
        # 0 turns storage autoscaling off.
        refuses=lambda value, inputs: 0 != value * 10 < inputs.get("allocatedStorage", 0) * 11,
        error="InvalidParameterCombination: The maximum allocated storage must be increased by at least "
        "10 percent.",
        source=f"{_DOCS}/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html",
        example={"allocatedStorage": 100, "maxAllocatedStorage": 100},
    ),
    Rule(
        name="backup-retention",
        type=INSTANCE,
        property="backupRetentionPeriod",
        setting="database.backup_days",
        refuses=lambda value, _: not 0 <= value <= 35,
        error="InvalidParameterValue: Invalid backup retention period: {value}; it is a value from 0 to 35",
        source=_RDS,
        example={"backupRetentionPeriod": 36},
    ),
    Rule(
        name="instance-name",
        type=INSTANCE,
        property="identifier",
        setting="database.identifier",
        refuses=_matches_not(r"(?!.*--)[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"),
        error="InvalidParameterValue: The parameter DBInstanceIdentifier is not a valid identifier. "
        "Identifiers must begin with a letter; must contain only ASCII letters, digits, and hyphens; and "
        "must not end with a hyphen or contain two consecutive hyphens.",
        source=_RDS,
        example={"identifier": "airflow-my_stack"},
    ),
    Rule(
        name="final-snapshot-name",
        type=INSTANCE,
        property="finalSnapshotIdentifier",
        setting="the name of the stack",
        refuses=_matches_not(r"(?!.*--)[a-zA-Z]([a-zA-Z0-9-]{0,253}[a-zA-Z0-9])?"),
        error="InvalidParameterValue: The parameter FinalDBSnapshotIdentifier is not a valid identifier. "
        "Identifiers must begin with a letter; must contain only ASCII letters, digits, and hyphens; and "
        "must not end with a hyphen or contain two consecutive hyphens.",
        source=f"{_DOCS}/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html",
        example={"finalSnapshotIdentifier": "my_stack-database-final-01234567"},
    ),
    Rule(
        name="password",
        type=INSTANCE,
        property="password",
        setting="database_password",
        refuses=_matches_not(r"[!#-.0-?A-~]{8,128}"),
        error="InvalidParameterValue: The parameter MasterUserPassword is not a valid password. Only 8 to "
        "128 printable ASCII characters besides '/', '@', '\"', ' ' may be used.",
        source=_RDS,
        example={"password": "with/slash/and@at"},
    ),
    Rule(
        name="log-retention",
        type=LIFECYCLE,
        property="rules",
        setting="logs.retention_days",
        refuses=_expires_too_early,
        error="InvalidArgument: 'Days' for Expiration action must be a positive integer",
        source=f"{_DOCS}/AmazonS3/latest/API/API_LifecycleExpiration.html",
        example={"rules": [{"status": "Enabled", "expiration": {"days": 0}}]},
    ),
    Rule(
        name="log-group-retention",
        type=LOG_GROUP,
        property="retentionInDays",
        setting="logs.retention_days",
        # 0: the provider sets no retention.
        refuses=lambda value, _: value not in (0, *CLOUDWATCH_DAYS),
        error="InvalidParameterException: Value '{value}' at 'retentionInDays' failed to satisfy "
        "constraint",
        source=f"{_DOCS}/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html",
        example={"retentionInDays": 10},
    ),
    Rule(
        name="cache-prefix",
        type=CACHE_RULE,
        property="ecrRepositoryPrefix",
        setting="the name of the stack",
        refuses=_matches_not(
            r"(?=.{2,30}$)([a-z0-9]+([._-][a-z0-9]+)*/)*[a-z0-9]+([._-][a-z0-9]+)*"
        ),
        error="InvalidParameterException: Invalid parameter at 'ecrRepositoryPrefix' failed to satisfy "
        "constraint: 2 to 30 characters of a repository name",
        source=f"{_ECR}/APIReference/API_CreatePullThroughCacheRule.html",
        example={"ecrRepositoryPrefix": "airflow-my_-stack"},
    ),
    Rule(
        name="cache-secret",
        type=CACHE_RULE,
        property="credentialArn",
        setting="images.docker_hub_secret_arn",
        refuses=_matches_not(
            r"arn:aws:secretsmanager:[a-zA-Z0-9-:]+:secret:ecr-pullthroughcache/[a-zA-Z0-9/_+=.@-]+"
        ),
        error="InvalidParameterException: Invalid parameter at 'credentialArn' failed to satisfy "
        "constraint: the name of the secret begins with ecr-pullthroughcache/",
        source=f"{_ECR}/APIReference/API_CreatePullThroughCacheRule.html",
        example={
            "credentialArn": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:docker-hub"
        },
    ),
    Rule(
        name="cache-login",
        type=CACHE_RULE,
        property="upstreamRegistryUrl",
        setting="images.docker_hub_secret_arn",
        refuses=lambda url, inputs: (
            url == "registry-1.docker.io" and inputs.get("credentialArn") is None
        ),
        error="InvalidParameterException: the upstream registry {value} requires credentialArn",
        source=f"{_ECR}/userguide/pull-through-cache-creating-rule.html",
        example={"upstreamRegistryUrl": "registry-1.docker.io"},
    ),
    Rule(
        name="tag-key-length",
        type=EVERY_TYPE,
        property="tags",
        setting="aws:defaultTags",
        refuses=lambda tags, _: not all(1 <= len(key) <= 128 for key in tags),
        error="InvalidParameterValue: Tag key exceeds the maximum length of 128 characters",
        source=_TAGS,
        example={"tags": {"k" * 129: "v"}},
    ),
    Rule(
        name="tag-key-prefix",
        type=EVERY_TYPE,
        property="tags",
        setting="aws:defaultTags",
        refuses=lambda tags, _: any(key.lower().startswith("aws:") for key in tags),
        error="InvalidParameterValue: Tag keys starting with 'aws:' are reserved for internal use",
        source=_TAGS,
        example={"tags": {"aws:owner": "v"}},
    ),
    Rule(
        name="tag-value-length",
        type=EVERY_TYPE,
        property="tags",
        setting="aws:defaultTags",
        refuses=lambda tags, _: any(len(value) > 256 for value in tags.values()),
        error="InvalidParameterValue: Tag value exceeds the maximum length of 256 characters",
        source=_TAGS,
        example={"tags": {"k": "v" * 257}},
    ),
    Rule(
        name="tag-count",
        type=EVERY_TYPE,
        property="tags",
        setting="aws:defaultTags",
        refuses=lambda tags, _: len(tags) > 50,
        error="TagLimitExceeded: at most 50 tags on a resource",
        source=_TAGS,
        example={"tags": {f"k{n}": "v" for n in range(51)}},
    ),
)


def refused(token: str, inputs: Inputs) -> list[Refusal]:
    """The rules that the inputs break. A value that is unknown in a preview breaks none."""
    return list(_refused(token, inputs))


def _refused(token: str, inputs: Inputs) -> Iterator[Refusal]:
    for rule in RULES:
        if rule.type not in (EVERY_TYPE, token):
            continue
        value: Any = inputs
        for key in rule.property.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None and not has_unknown(value) and rule.refuses(value, inputs):
            yield Refusal(rule.property, rule.error.format(value=value))


def page() -> str:
    """The text of REFUSALS.md."""
    lines = [
        "# What the simulated AWS refuses",
        "",
        "Rules in `simulator/refusals.py`: values of settings. The error follows AWS's message, or the",
        "documentation where no message is published.",
        "",
        "| Setting | Input | Example | Error | Source |",
        "| --- | --- | --- | --- | --- |",
    ]
    for rule in RULES:
        kind = rule.type.rpartition(":")[2] or "every type"
        example = str(rule.example).replace("|", "\\|")
        example = example if len(example) <= 70 else f"{example[:67]}..."
        lines.append(
            f"| {rule.setting} | {kind} `{rule.property}` | `{example}` "
            f"| {rule.error} | [{rule.name}]({rule.source}) |"
        )
    lines += [
        "",
        "Checks in `simulator/moto_patches/`: references to other resources, and dependents that block a",
        "deletion.",
        "",
        "| Operation of moto | AWS refuses it unless | Source |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {guard.backend.__name__} `{guard.operation}` "
        f"| {guard.check.__name__.replace('_', ' ')} | [reference]({guard.source}) |"
        for guard in moto_patches.GUARDS
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page())
