"""The resources in the account."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.engine.simulator import identity

Client = Callable[[str], Any]


def of(client: Client) -> Iterator[str]:
    """One line per resource, without those that AWS creates by default."""
    for service in (
        _network,
        _balancers,
        _identity,
        _keys,
        _secrets,
        _storage,
        _logs,
        _databases,
        _clusters,
        _images,
    ):
        yield from service(client)


def of_region(client: Client) -> Iterator[str]:
    """The same for a Region without a stack; IAM and S3 are those of the account."""
    for service in (_keys, _databases, _secrets):
        yield from service(client)


def _network(client: Client) -> Iterator[str]:
    ec2 = client("ec2")
    vpcs = ec2.describe_vpcs()["Vpcs"]
    given = {vpc["VpcId"] for vpc in vpcs if vpc["IsDefault"]}
    for vpc in vpcs:
        if vpc["VpcId"] not in given:
            yield f"ec2 vpc {vpc['VpcId']}"
    for subnet in ec2.describe_subnets()["Subnets"]:
        if subnet["VpcId"] not in given:
            yield f"ec2 subnet {subnet['SubnetId']}"
    for group in ec2.describe_security_groups()["SecurityGroups"]:
        # AWS creates and deletes the group `default` with its VPC.
        if group["VpcId"] not in given and group["GroupName"] != "default":
            yield f"ec2 security group {group['GroupId']}"
    for table in ec2.describe_route_tables()["RouteTables"]:
        main = any(association["Main"] for association in table["Associations"])
        if table["VpcId"] not in given and not main:
            yield f"ec2 route table {table['RouteTableId']}"
    for gateway in ec2.describe_internet_gateways()["InternetGateways"]:
        if not {a["VpcId"] for a in gateway["Attachments"]} & given:
            yield f"ec2 internet gateway {gateway['InternetGatewayId']}"
    for nat in ec2.describe_nat_gateways()["NatGateways"]:
        if nat["State"] not in ("deleted", "deleting"):
            yield f"ec2 nat gateway {nat['NatGatewayId']}"
    for address in ec2.describe_addresses()["Addresses"]:
        yield f"ec2 address {address['AllocationId']}"
    for flow_log in ec2.describe_flow_logs()["FlowLogs"]:
        yield f"ec2 flow log {flow_log['FlowLogId']}"
    for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        if endpoint["State"].lower() != "deleted":
            yield f"ec2 endpoint {endpoint['VpcEndpointId']}"
    for interface in ec2.describe_network_interfaces()["NetworkInterfaces"]:
        # Those of NAT gateways have no tags; moto keeps them after the gateway.
        if interface.get("TagSet"):
            yield f"ec2 network interface {interface['NetworkInterfaceId']}"
    for volume in ec2.describe_volumes()["Volumes"]:
        yield f"ec2 volume {volume['VolumeId']}"


def _balancers(client: Client) -> Iterator[str]:
    for balancer in client("elbv2").describe_load_balancers()["LoadBalancers"]:
        yield f"elbv2 load balancer {balancer['LoadBalancerName']}"


def _logs(client: Client) -> Iterator[str]:
    for group in client("logs").describe_log_groups()["logGroups"]:
        yield f"logs group {group['logGroupName']}"


def _identity(client: Client) -> Iterator[str]:
    iam = client("iam")
    for role in iam.list_roles()["Roles"]:
        # A service-linked role belongs to the account, not to a stack.
        linked = role["Path"].startswith("/aws-service-role/")
        if role["RoleName"] not in identity.ROLES and not linked:
            yield f"iam role {role['RoleName']}"
    for profile in iam.list_instance_profiles()["InstanceProfiles"]:
        yield f"iam instance profile {profile['InstanceProfileName']}"
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        yield f"iam policy {policy['PolicyName']}"


def _keys(client: Client) -> Iterator[str]:
    kms = client("kms")
    for key in kms.list_keys()["Keys"]:
        found = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        if found["KeyState"] != "PendingDeletion" and found["KeyManager"] == "CUSTOMER":
            yield f"kms key {key['KeyId']}"


def _secrets(client: Client) -> Iterator[str]:
    # Without those that wait for their deletion.
    for secret in client("secretsmanager").list_secrets()["SecretList"]:
        # A login to Docker Hub belongs to the account.
        if not secret["Name"].startswith("ecr-pullthroughcache/"):
            yield f"secretsmanager secret {secret['Name']}"


def _storage(client: Client) -> Iterator[str]:
    for bucket in client("s3").list_buckets()["Buckets"]:
        yield f"s3 bucket {bucket['Name']}"


def _databases(client: Client) -> Iterator[str]:
    rds = client("rds")
    for instance in rds.describe_db_instances()["DBInstances"]:
        yield f"rds instance {instance['DBInstanceIdentifier']}"
    for snapshot in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]:
        yield f"rds snapshot {snapshot['DBSnapshotIdentifier']}"
    for backup in rds.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]:
        # A retained one ends with its retention.
        if backup["Status"] != "retained":
            yield f"rds replicated backup of {backup['DBInstanceArn']}"
    for group in rds.describe_db_subnet_groups()["DBSubnetGroups"]:
        yield f"rds subnet group {group['DBSubnetGroupName']}"
    for group in rds.describe_db_parameter_groups()["DBParameterGroups"]:
        if not group["DBParameterGroupName"].startswith("default."):
            yield f"rds parameter group {group['DBParameterGroupName']}"


def _clusters(client: Client) -> Iterator[str]:
    eks = client("eks")
    for cluster in eks.list_clusters()["clusters"]:
        yield f"eks cluster {cluster}"
        for addon in eks.list_addons(clusterName=cluster)["addons"]:
            yield f"eks addon {cluster}/{addon}"
        for entry in eks.list_access_entries(clusterName=cluster)["accessEntries"]:
            yield f"eks access entry {cluster}/{entry}"
        found = eks.list_pod_identity_associations(clusterName=cluster)["associations"]
        for association in found:
            yield f"eks pod identity {cluster}/{association['associationId']}"


def _images(client: Client) -> Iterator[str]:
    ecr = client("ecr")
    for rule in ecr.describe_pull_through_cache_rules()["pullThroughCacheRules"]:
        yield f"ecr pull through cache rule {rule['ecrRepositoryPrefix']}"
    for repository in ecr.describe_repositories()["repositories"]:
        yield f"ecr repository {repository['repositoryName']}"
