"""Finds resources that an interrupted `pulumi up` created in AWS but did not record in the state.

The ID of a named resource follows from its name. EC2 and KMS resources are found by their tags:
their `Name`, which every component sets, and the tags of the stack.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ops.shell import OperationError, output

ANSWER_SECONDS = 60
# AWS takes 15 minutes to create an EKS cluster, and hours for a snapshot or restore of terabytes.
WAIT_SECONDS = 4 * 3600
# `aws <service> wait` gives up after 10 to 30 minutes.
GAVE_UP = "Max attempts exceeded"
POLL_SECONDS = 5

Inputs = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Aws:
    """AWS account of the current credentials. Every resource of the stack has the `tags`."""

    region: str
    tags: Mapping[str, str]
    env: Mapping[str, str] | None = None

    def check_reachable(self) -> None:
        """Raise `OperationError` unless AWS accepts the credentials of this shell."""
        try:
            self.call("sts", "get-caller-identity")
        except OperationError as error:
            reason = str(error).splitlines()[-1]
            raise OperationError(
                f"cannot log in to AWS with the credentials of this shell; nothing was changed. {reason}\n"
                "Run `aws sso login`, or set AWS_PROFILE. If AWS fails in "
                f"{self.region}: docs/runbooks/lost-region.md"
            ) from None

    def identify(self, resource: Mapping[str, Any]) -> str | None:
        """ID of a resource that was being created, once it is ready; None if it does not exist."""
        finder = FINDERS.get(resource["type"])
        return finder(self, resource.get("inputs", {})) if finder else None

    def call(self, *words: str, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        command = ["aws", *words, "--region", self.region, "--output", "json"]
        return json.loads(output(command, seconds=seconds, env=self.env) or "{}")

    def call_or_none(self, *words: str) -> dict[str, Any] | None:
        """None if the resource does not exist. Raises `OperationError` for any other error."""
        try:
            return self.call(*words)
        except OperationError as error:
            if any(word in str(error) for word in ("NotFound", "NoSuch")):
                return None
            raise

    def exists(self, *words: str) -> bool:
        return self.call_or_none(*words) is not None

    def wait(self, service: str, condition: str, *words: str) -> None:
        """Wait for a condition of `aws <service> wait`, four hours at most."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                self.call(service, "wait", condition, *words, seconds=WAIT_SECONDS)
            except OperationError as error:
                if GAVE_UP not in str(error) or time.monotonic() > deadline:
                    raise
            else:
                return

    def update_cluster(self, name: str, *change: str, seconds: float) -> dict[str, Any]:
        """Update the configuration of an EKS cluster, and wait. Returns the update as EKS ends it."""
        where = ["--name", name]
        update = self.call("eks", "update-cluster-config", *where, *change)["update"]
        words = ["describe-update", *where, "--update-id", update["id"]]
        deadline = time.monotonic() + seconds
        while update["status"] == "InProgress" and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            update = self.call("eks", *words)["update"]
        return update

    def tag_arguments(self, more: Mapping[str, str] = MappingProxyType({})) -> list[str]:
        """The tags of the stack, and `more`, as `--tags` of `aws rds` takes them."""
        return [f"Key={key},Value={value}" for key, value in {**self.tags, **more}.items()]

    def tagged(self, inputs: Inputs) -> dict[str, str]:
        """Tags that identify a resource; empty without a `Name`."""
        own = inputs.get("tags") or {}
        return {**self.tags, **own} if "Name" in own else {}


Finder = Callable[[Aws, Inputs], str | None]


def _ec2(kind: str) -> Finder:
    """Find by tags: https://docs.aws.amazon.com/cli/latest/reference/ec2/describe-tags.html"""

    def find(aws: Aws, inputs: Inputs) -> str | None:
        wanted = aws.tagged(inputs)
        if not wanted:
            return None
        filters = [f"Name=resource-type,Values={kind}", f"Name=value,Values={wanted['Name']}"]
        rows = aws.call("ec2", "describe-tags", "--filters", *filters)["Tags"]
        for id_ in sorted({row["ResourceId"] for row in rows if row["Key"] == "Name"}):
            found = aws.call("ec2", "describe-tags", "--filters", f"Name=resource-id,Values={id_}")
            tags = {row["Key"]: row["Value"] for row in found["Tags"]}
            if wanted.items() <= tags.items() and _exists(aws, kind, id_):
                return id_
        return None

    return find


