"""What AWS keeps of deleted clusters and databases. The state does not list it.

- EKS leaves its security group behind if it ends nodes together with the cluster:
  https://github.com/aws/aws-k8s-tester/pull/541
- Volumes and security groups of Auto Mode can outlive it:
  https://docs.aws.amazon.com/eks/latest/userguide/auto-disable.html
- EKS and RDS write their last log events after their deletion, which creates the log group again:
  https://github.com/aws/eks-hybrid/pull/359
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ops.recovery.aws import Aws
from ops.shell import OperationError

# Tags of the security group of EKS, and of everything that Auto Mode creates.
GROUP_TAG = "aws:eks:cluster-name"
CLUSTER_TAG = "eks:eks-cluster-name"
# https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md
NAMESPACE_TAG = "kubernetes.io/created-for/pvc/namespace"
NOT_OURS = "not of this stack: delete it if its data is not needed"
# A deleted load balancer keeps its network interfaces, and so its group, for some minutes.
RELEASE_SECONDS = 300
POLL_SECONDS = 10
IN_USE = ("DependencyViolation", "InUse")
# Limit of DescribeTags:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
ARNS_PER_CALL = 20


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names in AWS, and namespaces, that the stack has or had."""

    clusters: frozenset[str] = frozenset()
    instances: frozenset[str] = frozenset()
    log_groups: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()

    def __or__(self, other: "Names") -> "Names":
        return Names(
            clusters=self.clusters | other.clusters,
            instances=self.instances | other.instances,
            log_groups=self.log_groups | other.log_groups,
            namespaces=self.namespaces | other.namespaces,
        )


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """`delete` are the words of the AWS CLI command; empty for data of another program."""

    kind: str
    name: str
    delete: Sequence[str]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def cluster_log_groups(cluster: str) -> list[str]:
    """https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html"""
    return [f"/aws/eks/{cluster}/cluster"]


