"""python -m tests.engine.refusals: bad inputs, AWS's rule and its source, and what the simulator says."""

import copy
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.simulator import rules, schema
from tests.engine.simulator.rules.rule import RULES, Rule
from tests.engine.simulator.schema import Refusal

PAGE = Path(__file__).with_name("REFUSALS.md")
SDK = "https://www.pulumi.com/registry/packages/aws/"
ROLE_ARN = "arn:aws:iam::111122223333:role/one"
STATEMENT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
TRUST = {
    "Effect": "Allow",
    "Action": "sts:AssumeRole",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
}
GONE = object()


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def without(statement: dict[str, Any], *names: str, **more: Any) -> str:
    """A policy whose only statement lacks some elements, and has others."""
    return policy({**{k: v for k, v in statement.items() if k not in names}, **more})


# By type: inputs that AWS takes.
GOOD: dict[str, dict[str, Any]] = {
    "aws:ec2/vpc:Vpc": {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "network"}},
    "aws:ec2/subnet:Subnet": {
        "vpcId": "vpc-1",
        "cidrBlock": "10.0.0.0/24",
        "availabilityZone": "eu-west-1a",
    },
    "aws:ec2/route:Route": {
        "routeTableId": "rtb-1",
        "destinationCidrBlock": "0.0.0.0/0",
        "gatewayId": "igw-1",
    },
    "aws:ec2/natGateway:NatGateway": {"subnetId": "subnet-1", "allocationId": "eipalloc-1"},
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        "vpcId": "vpc-1",
        "serviceName": "com.amazonaws.eu-west-1.s3",
        "vpcEndpointType": "Gateway",
        "routeTableIds": ["rtb-1"],
    },
    "aws:ec2/securityGroup:SecurityGroup": {
        "name": "database",
        "description": "PostgreSQL of Airflow",
        "vpcId": "vpc-1",
    },
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
        "securityGroupId": "sg-1",
        "cidrIpv4": "10.0.0.0/16",
        "ipProtocol": "tcp",
        "fromPort": 5432,
        "toPort": 5432,
    },
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {
        "securityGroupId": "sg-1",
        "cidrIpv4": "0.0.0.0/0",
        "ipProtocol": "-1",
    },
    "aws:kms/key:Key": {"description": "Kubernetes Secrets", "deletionWindowInDays": 30},
    "aws:eks/cluster:Cluster": {
        "name": "one",
        "roleArn": ROLE_ARN,
        "version": "1.35",
        "vpcConfig": {
            "subnetIds": ["subnet-1", "subnet-2"],
            "endpointPublicAccess": True,
            "endpointPrivateAccess": True,
            "publicAccessCidrs": ["203.0.113.0/24"],
        },
        "accessConfig": {"authenticationMode": "API"},
        "computeConfig": {"enabled": True},
        "storageConfig": {"blockStorage": {"enabled": True}},
        "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": True}},
        "bootstrapSelfManagedAddons": False,
        "enabledClusterLogTypes": ["audit"],
        "encryptionConfig": {"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:1"}},
    },
    "aws:eks/addon:Addon": {"clusterName": "one", "addonName": "metrics-server"},
    "aws:eks/accessEntry:AccessEntry": {
        "clusterName": "one",
        "principalArn": ROLE_ARN,
        "type": "STANDARD",
    },
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": {
        "clusterName": "one",
        "principalArn": ROLE_ARN,
        "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
        "accessScope": {"type": "cluster"},
    },
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": {
        "clusterName": "one",
        "namespace": "airflow",
        "serviceAccount": "airflow-worker",
        "roleArn": ROLE_ARN,
    },
    "aws:iam/role:Role": {
        "name": "one",
        "assumeRolePolicy": policy(TRUST),
        "description": "one",
        "maxSessionDuration": 3600,
    },
    "aws:iam/rolePolicy:RolePolicy": {"role": "one", "name": "one", "policy": policy(STATEMENT)},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {
        "role": "one",
        "policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",
    },
    "aws:rds/subnetGroup:SubnetGroup": {"name": "one", "subnetIds": ["subnet-1", "subnet-2"]},
    "aws:rds/parameterGroup:ParameterGroup": {
        "name": "one",
        "family": "postgres16",
        "parameters": [
            {"name": "rds.force_ssl", "value": "1"},
            {"name": "max_connections", "value": "400", "applyMethod": "pending-reboot"},
        ],
    },
    "aws:rds/instance:Instance": {
        "identifier": "one",
        "engine": "postgres",
        "engineVersion": "16.8",
        "autoMinorVersionUpgrade": True,
        "instanceClass": "db.m7g.large",
        "storageType": "gp3",
        "allocatedStorage": 100,
        "maxAllocatedStorage": 500,
        "dbName": "airflow",
        "username": "airflow",
        "password": "correct-horse-battery",
        "backupRetentionPeriod": 14,
        "multiAz": True,
        "finalSnapshotIdentifier": "one-final",
        "performanceInsightsEnabled": True,
        "performanceInsightsRetentionPeriod": 7,
        "enabledCloudwatchLogsExports": ["postgresql"],
        "monitoringInterval": 60,
        "monitoringRoleArn": ROLE_ARN,
    },
    "aws:s3/bucket:Bucket": {"bucket": "airflow-task-logs"},
    "aws:s3/bucketPolicy:BucketPolicy": {
        "bucket": "airflow-task-logs",
        "policy": policy({**STATEMENT, "Principal": "*"}),
    },
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
        "bucket": "airflow-task-logs",
        "rules": [
            {
                "id": "retention",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "expiration": {"days": 30},
                "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1},
            }
        ],
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
        "bucket": "airflow-task-logs",
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
    },
}

VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
ROUTE, NAT = "aws:ec2/route:Route", "aws:ec2/natGateway:NatGateway"
ENDPOINT, GROUP = "aws:ec2/vpcEndpoint:VpcEndpoint", "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
KEY, CLUSTER, ADDON = "aws:kms/key:Key", "aws:eks/cluster:Cluster", "aws:eks/addon:Addon"
ENTRY = "aws:eks/accessEntry:AccessEntry"
ACCESS = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
POD_IDENTITY = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
SUBNETS, PARAMETERS = "aws:rds/subnetGroup:SubnetGroup", "aws:rds/parameterGroup:ParameterGroup"
INSTANCE, BUCKET = "aws:rds/instance:Instance", "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)

# Type, what changes in the good inputs, and the rule that refuses it; `schema` is the SDK's types.
Row = tuple[str, dict[str, Any], str]
REFUSED: list[Row] = [
    (VPC, {"cidrBlok": "10.0.0.0/16"}, "schema"),
    (VPC, {"enableDnsSupport": "yes"}, "schema"),
    (VPC, {"tags": ["a"]}, "schema"),
    (SUBNET, {"vpcId": GONE}, "schema"),
    (CLUSTER, {"version": 1.35}, "schema"),
    (CLUSTER, {"vpcConfig.subnetId": ["subnet-1"]}, "schema"),
    (CLUSTER, {"vpcConfig.endpointPublicAccess": 1}, "schema"),
    (INSTANCE, {"multiAz": "yes"}, "schema"),
    (INSTANCE, {"instanceClass": GONE}, "schema"),
    (INSTANCE, {"allocatedStorage": "100"}, "schema"),
    (INSTANCE, {"backupRetentionPeriod": True}, "schema"),
    (INSTANCE, {"password": 12345678}, "schema"),
    (INSTANCE, {"enabledCloudwatchLogsExports": "postgresql"}, "schema"),
    (PARAMETERS, {"parameters.0.value": GONE}, "schema"),
    (ENCRYPTION, {"rules.0.applyServerSideEncryptionByDefault.sseAlgorithm": GONE}, "schema"),
    (VPC, {"cidrBlock": "10.0.0.0/8"}, "vpc_block"),
    (VPC, {"cidrBlock": "10.0.0.1/16"}, "vpc_block"),
    (VPC, {"cidrBlock": "10.0.0.0"}, "vpc_block"),
    (SUBNET, {"cidrBlock": "10.0.0.0/29"}, "subnet_block"),
    (SUBNET, {"availabilityZone": "eu-west-1"}, "subnet_zone"),
    (ROUTE, {"destinationCidrBlock": GONE}, "route_destination"),
    (ROUTE, {"destinationCidrBlock": "0.0.0.0/33"}, "route_destination_block"),
    (ROUTE, {"natGatewayId": "nat-1"}, "route_target"),
    (ROUTE, {"gatewayId": GONE}, "route_target"),
    (NAT, {"allocationId": GONE}, "nat_address"),
    (ENDPOINT, {"serviceName": "s3"}, "endpoint_service"),
    (ENDPOINT, {"vpcEndpointType": "Gate"}, "endpoint_type"),
    (ENDPOINT, {"subnetIds": ["subnet-1"]}, "gateway_endpoint_has_no_subnets"),
    (ENDPOINT, {"vpcEndpointType": "Interface"}, "only_gateway_endpoints_have_routes"),
    (GROUP, {"name": "sg-database"}, "group_name"),
    (GROUP, {"description": "Airflow's database"}, "group_description"),
    (INGRESS, {"cidrIpv4": GONE}, "rule_source"),
    (INGRESS, {"referencedSecurityGroupId": "sg-2"}, "rule_source"),
    (INGRESS, {"cidrIpv4": "10.0.0.1/16"}, "rule_block"),
    (INGRESS, {"cidrIpv4": "10.0.0.1"}, "rule_block"),
    (INGRESS, {"cidrIpv4": "10.0.0.0/255.255.0.0"}, "rule_block"),
    (INGRESS, {"cidrIpv4": GONE, "cidrIpv6": "2001:db8::1/32"}, "rule_block_of_ipv6"),
    (INGRESS, {"ipProtocol": "http"}, "rule_protocol"),
    (INGRESS, {"ipProtocol": "256"}, "rule_protocol"),
    (INGRESS, {"toPort": GONE}, "rule_has_ports"),
    (INGRESS, {"toPort": 70000}, "rule_ports_exist"),
    (INGRESS, {"fromPort": -1}, "rule_ports_exist"),
    (INGRESS, {"fromPort": 5433}, "rule_ports_in_order"),
    (INGRESS, {"ipProtocol": "-1"}, "rule_of_all_protocols_has_no_ports"),
    (EGRESS, {"referencedSecurityGroupId": "sg-2"}, "rule_source"),
    (KEY, {"deletionWindowInDays": 3}, "key_deletion"),
    (KEY, {"description": "x" * 8193}, "key_description"),
    (CLUSTER, {"name": "one cluster"}, "cluster_name"),
    (CLUSTER, {"version": "1.99"}, "cluster_version"),
    (CLUSTER, {"vpcConfig.subnetIds": ["subnet-1"]}, "cluster_subnets"),
    (CLUSTER, {"enabledClusterLogTypes": ["audits"]}, "cluster_logs"),
    (CLUSTER, {"accessConfig.authenticationMode": "IAM"}, "cluster_authentication"),
    (CLUSTER, {"storageConfig": GONE}, "auto_mode_is_whole"),
    (CLUSTER, {"bootstrapSelfManagedAddons": True}, "auto_mode_brings_its_addons"),
    (
        CLUSTER,
        {"vpcConfig.endpointPublicAccess": False, "vpcConfig.endpointPrivateAccess": False},
        "cluster_has_an_endpoint",
    ),
    (CLUSTER, {"vpcConfig.publicAccessCidrs": ["203.0.113.7/24"]}, "cluster_endpoint_cidrs"),
    (
        CLUSTER,
        {"vpcConfig.publicAccessCidrs": [f"203.0.113.{n}/32" for n in range(41)]},
        "cluster_endpoint_cidrs_are_few",
    ),
    (CLUSTER, {"encryptionConfig.resources": ["configmaps"]}, "cluster_encrypts_secrets"),
    (ADDON, {"addonName": "Metrics Server"}, "addon_name"),
    (ADDON, {"resolveConflictsOnCreate": "PRESERVE"}, "addon_conflicts"),
    (ADDON, {"resolveConflictsOnUpdate": "FORCE"}, "addon_conflicts"),
    (ADDON, {"configurationValues": "replicas: 2"}, "addon_configuration"),
    (ENTRY, {"principalArn": "arn:aws:iam::111122223333:group/one"}, "principal"),
    (ENTRY, {"type": "LINUX"}, "entry_type"),
    (ACCESS, {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}, "access_policy"),
    (ACCESS, {"accessScope.type": "pod"}, "access_scope"),
    (ACCESS, {"accessScope.type": "namespace"}, "access_scope_names_its_namespaces"),
    (ACCESS, {"accessScope.namespaces": ["airflow"]}, "access_scope_names_its_namespaces"),
    (POD_IDENTITY, {"serviceAccount": "Airflow_Worker"}, "pod_identity_names"),
    (POD_IDENTITY, {"namespace": "airflow.dev"}, "pod_identity_names"),
    (POD_IDENTITY, {"roleArn": "airflow-worker"}, "pod_identity_role"),
    (ROLE, {"name": "one role"}, "role_name"),
    (ROLE, {"name": "r" * 65}, "role_name"),
    (ROLE, {"maxSessionDuration": 60}, "role_session"),
    (ROLE, {"description": "x" * 1001}, "role_description"),
    (ROLE, {"assumeRolePolicy": policy({**TRUST, "Sid": "x" * 2048})}, "trust_size"),
    (ROLE, {"assumeRolePolicy": "everybody"}, "policy_is_json"),
    (ROLE, {"assumeRolePolicy": without(TRUST, Resource="*")}, "trust_names_no_resource"),
    (ROLE, {"assumeRolePolicy": without(TRUST, NotResource="*")}, "trust_names_no_resource"),
    (
        ROLE,
        {"assumeRolePolicy": without(TRUST, "Principal")},
        "policy_of_a_resource_names_its_principal",
    ),
    (ROLE_POLICY, {"policy": "everything"}, "policy_is_json"),
    (ROLE_POLICY, {"policy": "null"}, "policy_is_json"),
    (ROLE_POLICY, {"policy": json.dumps({"Statement": ["s3:GetObject"]})}, "policy_is_json"),
    (ROLE_POLICY, {"policy": policy(STATEMENT, version="2026-11-24")}, "policy_version"),
    (ROLE_POLICY, {"policy": without(STATEMENT, Effect="Perhaps")}, "policy_effect"),
    (ROLE_POLICY, {"policy": without(STATEMENT, Actions="s3:*")}, "policy_elements"),
    (ROLE_POLICY, {"policy": without(STATEMENT, "Action")}, "policy_action"),
    (ROLE_POLICY, {"policy": without(STATEMENT, NotAction="s3:*")}, "policy_action"),
    (ROLE_POLICY, {"policy": without(STATEMENT, Action="GetObject")}, "policy_action_form"),
    (ROLE_POLICY, {"policy": without(STATEMENT, Action="s3:Get Object")}, "policy_action_form"),
    (ROLE_POLICY, {"policy": without(STATEMENT, Action=[])}, "policy_action_form"),
    (ROLE_POLICY, {"policy": without(STATEMENT, "Resource")}, "policy_resource"),
    (ROLE_POLICY, {"policy": without(STATEMENT, NotResource="*")}, "policy_resource"),
    (ROLE_POLICY, {"policy": without(STATEMENT, Resource="logs/*")}, "policy_resource_form"),
    (ROLE_POLICY, {"policy": without(STATEMENT, Principal="*")}, "role_policy_names_no_principal"),
    (ROLE_POLICY, {"policy": without(STATEMENT, Sid="x" * 10240)}, "inline_size"),
    (ATTACHMENT, {"policyArn": "AmazonEKSClusterPolicy"}, "attached_policy"),
    (SUBNETS, {"subnetIds": ["subnet-1"]}, "subnets_in_two_zones"),
    (SUBNETS, {"name": "default"}, "subnet_group_name"),
    (PARAMETERS, {"family": "postgres99"}, "parameter_family"),
    (PARAMETERS, {"parameters.0.applyMethod": "now"}, "parameter_method"),
    (PARAMETERS, {"parameters.1.applyMethod": "immediate"}, "static_parameters_wait"),
    (PARAMETERS, {"parameters.0.value": "on"}, "forced_tls_is_a_switch"),
    (INSTANCE, {"engine": "postgresql"}, "engine"),
    (INSTANCE, {"engineVersion": "99"}, "engine_version"),
    (INSTANCE, {"engineVersion": "16.x"}, "engine_version"),
    (
        INSTANCE,
        {"engineVersion": "16", "autoMinorVersionUpgrade": False},
        "major_version_alone_moves",
    ),
    (INSTANCE, {"instanceClass": "m7g.large"}, "instance_class"),
    (INSTANCE, {"storageType": "gp9"}, "storage_type"),
    (INSTANCE, {"allocatedStorage": 10}, "storage_size"),
    (INSTANCE, {"maxAllocatedStorage": 100}, "storage_can_grow"),
    (INSTANCE, {"iops": 6000}, "small_gp3_has_no_choice"),
    (INSTANCE, {"storageThroughput": 250}, "small_gp3_has_no_choice"),
    (INSTANCE, {"identifier": "1st"}, "identifier"),
    (INSTANCE, {"identifier": "a--b"}, "identifier"),
    (INSTANCE, {"dbName": "air-flow"}, "database_name"),
    (INSTANCE, {"dbName": "rdsadmin"}, "database_name_is_free"),
    (INSTANCE, {"username": "1airflow"}, "user_name"),
    (INSTANCE, {"username": "rdsadmin"}, "user_name_is_free"),
    (INSTANCE, {"username": "pg_airflow"}, "user_name_is_free"),
    (INSTANCE, {"password": "short"}, "password"),
    (INSTANCE, {"password": "with/slash/and@at"}, "password"),
    (INSTANCE, {"manageMasterUserPassword": True}, "one_keeper_of_the_password"),
    (INSTANCE, {"password": GONE}, "somebody_keeps_the_password"),
    (INSTANCE, {"backupRetentionPeriod": 36}, "backups"),
    (INSTANCE, {"availabilityZone": "eu-west-1a"}, "a_standby_chooses_its_zone"),
    (INSTANCE, {"finalSnapshotIdentifier": GONE}, "final_snapshot_has_a_name"),
    (INSTANCE, {"finalSnapshotIdentifier": "-final"}, "final_snapshot_name"),
    (INSTANCE, {"performanceInsightsRetentionPeriod": 30}, "insights_retention"),
    (INSTANCE, {"enabledCloudwatchLogsExports": ["error"]}, "exported_logs"),
    (INSTANCE, {"monitoringInterval": 7}, "monitoring"),
    (INSTANCE, {"monitoringRoleArn": GONE}, "monitoring_has_a_role"),
    (BUCKET, {"bucket": "Airflow"}, "bucket_name"),
    (BUCKET, {"bucket": "b"}, "bucket_name"),
    (BUCKET, {"bucket": "192.168.5.4"}, "bucket_is_no_address"),
    (BUCKET, {"bucket": "xn--logs"}, "bucket_name_is_free"),
    (BUCKET_POLICY, {"policy": policy(STATEMENT)}, "policy_of_a_resource_names_its_principal"),
    (LIFECYCLE, {"rules.0.status": "On"}, "lifecycle_status"),
    (LIFECYCLE, {"rules.0.id": "x" * 256}, "lifecycle_id"),
    (
        LIFECYCLE,
        {"rules": [{"id": "a", "status": "Enabled", "expiration": {"days": 1}}] * 2},
        "lifecycle_ids_differ",
    ),
    (LIFECYCLE, {"rules.0.expiration.days": 0}, "lifecycle_days"),
    (
        LIFECYCLE,
        {"rules.0.abortIncompleteMultipartUpload.daysAfterInitiation": 0},
        "lifecycle_days",
    ),
    (
        LIFECYCLE,
        {"rules.0.expiration": GONE, "rules.0.abortIncompleteMultipartUpload": GONE},
        "lifecycle_does_something",
    ),
    (
        ENCRYPTION,
        {"rules.0.applyServerSideEncryptionByDefault.sseAlgorithm": "AES128"},
        "encryption_algorithm",
    ),
    (
        ENCRYPTION,
        {"rules.0.applyServerSideEncryptionByDefault.kmsMasterKeyId": "arn:aws:kms:1"},
        "encryption_key",
    ),
    (VPC, {"tags": {"k" * 129: "v"}}, "tag_keys"),
    (VPC, {"tags": {"aws:owner": "v"}}, "tag_keys_of_aws"),
    (VPC, {"tags": {"k": "v" * 257}}, "tag_values"),
    (VPC, {"tags": {f"k{n}": "v" for n in range(51)}}, "tags_are_few"),
]