def _exists(aws: Aws, kind: str, id_: str) -> bool:
    """Tags outlive their resource: those of a NAT gateway by an hour."""
    answer = aws.call_or_none("ec2", *EC2[kind], id_)
    rows = next(iter(answer.values())) if answer else []
    return bool(rows) and str(rows[0].get("State")).lower() not in ("deleting", "deleted", "failed")


def _nat_gateway(aws: Aws, inputs: Inputs) -> str | None:
    id_ = _ec2("natgateway")(aws, inputs)
    if id_ is not None:
        aws.wait("ec2", "nat-gateway-available", "--nat-gateway-ids", id_)
    return id_


def _route(aws: Aws, inputs: Inputs) -> str | None:
    table = inputs["routeTableId"]
    answer = aws.call("ec2", "describe-route-tables", "--route-table-ids", table)
    destination = inputs["destinationCidrBlock"]
    (found,) = answer["RouteTables"]
    exists = any(r.get("DestinationCidrBlock") == destination for r in found["Routes"])
    return f"r-{table}-{destination}" if exists else None


def _route_table_association(aws: Aws, inputs: Inputs) -> str | None:
    subnet = inputs["subnetId"]
    answer = aws.call(
        "ec2", "describe-route-tables", "--filters", f"Name=association.subnet-id,Values={subnet}"
    )
    found = [a for table in answer["RouteTables"] for a in table["Associations"]]
    return next((a["RouteTableAssociationId"] for a in found if a.get("SubnetId") == subnet), None)


def _kms_key(aws: Aws, inputs: Inputs) -> str | None:
    wanted = aws.tagged(inputs)
    if not wanted:
        return None
    aws = replace(aws, region=inputs.get("region", aws.region))
    filters = [f"Key={key},Values={value}" for key, value in wanted.items()]
    words = ["get-resources", "--resource-type-filters", "kms:key", "--tag-filters", *filters]
    found = aws.call("resourcegroupstaggingapi", *words)["ResourceTagMappingList"]
    for arn in (row["ResourceARN"] for row in found):
        key = aws.call("kms", "describe-key", "--key-id", arn)["KeyMetadata"]
        # A deleted key keeps its tags for up to 30 days.
        if key["KeyState"] != "PendingDeletion":
            return key["KeyId"]
    return None


def _cluster(aws: Aws, inputs: Inputs) -> str | None:
    """By name, unless another stack has a cluster of this name."""
    name = inputs["name"]
    answer = aws.call_or_none("eks", "describe-cluster", "--name", name)
    if answer is None or not aws.tags.items() <= answer["cluster"].get("tags", {}).items():
        return None
    aws.wait("eks", "cluster-active", "--name", name)
    return name


def _addon(aws: Aws, inputs: Inputs) -> str | None:
    cluster, addon = inputs["clusterName"], inputs["addonName"]
    words = ["--cluster-name", cluster, "--addon-name", addon]
    if not aws.exists("eks", "describe-addon", *words):
        return None
    aws.wait("eks", "addon-active", *words)
    return f"{cluster}:{addon}"


def _access_entry(aws: Aws, inputs: Inputs) -> str | None:
    cluster, principal = inputs["clusterName"], inputs["principalArn"]
    words = ["--cluster-name", cluster, "--principal-arn", principal]
    exists = aws.exists("eks", "describe-access-entry", *words)
    return f"{cluster}:{principal}" if exists else None


def _log_group(aws: Aws, inputs: Inputs) -> str | None:
    """By name, unless its tags are those of another stack."""
    name = inputs["name"]
    words = ["logs", "describe-log-groups", "--log-group-name-prefix", name]
    arns = {
        row["logGroupName"]: row["arn"].removesuffix(":*") for row in aws.call(*words)["logGroups"]
    }
    if name not in arns:
        return None
    tags = aws.call("logs", "list-tags-for-resource", "--resource-arn", arns[name])["tags"]
    foreign = any(tags.get(key, value) != value for key, value in aws.tags.items())
    return None if foreign else name


def _pod_identity(aws: Aws, inputs: Inputs) -> str | None:
    words = ["--cluster-name", inputs["clusterName"], "--namespace", inputs["namespace"]]
    found = aws.call(
        "eks",
        "list-pod-identity-associations",
        *words,
        "--service-account",
        inputs["serviceAccount"],
    )["associations"]
    return found[0]["associationId"] if found else None


def _instance(aws: Aws, inputs: Inputs) -> str | None:
    """By name, unless another stack has an instance of this name."""
    words = ["--db-instance-identifier", inputs["identifier"]]
    answer = aws.call_or_none("rds", "describe-db-instances", *words)
    if answer is None:
        return None
    tags = {tag["Key"]: tag["Value"] for tag in answer["DBInstances"][0].get("TagList", [])}
    if not aws.tags.items() <= tags.items():
        return None
    aws.wait("rds", "db-instance-available", *words)
    (instance,) = aws.call("rds", "describe-db-instances", *words)["DBInstances"]
    return instance["DbiResourceId"]