def instance_log_groups(instance: str) -> list[str]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Procedural.UploadtoCloudWatch.html"""
    return [f"/aws/rds/instance/{instance}/{kind}" for kind in ("postgresql", "upgrade")]


def find(aws: Aws, names: Names) -> list[Leftover]:
    """What is left of the clusters and instances that no longer exist, in the order of deletion."""
    clusters = sorted(c for c in names.clusters if not cluster_exists(aws, c))
    instances = sorted(i for i in names.instances if not _instance_exists(aws, i))
    log_groups = {
        *names.log_groups,
        *(group for cluster in clusters for group in cluster_log_groups(cluster)),
        *(group for instance in instances for group in instance_log_groups(instance)),
    }
    return [
        *(found for cluster in clusters for found in _of_cluster(aws, cluster, names)),
        *_log_groups(aws, log_groups),
    ]


def delete(aws: Aws, leftovers: Sequence[Leftover]) -> dict[Leftover, str]:
    """Delete the leftovers. Returns those that AWS refuses to delete, with its reason."""
    for group in (each for each in leftovers if each.kind == "security group"):
        _revoke_references(aws, group.name)
    refused: dict[Leftover, str] = {}
    deadline = time.monotonic() + RELEASE_SECONDS
    for leftover in leftovers:
        reason = _delete(aws, leftover, deadline)
        if reason is None:
            print(f"deleted the {leftover}, which AWS had kept")
        else:
            refused[leftover] = reason
    return refused


def in_vpc(aws: Aws, vpc: str) -> list[str]:
    """What keeps a VPC from being deleted: network interfaces and security groups."""
    mine = ["--filters", f"Name=vpc-id,Values={vpc}"]
    interfaces = aws.call("ec2", "describe-network-interfaces", *mine)["NetworkInterfaces"]
    groups = aws.call("ec2", "describe-security-groups", *mine)["SecurityGroups"]
    return [
        *(
            f"network interface {one['NetworkInterfaceId']} ({one.get('Description') or 'no description'})"
            for one in interfaces
        ),
        *(
            f"security group {one['GroupId']} ({one['GroupName']})"
            for one in groups
            if one["GroupName"] != "default"
        ),
    ]


def cluster_exists(aws: Aws, name: str) -> bool:
    return aws.exists("eks", "describe-cluster", "--name", name)


def _instance_exists(aws: Aws, name: str) -> bool:
    return aws.exists("rds", "describe-db-instances", "--db-instance-identifier", name)


def _of_cluster(aws: Aws, cluster: str, names: Names) -> Iterator[Leftover]:
    yield from _load_balancers(aws, cluster)
    tagged = [f"Name=tag:{CLUSTER_TAG},Values={cluster}"]
    for interface in aws.call("ec2", "describe-network-interfaces", "--filters", *tagged)[
        "NetworkInterfaces"
    ]:
        id_ = interface["NetworkInterfaceId"]
        words = ("ec2", "delete-network-interface", "--network-interface-id", id_)
        yield Leftover(kind="network interface", name=id_, delete=words)
    for volume in aws.call("ec2", "describe-volumes", "--filters", *tagged)["Volumes"]:
        id_ = volume["VolumeId"]
        tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}
        namespace = tags.get(NAMESPACE_TAG)
        if namespace is not None and namespace not in names.namespaces:
            title = f"{id_} of namespace {namespace!r}"
            yield Leftover(kind="EBS volume", name=title, delete=())
            continue
        words = ("ec2", "delete-volume", "--volume-id", id_)
        yield Leftover(kind="EBS volume", name=id_, delete=words)
    ids: set[str] = set()
    for tag in (GROUP_TAG, CLUSTER_TAG):
        filters = ["--filters", f"Name=tag:{tag},Values={cluster}"]
        found = aws.call("ec2", "describe-security-groups", *filters)["SecurityGroups"]
        ids |= {group["GroupId"] for group in found}
    for id_ in sorted(ids):
        words = ("ec2", "delete-security-group", "--group-id", id_)
        yield Leftover(kind="security group", name=id_, delete=words)


def _load_balancers(aws: Aws, cluster: str) -> Iterator[Leftover]:
    """Load balancers, then their target groups."""
    for kind, plural, key, command, option in (
        ("load balancer", "LoadBalancers", "LoadBalancerArn", "load-balancer", "load-balancer-arn"),
        ("target group", "TargetGroups", "TargetGroupArn", "target-group", "target-group-arn"),
    ):
        found = aws.call("elbv2", f"describe-{command}s")[plural]
        arns = [one[key] for one in found]
        for start in range(0, len(arns), ARNS_PER_CALL):
            some = arns[start : start + ARNS_PER_CALL]
            answer = aws.call("elbv2", "describe-tags", "--resource-arns", *some)
            for row in answer["TagDescriptions"]:
                if {"Key": CLUSTER_TAG, "Value": cluster} in row["Tags"]:
                    words = ("elbv2", f"delete-{command}", f"--{option}", row["ResourceArn"])
                    yield Leftover(kind=kind, name=row["ResourceArn"], delete=words)


def _log_groups(aws: Aws, wanted: set[str]) -> Iterator[Leftover]:
    for name in sorted(wanted):
        prefix = ["--log-group-name-prefix", name]
        found = aws.call("logs", "describe-log-groups", *prefix)["logGroups"]
        if name in {group["logGroupName"] for group in found}:
            words = ("logs", "delete-log-group", "--log-group-name", name)
            yield Leftover(kind="log group", name=name, delete=words)


def _revoke_references(aws: Aws, group: str) -> None:
    """Two groups whose rules name each other cannot be deleted one after the other."""
    filters = ["--filters", f"Name=group-id,Values={group}"]
    rules = aws.call("ec2", "describe-security-group-rules", *filters)["SecurityGroupRules"]
    ids = [
        rule["SecurityGroupRuleId"]
        for rule in rules
        if rule.get("ReferencedGroupInfo") and not rule["IsEgress"]
    ]
    if ids:
        words = ["--group-id", group, "--security-group-rule-ids", *ids]
        aws.call("ec2", "revoke-security-group-ingress", *words)


def _delete(aws: Aws, leftover: Leftover, deadline: float) -> str | None:
    """None after the deletion, otherwise the reason of AWS."""
    if not leftover.delete:
        return NOT_OURS
    waiting = False
    while True:
        try:
            aws.call_or_none(*leftover.delete)
        except OperationError as error:
            reason = str(error).splitlines()[-1].strip()
            if not any(word in reason for word in IN_USE) or time.monotonic() > deadline:
                return reason
            if not waiting:
                print(f"waiting until AWS releases the {leftover}: {reason}")
            waiting = True
            time.sleep(POLL_SECONDS)
        else:
            return None