def changed(token: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The good inputs of a type, with values at dotted paths changed or taken out."""
    inputs = copy.deepcopy(GOOD[token])
    for path, value in changes.items():
        *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        inner: Any = inputs
        for key in parents:
            inner = inner[key]
        if value is GONE:
            del inner[last]
        else:
            inner[last] = copy.deepcopy(value)
    return inputs


def refusals(token: str, inputs: dict[str, Any]) -> list[Refusal]:
    """What the simulator says, in the order of its provider."""
    return schema.mistakes(token, inputs) or rules.mistakes(token, inputs)


def rule_named(name: str) -> Rule:
    (found,) = [rule for rule in RULES if rule.check.__name__ == name]
    return found


@dataclass(frozen=True)
class Line:
    """A row as a person reads it."""

    bad: str
    source: str
    said: str


def lines() -> Iterator[Line]:
    for token, changes, name in REFUSED:
        kind = token.rpartition(":")[2]
        bad = ", ".join(f"{path}: {_shown(value)}" for path, value in changes.items())
        source = f"[SDK]({SDK})" if name == "schema" else _link(rule_named(name))
        said = "; ".join(
            f"{r.property}: {r.reason}" for r in refusals(token, changed(token, changes))
        )
        yield Line(f"{kind} `{bad}`", source, said)


def _link(rule: Rule) -> str:
    return f"[{rule.check.__name__.replace('_', ' ')}]({rule.source})"


def _shown(value: Any) -> str:
    text = "not given" if value is GONE else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def page() -> str:
    rows = [f"| {line.bad} | {line.source} | {_escaped(line.said)} |" for line in lines()]
    return "\n".join(
        [
            "# What the simulated AWS refuses",
            "",
            f"{len(rows)} bad inputs, each a good one changed in one place.",
            "References to what does not exist and the like are refused by the account: `test_cloud.py`.",
            "",
            "| Bad input | AWS's rule | What the simulator says |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _escaped(text: str) -> str:
    shown = text if len(text) <= 160 else f"{text[:157]}..."
    return shown.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.name} is written")
    sys.exit(0)
