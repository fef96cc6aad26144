"""What a killed command left in an AWS account: the IDs of resources that Pulumi did not live to hear of.

A resource with a name has its ID from that. Those of EC2 and KMS are found by their tags: the `Name` that
each component gives, and the tags of the stack.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ops.shell import OperationError, output

ANSWER_SECONDS = 60
# An RDS instance takes up to half an hour, an EKS cluster a quarter.
WAIT_SECONDS = 3600

Inputs = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Aws:
    """The account that the AWS CLI reaches. `tags` are those that every resource of the stack has."""

    region: str
    tags: Mapping[str, str]
    env: Mapping[str, str] | None = None

    def check_reachable(self) -> None:
        """Raise `OperationError` unless AWS answers with the credentials that Pulumi will use."""
        try:
            self.ask("sts", "get-caller-identity")
        except OperationError as problem:
            last = str(problem).splitlines()[-1]
            raise OperationError(
                f"AWS does not answer with the credentials of this shell; nothing was changed. {last}\n"
                "Log in (`aws sso login`), or set AWS_PROFILE"
            ) from None

    def identify(self, resource: Mapping[str, Any]) -> str | None:
        """The ID of a resource that was being created, if it is there; it is ready then."""
        finder = FINDERS.get(resource["type"])
        return finder(self, resource.get("inputs", {})) if finder else None

    def ask(self, *words: str, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        command = ["aws", *words, "--region", self.region, "--output", "json"]
        return json.loads(output(command, seconds=seconds, env=self.env) or "{}")

    def look(self, *words: str) -> dict[str, Any] | None:
        """None where AWS says that there is no such thing. Another refusal is a `OperationError`."""
        try:
            return self.ask(*words)
        except OperationError as problem:
            if any(word in str(problem) for word in ("NotFound", "NoSuch")):
                return None
            raise

    def is_there(self, *words: str) -> bool:
        return self.look(*words) is not None

    def wait(self, service: str, until: str, *words: str) -> None:
        """Wait until AWS has finished creating something."""
        self.ask(service, "wait", until, *words, seconds=WAIT_SECONDS)

    def tagged(self, inputs: Inputs) -> dict[str, str]:
        """Tags that tell a resource from every other one; none without a name."""
        own = inputs.get("tags") or {}
        return {**self.tags, **own} if "Name" in own else {}


Finder = Callable[[Aws, Inputs], str | None]


def _ec2(kind: str) -> Finder:
    """By the resource type in https://docs.aws.amazon.com/cli/latest/reference/ec2/describe-tags.html"""

    def find(aws: Aws, inputs: Inputs) -> str | None:
        wanted = aws.tagged(inputs)
        if not wanted:
            return None
        filters = [f"Name=resource-type,Values={kind}", f"Name=value,Values={wanted['Name']}"]
        rows = aws.ask("ec2", "describe-tags", "--filters", *filters)["Tags"]
        for id_ in sorted({row["ResourceId"] for row in rows if row["Key"] == "Name"}):
            found = aws.ask("ec2", "describe-tags", "--filters", f"Name=resource-id,Values={id_}")
            tags = {row["Key"]: row["Value"] for row in found["Tags"]}
            if wanted.items() <= tags.items() and _lives(aws, kind, id_):
                return id_
        return None

    return find


def _lives(aws: Aws, kind: str, id_: str) -> bool:
    """Tags outlive what they are on: those of a NAT gateway by an hour."""
    answer = aws.look("ec2", *EC2[kind], id_)
    rows = next(iter(answer.values())) if answer else []
    return bool(rows) and str(rows[0].get("State")).lower() not in ("deleting", "deleted", "failed")


def _nat_gateway(aws: Aws, inputs: Inputs) -> str | None:
    id_ = _ec2("natgateway")(aws, inputs)
    if id_ is not None:
        aws.wait("ec2", "nat-gateway-available", "--nat-gateway-ids", id_)
    return id_


def _route(aws: Aws, inputs: Inputs) -> str | None:
    table = inputs["routeTableId"]
    answer = aws.ask("ec2", "describe-route-tables", "--route-table-ids", table)
    destination = inputs["destinationCidrBlock"]
    (found,) = answer["RouteTables"]
    there = any(r.get("DestinationCidrBlock") == destination for r in found["Routes"])
    return f"r-{table}-{destination}" if there else None


def _route_table_association(aws: Aws, inputs: Inputs) -> str | None:
    subnet = inputs["subnetId"]
    answer = aws.ask(
        "ec2", "describe-route-tables", "--filters", f"Name=association.subnet-id,Values={subnet}"
    )
    found = [a for table in answer["RouteTables"] for a in table["Associations"]]
    return next((a["RouteTableAssociationId"] for a in found if a.get("SubnetId") == subnet), None)


