"""The AWS resources of a plan as a CloudFormation template, for scanners that read no Pulumi.

Properties have the names of Pulumi with a capital, unless a `Type` renames them; cfn-lint checks
every name and value against AWS's resource schemas.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.plan.fake_cloud import ACCOUNT, REGION
from ops.plan.mock_engine import Secret, StackSnapshot

Properties = dict[str, Any]
DROP = ""
# CloudFormation's reference to a secret; the scanners must not see a literal password.
SECRET = "{{resolve:secretsmanager:generated}}"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/made-by-pulumi-eks"
SOME_SUBNETS = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
GROUP = "aws:ec2/securityGroup:SecurityGroup"
LOAD_BALANCER = "kubernetes:eks.amazonaws.com/v1:IngressClassParams"


class Untranslated(Exception):
    """The plan has a resource type without a translation."""


@dataclass(frozen=True)
class Type:
    """A CloudFormation type. `rename` maps names of Pulumi; `change` completes the properties."""

    name: str
    rename: Mapping[str, str] = field(default_factory=dict[str, str])
    change: Callable[[Properties, str], Properties] = lambda properties, name: properties


def _policy(properties: Properties, name: str) -> Properties:
    """Policies are documents, not text."""
    documents = {"AssumeRolePolicyDocument", "PolicyDocument", "KeyPolicy"}
    return {
        key: json.loads(value) if key in documents and isinstance(value, str) else value
        for key, value in properties.items()
    }


def _role_policy(properties: Properties, name: str) -> Properties:
    return {"PolicyName": name, **_policy(properties, name)}


def _parameters(properties: Properties, name: str) -> Properties:
    listed = properties.get("Parameters") or []
    return {**properties, "Parameters": {each["Name"]: each["Value"] for each in listed}}


def _instance(properties: Properties, name: str) -> Properties:
    """CloudFormation wants the storage as text."""
    storage = properties.get("AllocatedStorage")
    return {**properties, "AllocatedStorage": str(int(storage or 0))}


def _cluster(properties: Properties, name: str) -> Properties:
    """The cluster that pulumi-eks declares from these inputs."""
    network = ("EndpointPublicAccess", "EndpointPrivateAccess", "PublicAccessCidrs")
    subnets = [*properties.get("PublicSubnetIds", []), *properties.get("PrivateSubnetIds", [])]
    config = {key: properties[key] for key in network if key in properties}
    kinds = [{"Type": kind} for kind in properties.get("EnabledClusterLogTypes", [])]
    on = {"Enabled": True}
    created = {
        "Name": properties.get("Name"),
        "Version": properties["Version"],
        "RoleArn": ROLE_ARN,
        "ResourcesVpcConfig": {**config, "SubnetIds": subnets},
        "Logging": {"ClusterLogging": {"EnabledTypes": kinds}},
        "AccessConfig": {"AuthenticationMode": properties["AuthenticationMode"]},
        "DeletionProtection": properties.get("DeletionProtection", False),
        "ComputeConfig": on,
        "KubernetesNetworkConfig": {"ElasticLoadBalancing": on},
        "StorageConfig": {"BlockStorage": on},
        "BootstrapSelfManagedAddons": False,
    }
    if "EncryptionConfigKeyArn" in properties:
        key = {"KeyArn": properties["EncryptionConfigKeyArn"]}
        created["EncryptionConfig"] = [{"Resources": ["secrets"], "Provider": key}]
    return {key: value for key, value in created.items() if value is not None}


def _load_balancer(properties: Properties, name: str) -> Properties:
    """The load balancer that EKS Auto Mode makes."""
    spec = properties["Spec"]
    return {
        "Type": "application",
        "Scheme": spec["Scheme"],
        "Subnets": SOME_SUBNETS,
        "LoadBalancerAttributes": spec.get("LoadBalancerAttributes", []),
    }


_GROUP = {"description": "GroupDescription", "name": "GroupName"}
_RULE = {
    "securityGroupId": "GroupId",
    "referencedSecurityGroupId": "SourceSecurityGroupId",
    "cidrIpv4": "CidrIp",
    "cidrIpv6": "CidrIpv6",
    "tags": DROP,
}
_ROLE = {
    "assumeRolePolicy": "AssumeRolePolicyDocument",
    "name": "RoleName",
    "forceDetachPolicies": DROP,
}
_INSTANCE = {
    "applyImmediately": DROP,
    "dbName": "DBName",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    "finalSnapshotIdentifier": DROP,
    "identifier": "DBInstanceIdentifier",
    "instanceClass": "DBInstanceClass",
    "multiAz": "MultiAZ",
    "parameterGroupName": "DBParameterGroupName",
    "password": "MasterUserPassword",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
    "skipFinalSnapshot": DROP,
    "username": "MasterUsername",
    "vpcSecurityGroupIds": "VPCSecurityGroups",
}
_SUBNET_GROUP = {
    "description": "DBSubnetGroupDescription",
    "name": "DBSubnetGroupName",
}
_PARAMETER_GROUP = {"name": "DBParameterGroupName"}
_FLOW_LOG = {
    "iamRoleArn": "DeliverLogsPermissionArn",
    "vpcId": "ResourceId",
    "logGroupName": "LogGroupName",
}
_REPOSITORY = {
    "forceDelete": "EmptyOnDelete",
    "name": "RepositoryName",
}

TYPES = {
    "aws:cloudwatch/logGroup:LogGroup": Type(
        "AWS::Logs::LogGroup", {"name": "LogGroupName", "skipDestroy": DROP}
    ),
    "aws:ec2/eip:Eip": Type("AWS::EC2::EIP"),
    "aws:ec2/flowLog:FlowLog": Type(
        "AWS::EC2::FlowLog", _FLOW_LOG, lambda properties, _: {"ResourceType": "VPC", **properties}
    ),
    "aws:ec2/internetGateway:InternetGateway": Type("AWS::EC2::InternetGateway", {"vpcId": DROP}),
    "aws:ec2/natGateway:NatGateway": Type("AWS::EC2::NatGateway"),
    "aws:ec2/route:Route": Type("AWS::EC2::Route"),
    "aws:ec2/routeTable:RouteTable": Type("AWS::EC2::RouteTable"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Type(
        "AWS::EC2::SubnetRouteTableAssociation"
    ),
    GROUP: Type("AWS::EC2::SecurityGroup", _GROUP),
    "aws:ec2/subnet:Subnet": Type("AWS::EC2::Subnet"),
    "aws:ec2/vpc:Vpc": Type("AWS::EC2::VPC"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Type("AWS::EC2::VPCEndpoint"),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": Type("AWS::ECR::PullThroughCacheRule"),
    "aws:ecr/repository:Repository": Type("AWS::ECR::Repository", _REPOSITORY),
    "aws:eks/accessEntry:AccessEntry": Type("AWS::EKS::AccessEntry"),
    "aws:eks/addon:Addon": Type("AWS::EKS::Addon"),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Type(
        "AWS::EKS::PodIdentityAssociation"
    ),
    "aws:iam/role:Role": Type("AWS::IAM::Role", _ROLE, _policy),
    "aws:iam/rolePolicy:RolePolicy": Type(
        "AWS::IAM::RolePolicy",
        {"policy": "PolicyDocument", "role": "RoleName", "name": DROP},
        _role_policy,
    ),
    "aws:kms/key:Key": Type("AWS::KMS::Key", {"policy": "KeyPolicy"}, _policy),
    "aws:rds/instance:Instance": Type("AWS::RDS::DBInstance", _INSTANCE, _instance),
    "aws:rds/parameterGroup:ParameterGroup": Type(
        "AWS::RDS::DBParameterGroup", _PARAMETER_GROUP, _parameters
    ),
    "aws:rds/subnetGroup:SubnetGroup": Type("AWS::RDS::DBSubnetGroup", _SUBNET_GROUP),
    "aws:s3/bucket:Bucket": Type("AWS::S3::Bucket", {"forceDestroy": DROP, "bucket": "BucketName"}),
    "aws:s3/bucketPolicy:BucketPolicy": Type(
        "AWS::S3::BucketPolicy", {"policy": "PolicyDocument"}, _policy
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Type(
        "AWS::EC2::SecurityGroupIngress", _RULE
    ),
    "eks:index:Cluster": Type("AWS::EKS::Cluster", {}, _cluster),
    LOAD_BALANCER: Type("AWS::ElasticLoadBalancingV2::LoadBalancer", {}, _load_balancer),
}


def _encryption(properties: Properties) -> Properties:
    rules = [
        {
            "ServerSideEncryptionByDefault": {
                "SSEAlgorithm": rule["ApplyServerSideEncryptionByDefault"]["SseAlgorithm"]
            }
        }
        for rule in properties["Rules"]
    ]
    return {"BucketEncryption": {"ServerSideEncryptionConfiguration": rules}}


def _lifecycle(properties: Properties) -> Properties:
    rules = [
        {
            "Id": rule["Id"],
            "Status": rule["Status"],
            "Prefix": rule["Filter"]["Prefix"],
            "ExpirationInDays": int(rule["Expiration"]["Days"]),
            "AbortIncompleteMultipartUpload": {
                "DaysAfterInitiation": int(
                    rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
                )
            },
        }
        for rule in properties["Rules"]
    ]
    return {"LifecycleConfiguration": {"Rules": rules}}


def _public_access(properties: Properties) -> Properties:
    block = {key: value for key, value in properties.items() if key != "Bucket"}
    return {"PublicAccessBlockConfiguration": block}


# Resources of Pulumi that are properties of a bucket in CloudFormation.
OF_A_BUCKET: dict[str, Callable[[Properties], Properties]] = {
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _lifecycle,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _public_access,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _encryption,
}
# CloudFormation has no such resource.
LEFT_OUT = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    "aws:eks/cluster:Cluster",  # made by the component eks:index:Cluster
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
}


def template(snapshot: StackSnapshot) -> dict[str, Any]:
    declared = [r for r in snapshot.resources.values() if _is_translated(r.type)]
    references: References = {
        (kind, text): reference
        for r in declared
        for kind, text, reference in _outputs(r.name, r.type)
    }
    resources: dict[str, dict[str, Any]] = {}
    for resource in declared:
        if resource.type in TYPES:
            kind = TYPES[resource.type]
            given = {k: v for k, v in resource.inputs.items() if kind.rename.get(k) != DROP}
            named = {kind.rename.get(key, key): value for key, value in given.items()}
            properties = kind.change(_properties(named, references), resource.name)
            logical = _logical_id(resource.name, resource.type)
            resources[logical] = {"Type": kind.name, "Properties": properties}
    for resource in declared:
        if resource.type in OF_A_BUCKET:
            properties = _properties(resource.inputs, references)
            bucket = properties["Bucket"]["Ref"]
            resources[bucket]["Properties"] |= OF_A_BUCKET[resource.type](properties)
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


# The Pulumi types to which properties refer.
REFERS = {
    "AllocationId": "aws:ec2/eip:Eip",
    "Bucket": "aws:s3/bucket:Bucket",
    "ClusterName": "eks:index:Cluster",
    "DBParameterGroupName": "aws:rds/parameterGroup:ParameterGroup",
    "DBSubnetGroupName": "aws:rds/subnetGroup:SubnetGroup",
    "EncryptionConfigKeyArn": "aws:kms/key:Key",
    "GatewayId": "aws:ec2/internetGateway:InternetGateway",
    "GroupId": GROUP,
    "NatGatewayId": "aws:ec2/natGateway:NatGateway",
    "PrivateSubnetIds": "aws:ec2/subnet:Subnet",
    "PublicSubnetIds": "aws:ec2/subnet:Subnet",
    "ResourceId": "aws:ec2/vpc:Vpc",
    "RoleArn": "aws:iam/role:Role",
    "RoleName": "aws:iam/role:Role",
    "RouteTableId": "aws:ec2/routeTable:RouteTable",
    "RouteTableIds": "aws:ec2/routeTable:RouteTable",
    "SourceSecurityGroupId": GROUP,
    "SubnetId": "aws:ec2/subnet:Subnet",
    "SubnetIds": "aws:ec2/subnet:Subnet",
    "VPCSecurityGroups": GROUP,
    "VpcId": "aws:ec2/vpc:Vpc",
}
# By Pulumi type and text in the plan.
References = Mapping[tuple[str, str], dict[str, Any]]


def _is_translated(type: str) -> bool:
    if type in TYPES or type in OF_A_BUCKET:
        return True
    if type.startswith("aws:") and type not in LEFT_OUT:
        raise Untranslated(f"{type}: add it to TYPES or LEFT_OUT in tests/scan/cloudformation.py")
    return False


def _logical_id(name: str, type: str) -> str:
    """Letters and digits, such as `NetworkVpcVpc`."""
    words = re.split(r"[^A-Za-z0-9]+", f"{name}-{type.rpartition(':')[2]}")
    return "".join(word[:1].upper() + word[1:] for word in words)


def _outputs(name: str, type: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Outputs of a resource in the offline plan (ops/plan/fake_cloud.py), as references."""
    logical = _logical_id(name, type)
    ref, arn = {"Ref": logical}, {"Fn::GetAtt": [logical, "Arn"]}
    match type:
        case "aws:iam/role:Role":
            return [(type, name, ref), (type, f"arn:aws:iam::{ACCOUNT}:role/{name}", arn)]
        case "aws:kms/key:Key":
            return [(type, f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}", arn)]
        case "eks:index:Cluster":
            group = {"Fn::GetAtt": [logical, "ClusterSecurityGroupId"]}
            return [(type, name, ref), (GROUP, f"{name}-cluster-security-group", group)]
        case "aws:ec2/eip:Eip":
            return [(type, f"{name}-id", {"Fn::GetAtt": [logical, "AllocationId"]})]
        case _:
            return [(type, name, ref), (type, f"{name}-id", ref)]


def _properties(value: Any, references: References, key: str = "") -> Any:
    if isinstance(value, Secret):
        return SECRET
    if isinstance(value, str):
        return references.get((REFERS.get(key, ""), value), value)
    if isinstance(value, list):
        return [_properties(inner, references, key) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, dict):
        return value
    if key == "Tags":
        return [{"Key": name, "Value": text} for name, text in value.items()]
    named = {name[:1].upper() + name[1:]: inner for name, inner in value.items()}
    return {name: _properties(inner, references, name) for name, inner in named.items()}
