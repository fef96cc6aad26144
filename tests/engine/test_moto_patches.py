"""The account refuses what AWS refuses and moto accepts; a refused call changes nothing."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError

from settings import versions
from tests.engine.simulator import moto_backups, moto_patches
from tests.engine.simulator.cloud import SECOND_REGION, Cloud


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


TRUST = policy(Effect="Allow", Action="sts:AssumeRole", Principal={"Service": "eks.amazonaws.com"})
NO_ROLE = "arn:aws:iam::123456789012:role/missing"
DATABASE = "arn:aws:rds:eu-west-1:123456789012:db"
ZONES = ("eu-west-1a", "eu-west-1b")


@dataclass
class Account:
    """An account with one resource of each type, all of them in use."""

    cloud: Cloud

    def __post_init__(self):
        ec2, iam = self.ec2, self.iam
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        # Letter d is a zone that EKS refuses.
        self.cloud.set_zones(["euw1-az1", "euw1-az2", "euw1-az3", "use1-az3"])
        self.subnets = [self._subnet(number, zone) for number, zone in enumerate(ZONES)]
        self.same_zone = self._subnet(2, ZONES[0])
        self.in_refused_zone = self._subnet(5, "eu-west-1d")
        self.other_vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        elsewhere = {"VpcId": self.other_vpc, "GroupName": "other", "Description": "other"}
        self.other_group = ec2.create_security_group(**elsewhere)["GroupId"]
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.endpoint_vpc = ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
        ec2.create_vpc_endpoint(VpcId=self.endpoint_vpc, ServiceName="com.amazonaws.eu-west-1.s3")
        self.gateway_vpc, self.peered_vpc = (
            ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
            for block in ("10.3.0.0/16", "10.4.0.0/16")
        )
        other = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=other, VpcId=self.gateway_vpc)
        ec2.create_vpc_peering_connection(VpcId=self.vpc, PeerVpcId=self.peered_vpc)
        self.node_subnet, self.balancer_subnet = (
            self._subnet(3, ZONES[0]),
            self._subnet(4, ZONES[1]),
        )
        self.node_group, self.balancer_group = self._group("nodes"), self._group("balancers")
        ec2.create_network_interface(SubnetId=self.node_subnet, Groups=[self.node_group])
        self.elbv2.create_load_balancer(
            Name="one", Subnets=[self.balancer_subnet], SecurityGroups=[self.balancer_group]
        )
        self.address, self.spare_address = (
            ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(2)
        )
        ec2.create_nat_gateway(SubnetId=self.subnets[0], AllocationId=self.address)
        self.table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.subnets[0])
        self.group = self._group("database")
        self.clients = self._group("clients")
        pair = {"UserIdGroupPairs": [{"GroupId": self.clients}]}
        permission = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, **pair}
        ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=[permission])
        iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")
        moto_patches.quotas.changed[moto_patches.quotas.ELASTIC_IPS] = 2
        self.role = iam.create_role(RoleName="one", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        self.key = self.cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.rds.create_db_subnet_group(
            DBSubnetGroupName="one", DBSubnetGroupDescription="one", SubnetIds=self.subnets
        )
        for family in ("postgres16", "postgres15"):
            self.rds.create_db_parameter_group(
                DBParameterGroupName=family, DBParameterGroupFamily=family, Description="one"
            )
        self.rds.create_db_instance(**self.instance())
        self.rds.create_db_instance(
            **self.instance(
                DBInstanceIdentifier="free", DeletionProtection=False, BackupRetentionPeriod=0
            )
        )
        self.rds.create_db_snapshot(DBSnapshotIdentifier="one", DBInstanceIdentifier="one")
        self.rds.create_db_instance(**self.encrypted("encrypted"))
        self.rds.create_db_instance(**self.encrypted("replicated"))
        self.second = self.cloud.in_region(SECOND_REGION)
        kms = self.second.client("kms")
        self.second_key = kms.create_key()["KeyMetadata"]["Arn"]
        self.deleted_key = kms.create_key()["KeyMetadata"]["Arn"]
        self.backup = self.replicate("replicated")
        self.replicate("encrypted", key=self.deleted_key)
        self.lost_backup = self.stop_replication("encrypted")
        kms.schedule_key_deletion(KeyId=self.deleted_key.rpartition("/")[2])
        self.eks.create_cluster(**self.cluster())
        self.eks.create_access_entry(clusterName="one", principalArn=self.role)
        self.secret = self.cloud.client("secretsmanager").create_secret(
            Name="ecr-pullthroughcache/docker-hub", SecretString="{}"
        )["ARN"]
        self.new_cache_rule("taken")
        where = {"LocationConstraint": "eu-west-1"}
        for name in ("logs-1", "source", "replica"):
            self.s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        for name in ("source", "replica"):
            self.set_versions(name, "Enabled")
        self.replicate_bucket("replica")

    def __getattr__(self, service):
        if service not in ("ec2", "ecr", "elbv2", "iam", "rds", "eks", "s3"):
            raise AttributeError(service)
        return self.cloud.client(service)

    def _subnet(self, number, zone):
        block = f"10.0.{number}.0/24"
        created = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=block, AvailabilityZone=zone)
        return created["Subnet"]["SubnetId"]

    def _group(self, name):
        created = self.ec2.create_security_group(VpcId=self.vpc, GroupName=name, Description=name)
        return created["GroupId"]

    def instance(self, **changes):
        return {
            "DBInstanceIdentifier": "one",
            "DBInstanceClass": "db.t4g.medium",
            "Engine": "postgres",
            "EngineVersion": "16",
            "AllocatedStorage": 20,
            "MasterUsername": "airflow",
            "MasterUserPassword": "correct-horse",
            "DBName": "airflow",
            "DBSubnetGroupName": "one",
            "DBParameterGroupName": "postgres16",
            "VpcSecurityGroupIds": [self.group],
            "DeletionProtection": True,
            **changes,
        }

    def set_versions(self, bucket, status):
        versioning = {"Status": status}
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)

    def replicate_bucket(self, target, role=None):
        rule = {
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{target}"},
        }
        self.s3.put_bucket_replication(
            Bucket="source",
            ReplicationConfiguration={"Role": role or self.role, "Rules": [rule]},
        )

    def encrypted(self, name):
        changes = {"StorageEncrypted": True, "DeletionProtection": False}
        return self.instance(DBInstanceIdentifier=name, BackupRetentionPeriod=7, **changes)

    def replicate(self, name, key="", days=7, region=SECOND_REGION):
        rds = self.cloud.in_region(region).client("rds")
        return rds.start_db_instance_automated_backups_replication(
            SourceDBInstanceArn=f"{DATABASE}:{name}",
            KmsKeyId=key or self.second_key,
            BackupRetentionPeriod=days,
        )["DBInstanceAutomatedBackup"]["DBInstanceAutomatedBackupsArn"]

    def stop_replication(self, name):
        rds = self.second.client("rds")
        return rds.stop_db_instance_automated_backups_replication(
            SourceDBInstanceArn=f"{DATABASE}:{name}"
        )["DBInstanceAutomatedBackup"]["DBInstanceAutomatedBackupsArn"]

    def restore(self, backup, **when):
        return self.second.client("rds").restore_db_instance_to_point_in_time(
            TargetDBInstanceIdentifier="two",
            SourceDBInstanceAutomatedBackupsArn=backup,
            **(when or {"UseLatestRestorableTime": True}),
        )

    def new_instance(self, **changes):
        return self.rds.create_db_instance(**self.instance(DBInstanceIdentifier="two", **changes))

    def cluster(self, **changes):
        return {
            "name": "one",
            "version": versions.KUBERNETES,
            "roleArn": self.role,
            "resourcesVpcConfig": {"subnetIds": self.subnets},
            "deletionProtection": True,
            **changes,
        }

    def new_cache_rule(self, prefix, **changes):
        return self.ecr.create_pull_through_cache_rule(
            **{
                "ecrRepositoryPrefix": prefix,
                "upstreamRegistryUrl": "registry-1.docker.io",
                "credentialArn": self.secret,
                **changes,
            }
        )

    def new_cluster(self, **changes):
        return self.eks.create_cluster(**self.cluster(name="two", **changes))


@pytest.fixture(scope="module")
def account():
    with Cloud() as cloud:
        yield Account(cloud)


def route(**target):
    return lambda a: a.ec2.create_route(
        RouteTableId=a.table, DestinationCidrBlock="0.0.0.0/0", **target
    )


def nat(**changes):
    return lambda a: a.ec2.create_nat_gateway(
        **{"SubnetId": a.subnets[1], "AllocationId": a.spare_address, **changes}
    )


def subnet_group(*subnets):
    return lambda a: a.rds.create_db_subnet_group(
        DBSubnetGroupName="two",
        DBSubnetGroupDescription="two",
        SubnetIds=list(subnets),
    )


def point_in_time(source, **ago):
    return lambda a: a.rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier=source,
        TargetDBInstanceIdentifier="two",
        RestoreTime=datetime.now(UTC) - timedelta(**ago),
    )


def without_support(a):
    pair = ("eu-west-1", SECOND_REGION)
    moto_backups.unsupported.add(pair)
    try:
        a.replicate("encrypted")
    finally:
        moto_backups.unsupported.remove(pair)


def another_bucket(a):
    resource = "arn:aws:s3:::another/*"
    text = policy(Effect="Deny", Principal="*", Action="s3:*", Resource=resource)
    a.s3.put_bucket_policy(Bucket="logs-1", Policy=text)


def head_bucket_of_another(a):
    session = a.cloud.client("sts").assume_role(
        RoleArn="arn:aws:iam::999999999999:role/other", RoleSessionName="other"
    )["Credentials"]
    other = boto3.client(
        "s3",
        endpoint_url=a.cloud.url,
        region_name="eu-west-1",
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
    other.head_bucket(Bucket="logs-1")


# By the name of the check: a call that AWS refuses, and AWS's error code.
REFUSED = {
    "vpc_has_no_groups": (lambda a: a.ec2.delete_vpc(VpcId=a.other_vpc), "DependencyViolation"),
    "vpc_has_no_endpoints": (
        lambda a: a.ec2.delete_vpc(VpcId=a.endpoint_vpc),
        "DependencyViolation",
    ),
    "vpc_has_no_gateway": (
        lambda a: a.ec2.delete_vpc(VpcId=a.gateway_vpc),
        "DependencyViolation",
    ),
    "vpc_has_no_peering": (
        lambda a: a.ec2.delete_vpc(VpcId=a.peered_vpc),
        "DependencyViolation",
    ),
    "gateway_has_no_addresses": (
        lambda a: a.ec2.detach_internet_gateway(InternetGatewayId=a.gateway, VpcId=a.vpc),
        "DependencyViolation",
    ),
    "subnet_is_free": (lambda a: a.ec2.delete_subnet(SubnetId=a.subnets[1]), "DependencyViolation"),
    "nat_address_is_free": (lambda a: nat(AllocationId=a.address)(a), "Resource.AlreadyAssociated"),
    "nat_subnet_exists": (nat(SubnetId="subnet-0"), "InvalidSubnetID.NotFound"),
    "address_is_free": (
        lambda a: a.ec2.release_address(AllocationId=a.address),
        "InvalidIPAddress.InUse",
    ),
    "route_target_exists": (route(NatGatewayId="nat-0"), "NatGatewayNotFound"),
    "subnet_has_one_table": (
        lambda a: a.ec2.associate_route_table(
            RouteTableId=a.ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"],
            SubnetId=a.subnets[0],
        ),
        "Resource.AlreadyAssociated",
    ),
    "flow_log_role_is_assumable": (
        lambda a: a.ec2.create_flow_logs(
            ResourceType="VPC",
            ResourceIds=[a.vpc],
            TrafficType="REJECT",
            LogGroupName="one",
            DeliverLogsPermissionArn=a.role,
        ),
        "InvalidParameter",
    ),
    "group_is_not_referenced": (
        lambda a: a.ec2.delete_security_group(GroupId=a.clients),
        "DependencyViolation",
    ),
    "group_is_not_attached": (
        lambda a: a.ec2.delete_security_group(GroupId=a.group),
        "DependencyViolation",
    ),
    "subnets_are_known": (subnet_group("subnet-0"), "InvalidSubnet"),
    "subnets_exist_in_two_zones": (
        lambda a: subnet_group(a.subnets[0], a.same_zone)(a),
        "DBSubnetGroupDoesNotCoverEnoughAZs",
    ),
    "subnet_group_exists": (
        lambda a: a.new_instance(DBSubnetGroupName="nowhere"),
        "DBSubnetGroupNotFoundFault",
    ),
    "parameters_fit": (
        lambda a: a.new_instance(DBParameterGroupName="postgres15"),
        "InvalidParameterCombination",
    ),
    "instance_security_groups_exist": (
        lambda a: a.new_instance(VpcSecurityGroupIds=["sg-0"]),
        "InvalidParameterValue",
    ),
    "security_groups_are_of_the_vpc": (
        lambda a: a.new_instance(VpcSecurityGroupIds=[a.other_group]),
        "InvalidVPCNetworkStateFault",
    ),
    "database_is_that_of_the_source": (
        lambda a: a.rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier="two", DBSnapshotIdentifier="one", DBName="airflow"
        ),
        "InvalidParameterValue",
    ),
    "backups_are_enabled": (point_in_time("free"), "PointInTimeRestoreNotEnabled"),
    "time_is_restorable": (point_in_time("one", days=1), "InvalidParameterValue"),
    "final_snapshot_is_named": (
        lambda a: a.rds.delete_db_instance(DBInstanceIdentifier="free"),
        "InvalidParameterCombination",
    ),
    "subnet_group_is_free": (
        lambda a: a.rds.delete_db_subnet_group(DBSubnetGroupName="one"),
        "InvalidDBSubnetGroupStateFault",
    ),
    "parameter_group_is_free": (
        lambda a: a.rds.delete_db_parameter_group(DBParameterGroupName="postgres16"),
        "InvalidDBParameterGroupState",
    ),
    "subnets_are_in_two_zones": (
        lambda a: a.new_cluster(resourcesVpcConfig={"subnetIds": [a.subnets[0], a.same_zone]}),
        "InvalidParameterException",
    ),
    "zones_support_eks": (
        lambda a: a.new_cluster(
            resourcesVpcConfig={"subnetIds": [a.subnets[0], a.in_refused_zone]}
        ),
        "UnsupportedAvailabilityZoneException",
    ),
    "security_groups_exist": (
        lambda a: a.new_cluster(
            resourcesVpcConfig={"subnetIds": a.subnets, "securityGroupIds": ["sg-0"]}
        ),
        "InvalidParameterException",
    ),
    "role_exists": (lambda a: a.new_cluster(roleArn=NO_ROLE), "InvalidParameterException"),
    "key_exists": (
        lambda a: a.new_cluster(
            encryptionConfig=[
                {"resources": ["secrets"], "provider": {"keyArn": a.key.replace("key/", "key/0")}}
            ]
        ),
        "InvalidParameterException",
    ),
    "node_pools_and_node_role_come_together": (
        lambda a: a.new_cluster(computeConfig={"enabled": True, "nodeRoleArn": a.role}),
        "InvalidParameterException",
    ),
    "updated_node_pools_and_node_role_come_together": (
        lambda a: a.eks.update_cluster_config(
            name="one", computeConfig={"enabled": True, "nodePools": ["general-purpose"]}
        ),
        "InvalidParameterException",
    ),
    "source_exists_in_another_region": (
        lambda a: a.replicate("encrypted", key=a.key, region="eu-west-1"),
        "InvalidParameterValue",
    ),
    "regions_support_replication": (without_support, "InvalidParameterValue"),
    "source_has_backups": (lambda a: a.replicate("free"), "InvalidDBInstanceState"),
    "retention_of_replicated_backups_is_valid": (
        lambda a: a.replicate("encrypted", days=36),
        "InvalidParameterValue",
    ),
    "encrypted_source_has_a_key_in_this_region": (
        lambda a: a.replicate("encrypted", key=a.key),
        "KMSKeyNotAccessibleFault",
    ),
    "source_has_no_other_replication_here": (
        lambda a: a.replicate("replicated"),
        "InvalidDBInstanceState",
    ),
    "replicated_backup_exists": (
        lambda a: a.restore(f"{a.backup}0"),
        "DBInstanceAutomatedBackupNotFound",
    ),
    "key_of_the_backup_is_enabled": (
        lambda a: a.restore(a.lost_backup),
        "KMSKeyNotAccessibleFault",
    ),
    "time_is_in_the_backup": (
        lambda a: a.restore(a.backup, RestoreTime=datetime.now(UTC) - timedelta(days=1)),
        "InvalidParameterValue",
    ),
    "replicated_buckets_exist": (lambda a: a.replicate_bucket("missing"), "InvalidRequest"),
    "replicated_buckets_have_versions": (lambda a: a.replicate_bucket("logs-1"), "InvalidRequest"),
    "replication_role_exists": (
        lambda a: a.replicate_bucket("replica", role=NO_ROLE),
        "InvalidRequest",
    ),
    "versions_stay_while_they_are_replicated": (
        lambda a: a.set_versions("source", "Suspended"),
        "InvalidBucketState",
    ),
    "policy_is_about_the_bucket": (another_bucket, "MalformedPolicy"),
    "secret_exists": (
        lambda a: a.new_cache_rule("free", credentialArn=f"{a.secret}0"),
        "SecretNotFoundException",
    ),
    "prefix_is_free": (
        lambda a: a.new_cache_rule("taken"),
        "PullThroughCacheRuleAlreadyExistsException",
    ),
    "bucket_is_of_the_account": (head_bucket_of_another, "403"),
    "linked_role_is_new": (
        lambda a: a.iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com"),
        "InvalidInput",
    ),
    "addresses_within_quota": (
        lambda a: a.ec2.allocate_address(Domain="vpc"),
        "AddressLimitExceeded",
    ),
}


# Other uses that the checks above refuse.
REFUSED_BY_USE = {
    "backups of a missing database": (
        lambda a: a.replicate("missing"),
        "DBInstanceNotFound",
    ),
    "the end of a replication that does not exist": (
        lambda a: a.stop_replication("one"),
        "InvalidDBInstanceState",
    ),
    "the subnet of a node": (
        lambda a: a.ec2.delete_subnet(SubnetId=a.node_subnet),
        "DependencyViolation",
    ),
    "the subnet of a load balancer": (
        lambda a: a.ec2.delete_subnet(SubnetId=a.balancer_subnet),
        "DependencyViolation",
    ),
    "the security group of a node": (
        lambda a: a.ec2.delete_security_group(GroupId=a.node_group),
        "DependencyViolation",
    ),
    "the security group of a load balancer": (
        lambda a: a.ec2.delete_security_group(GroupId=a.balancer_group),
        "DependencyViolation",
    ),
    "a VPC with subnets": (
        lambda a: a.ec2.delete_vpc(VpcId=a.vpc),
        "DependencyViolation",
    ),
}


# What `moto_additions` refuses and a setting can trigger.
REFUSED_BY_EKS = {
    "two minor versions at once": (
        lambda a: a.eks.update_cluster_version(name="one", version="1.37"),
        "InvalidParameterException",
    ),
    "an administrator twice": (
        lambda a: a.eks.create_access_entry(clusterName="one", principalArn=a.role),
        "ResourceInUseException",
    ),
    "deletion of a protected cluster": (
        lambda a: a.eks.delete_cluster(name="one"),
        "InvalidRequestException",
    ),
}


@pytest.mark.parametrize("check", REFUSED | REFUSED_BY_USE | REFUSED_BY_EKS)
def test_the_account_refuses_what_aws_refuses(account, check):
    call, code = (REFUSED | REFUSED_BY_USE | REFUSED_BY_EKS)[check]
    before = account.cloud.inventory()

    with pytest.raises(ClientError) as refusal:
        call(account)

    assert refusal.value.response["Error"]["Code"] == code
    assert account.cloud.inventory() == before


def test_each_check_has_a_call_that_it_refuses():
    assert {guard.check.__name__ for guard in moto_patches.GUARDS} == REFUSED.keys()


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, True), ({}, False)],
    ids=["plain HTTP is denied", "all access is denied"],
)
def test_a_bucket_policy_is_evaluated(account, condition, allowed):
    s3, name = account.s3, f"allowed-{allowed}".lower()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=name, Key="a", Body=b"a")
    resources = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    text = policy(Effect="Deny", Principal="*", Action="s3:*", Resource=resources, **condition)
    s3.put_bucket_policy(Bucket=name, Policy=text)

    if allowed:
        assert s3.head_object(Bucket=name, Key="a")["ContentLength"] == 1
        return
    with pytest.raises(ClientError) as refusal:
        s3.head_object(Bucket=name, Key="a")
    assert refusal.value.response["Error"]["Code"] == "403"