def _replication(aws: Aws, inputs: Inputs) -> str | None:
    """By its source; a stopped replication leaves a retained backup behind."""
    there = replace(aws, region=inputs["region"])
    found = there.call("rds", "describe-db-instance-automated-backups")
    return next(
        (
            backup["DBInstanceAutomatedBackupsArn"]
            for backup in found["DBInstanceAutomatedBackups"]
            if backup["DBInstanceArn"] == inputs["sourceDbInstanceArn"]
            and backup["Status"].lower() != "retained"
        ),
        None,
    )


def _secret(aws: Aws, inputs: Inputs) -> str | None:
    answer = aws.call_or_none("secretsmanager", "describe-secret", "--secret-id", inputs["name"])
    return answer["ARN"] if answer else None


def _bucket(aws: Aws, inputs: Inputs) -> str | None:
    there = replace(aws, region=inputs.get("region", aws.region))
    exists = there.exists("s3api", "get-bucket-location", "--bucket", inputs["bucket"])
    return inputs["bucket"] if exists else None


def _named(key: str, *command: str) -> Finder:
    """Find by name: the ID is the input `key`, the last argument of the AWS CLI command.

    The command must fail for a missing resource; a command that returns an empty list does not.
    """

    def find(aws: Aws, inputs: Inputs) -> str | None:
        return inputs[key] if aws.exists(*command, inputs[key]) else None

    return find


# AWS CLI command that describes one resource by its ID, by resource type.
EC2 = {
    "vpc": ("describe-vpcs", "--vpc-ids"),
    "subnet": ("describe-subnets", "--subnet-ids"),
    "internet-gateway": ("describe-internet-gateways", "--internet-gateway-ids"),
    "route-table": ("describe-route-tables", "--route-table-ids"),
    "elastic-ip": ("describe-addresses", "--allocation-ids"),
    "natgateway": ("describe-nat-gateways", "--nat-gateway-ids"),
    "vpc-endpoint": ("describe-vpc-endpoints", "--vpc-endpoint-ids"),
    "vpc-flow-log": ("describe-flow-logs", "--flow-log-ids"),
    "security-group": ("describe-security-groups", "--group-ids"),
    "security-group-rule": ("describe-security-group-rules", "--security-group-rule-ids"),
}

# Finders by Pulumi type. Creating a resource of any other type is idempotent.
FINDERS: dict[str, Finder] = {
    "aws:ec2/vpc:Vpc": _ec2("vpc"),
    "aws:ec2/subnet:Subnet": _ec2("subnet"),
    "aws:ec2/internetGateway:InternetGateway": _ec2("internet-gateway"),
    "aws:ec2/routeTable:RouteTable": _ec2("route-table"),
    "aws:ec2/route:Route": _route,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _route_table_association,
    "aws:ec2/eip:Eip": _ec2("elastic-ip"),
    "aws:ec2/natGateway:NatGateway": _nat_gateway,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _ec2("vpc-endpoint"),
    "aws:ec2/flowLog:FlowLog": _ec2("vpc-flow-log"),
    "aws:ec2/securityGroup:SecurityGroup": _ec2("security-group"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _ec2("security-group-rule"),
    "aws:kms/key:Key": _kms_key,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:eks/addon:Addon": _addon,
    "aws:eks/accessEntry:AccessEntry": _access_entry,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _pod_identity,
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": _named(
        "ecrRepositoryPrefix",
        "ecr",
        "describe-pull-through-cache-rules",
        "--ecr-repository-prefixes",
    ),
    "aws:ecr/repository:Repository": _named(
        "name", "ecr", "describe-repositories", "--repository-names"
    ),
    "aws:iam/role:Role": _named("name", "iam", "get-role", "--role-name"),
    "aws:rds/subnetGroup:SubnetGroup": _named(
        "name", "rds", "describe-db-subnet-groups", "--db-subnet-group-name"
    ),
    "aws:rds/parameterGroup:ParameterGroup": _named(
        "name", "rds", "describe-db-parameter-groups", "--db-parameter-group-name"
    ),
    "aws:rds/instance:Instance": _instance,
    "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication": _replication,
    "aws:secretsmanager/secret:Secret": _secret,
    "aws:s3/bucket:Bucket": _bucket,
}