def _kms_key(aws: Aws, inputs: Inputs) -> str | None:
    wanted = aws.tagged(inputs)
    if not wanted:
        return None
    filters = [f"Key={key},Values={value}" for key, value in wanted.items()]
    words = ["get-resources", "--resource-type-filters", "kms:key", "--tag-filters", *filters]
    found = aws.ask("resourcegroupstaggingapi", *words)["ResourceTagMappingList"]
    for arn in (row["ResourceARN"] for row in found):
        key = aws.ask("kms", "describe-key", "--key-id", arn)["KeyMetadata"]
        # A deleted key is there, with its tags, for up to 30 days more.
        if key["KeyState"] != "PendingDeletion":
            return key["KeyId"]
    return None


def _cluster(aws: Aws, inputs: Inputs) -> str | None:
    name = inputs["name"]
    if not aws.is_there("eks", "describe-cluster", "--name", name):
        return None
    aws.wait("eks", "cluster-active", "--name", name)
    return name


def _addon(aws: Aws, inputs: Inputs) -> str | None:
    cluster, addon = inputs["clusterName"], inputs["addonName"]
    words = ["--cluster-name", cluster, "--addon-name", addon]
    if not aws.is_there("eks", "describe-addon", *words):
        return None
    aws.wait("eks", "addon-active", *words)
    return f"{cluster}:{addon}"


def _access_entry(aws: Aws, inputs: Inputs) -> str | None:
    cluster, principal = inputs["clusterName"], inputs["principalArn"]
    words = ["--cluster-name", cluster, "--principal-arn", principal]
    there = aws.is_there("eks", "describe-access-entry", *words)
    return f"{cluster}:{principal}" if there else None


def _pod_identity(aws: Aws, inputs: Inputs) -> str | None:
    words = ["--cluster-name", inputs["clusterName"], "--namespace", inputs["namespace"]]
    found = aws.ask(
        "eks",
        "list-pod-identity-associations",
        *words,
        "--service-account",
        inputs["serviceAccount"],
    )["associations"]
    return found[0]["associationId"] if found else None


def _instance(aws: Aws, inputs: Inputs) -> str | None:
    words = ["--db-instance-identifier", inputs["identifier"]]
    if not aws.is_there("rds", "describe-db-instances", *words):
        return None
    aws.wait("rds", "db-instance-available", *words)
    (instance,) = aws.ask("rds", "describe-db-instances", *words)["DBInstances"]
    return instance["DbiResourceId"]


def _named(key: str, *question: str) -> Finder:
    """The ID is the input `key`; AWS is asked about it in the words of the question."""

    def find(aws: Aws, inputs: Inputs) -> str | None:
        return inputs[key] if aws.is_there(*question, inputs[key]) else None

    return find


# By resource type: how to ask for one by its ID.
EC2 = {
    "vpc": ("describe-vpcs", "--vpc-ids"),
    "subnet": ("describe-subnets", "--subnet-ids"),
    "internet-gateway": ("describe-internet-gateways", "--internet-gateway-ids"),
    "route-table": ("describe-route-tables", "--route-table-ids"),
    "elastic-ip": ("describe-addresses", "--allocation-ids"),
    "natgateway": ("describe-nat-gateways", "--nat-gateway-ids"),
    "vpc-endpoint": ("describe-vpc-endpoints", "--vpc-endpoint-ids"),
    "security-group": ("describe-security-groups", "--group-ids"),
    "security-group-rule": ("describe-security-group-rules", "--security-group-rule-ids"),
}

# By type. Types that are not here can be created once more: AWS answers with what is there already.
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
    "aws:ec2/securityGroup:SecurityGroup": _ec2("security-group"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _ec2("security-group-rule"),
    "aws:kms/key:Key": _kms_key,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/addon:Addon": _addon,
    "aws:eks/accessEntry:AccessEntry": _access_entry,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _pod_identity,
    "aws:iam/role:Role": _named("name", "iam", "get-role", "--role-name"),
    "aws:rds/subnetGroup:SubnetGroup": _named(
        "name", "rds", "describe-db-subnet-groups", "--db-subnet-group-name"
    ),
    "aws:rds/parameterGroup:ParameterGroup": _named(
        "name", "rds", "describe-db-parameter-groups", "--db-parameter-group-name"
    ),
    "aws:rds/instance:Instance": _instance,
    "aws:s3/bucket:Bucket": _named("bucket", "s3api", "get-bucket-location", "--bucket"),
}
