"""The account says no where AWS does, and a refused call leaves everything as it was."""

import json
from dataclasses import dataclass

import pytest
from botocore.exceptions import ClientError

from tests.engine.simulator.cloud import Cloud

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "eks.amazonaws.com"},
            }
        ],
    }
)
NO_ROLE = "arn:aws:iam::123456789012:role/nobody"
ZONES = ("eu-west-1a", "eu-west-1b")
ADDON = "metrics-server"


@dataclass
class Account:
    """An account with one of everything, all of it in use."""

    cloud: Cloud

    def __post_init__(self):
        ec2, iam = self.ec2, self.iam
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [self._subnet(number, zone) for number, zone in enumerate(ZONES)]
        self.same_zone = self._subnet(2, ZONES[0])
        self.other_vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        elsewhere = {"VpcId": self.other_vpc, "GroupName": "other", "Description": "other"}
        self.other_group = ec2.create_security_group(**elsewhere)["GroupId"]
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        nat = ec2.create_nat_gateway(SubnetId=self.subnets[0], AllocationId=self.address)
        self.nat = nat["NatGateway"]["NatGatewayId"]
        self.table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.association = ec2.associate_route_table(
            RouteTableId=self.table, SubnetId=self.subnets[0]
        )["AssociationId"]
        self.group = self._group("database")
        self.clients = self._group("clients")
        pair = {"UserIdGroupPairs": [{"GroupId": self.clients}]}
        self.permission = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, **pair}
        ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=[self.permission])
        self.role = iam.create_role(RoleName="one", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        policy = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
        iam.attach_role_policy(RoleName="one", PolicyArn=policy)
        iam.create_role(RoleName="inline", AssumeRolePolicyDocument=TRUST)
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName="inline", PolicyName="p", PolicyDocument=document)
        self.key = self.cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.rds.create_db_subnet_group(
            DBSubnetGroupName="one", DBSubnetGroupDescription="one", SubnetIds=self.subnets
        )
        for family in ("postgres16", "postgres15"):
            self.rds.create_db_parameter_group(
                DBParameterGroupName=family, DBParameterGroupFamily=family, Description="one"
            )
        self.rds.create_db_instance(**self.instance())
        self.eks.create_cluster(**self.cluster())
        self.eks.create_addon(clusterName="one", addonName=ADDON)
        self.eks.create_access_entry(clusterName="one", principalArn=self.role)
        self.eks.create_pod_identity_association(**self.pod_identity())
        where = {"LocationConstraint": "eu-west-1"}
        self.s3.create_bucket(Bucket="logs-1", CreateBucketConfiguration=where)
        self.s3.put_object(Bucket="logs-1", Key="a", Body=b"a")

    def __getattr__(self, service):
        if service not in ("ec2", "iam", "rds", "eks", "s3"):
            raise AttributeError(service)
        return self.cloud.client(service)

    def _subnet(self, number, zone):
        block = f"10.0.{number}.0/24"
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=block, AvailabilityZone=zone)
        return made["Subnet"]["SubnetId"]

    def _group(self, name):
        made = self.ec2.create_security_group(VpcId=self.vpc, GroupName=name, Description=name)
        return made["GroupId"]

    def instance(self, **changes):
        given = {
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
        return {key: value for key, value in given.items() if value is not None}

    def new_instance(self, **changes):
        return self.rds.create_db_instance(**self.instance(DBInstanceIdentifier="two", **changes))

    def cluster(self, **changes):
        return {
            "name": "one",
            "version": "1.35",
            "roleArn": self.role,
            "resourcesVpcConfig": {"subnetIds": self.subnets},
            "deletionProtection": True,
            **changes,
        }

    def new_cluster(self, **changes):
        return self.eks.create_cluster(**self.cluster(name="two", **changes))

    def pod_identity(self, **changes):
        given = {"clusterName": "one", "namespace": "airflow", "serviceAccount": "worker"}
        return {**given, "roleArn": self.role, **changes}


@pytest.fixture(scope="module")
def account():
    with Cloud() as cloud:
        yield Account(cloud)


def vpc_config(**changes):
    return lambda a: a.new_cluster(resourcesVpcConfig={"subnetIds": a.subnets, **changes})


def bucket_policy(text):
    return lambda a: a.s3.put_bucket_policy(Bucket="logs-1", Policy=text)


def foreign_bucket(a):
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::another/*",
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    a.s3.put_bucket_policy(Bucket="logs-1", Policy=text)


def route(**target):
    return lambda a: a.ec2.create_route(
        RouteTableId=a.table, DestinationCidrBlock="0.0.0.0/0", **target
    )


# What is asked, in plain words; how; AWS's answer.
REFUSED = [
    ("a VPC of /8", lambda a: a.ec2.create_vpc(CidrBlock="10.0.0.0/8"), "InvalidVpc.Range"),
    (
        "a subnet over another one",
        lambda a: a.ec2.create_subnet(VpcId=a.vpc, CidrBlock="10.0.0.0/25"),
        "InvalidSubnet.Conflict",
    ),
    (
        "a subnet outside its VPC",
        lambda a: a.ec2.create_subnet(VpcId=a.vpc, CidrBlock="10.9.0.0/24"),
        "InvalidSubnet.Range",
    ),
    (
        "a subnet of no VPC",
        lambda a: a.ec2.create_subnet(VpcId="vpc-0", CidrBlock="10.0.9.0/24"),
        "InvalidVpcID.NotFound",
    ),
    ("deleting a VPC in use", lambda a: a.ec2.delete_vpc(VpcId=a.vpc), "DependencyViolation"),
    (
        "deleting a VPC with a security group",
        lambda a: a.ec2.delete_vpc(VpcId=a.other_vpc),
        "DependencyViolation",
    ),
    (
        "deleting an attached gateway",
        lambda a: a.ec2.delete_internet_gateway(InternetGatewayId=a.gateway),
        "DependencyViolation",
    ),
    (
        "detaching the gateway of a NAT gateway",
        lambda a: a.ec2.detach_internet_gateway(InternetGatewayId=a.gateway, VpcId=a.vpc),
        "DependencyViolation",
    ),
    (
        "deleting a subnet in use",
        lambda a: a.ec2.delete_subnet(SubnetId=a.subnets[1]),
        "DependencyViolation",
    ),
    (
        "deleting a route table in use",
        lambda a: a.ec2.delete_route_table(RouteTableId=a.table),
        "DependencyViolation",
    ),
    (
        "releasing the address of a NAT gateway",
        lambda a: a.ec2.release_address(AllocationId=a.address),
        "InvalidIPAddress.InUse",
    ),
    (
        "a NAT gateway with an address in use",
        lambda a: a.ec2.create_nat_gateway(SubnetId=a.subnets[1], AllocationId=a.address),
        "Resource.AlreadyAssociated",
    ),
    (
        "a NAT gateway without an address",
        lambda a: a.ec2.create_nat_gateway(SubnetId=a.subnets[1], AllocationId="eipalloc-0"),
        "InvalidAllocationID.NotFound",
    ),
    (
        "a NAT gateway in no subnet",
        lambda a: a.ec2.create_nat_gateway(SubnetId="subnet-0", AllocationId=a.address),
        "InvalidSubnetID.NotFound",
    ),
    ("a route to no gateway", route(GatewayId="igw-0"), "InvalidInternetGatewayID.NotFound"),
    ("a route to no NAT gateway", route(NatGatewayId="nat-0"), "NatGatewayNotFound"),
    (
        "a second association of a subnet",
        lambda a: a.ec2.associate_route_table(
            RouteTableId=a.ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"],
            SubnetId=a.subnets[0],
        ),
        "Resource.AlreadyAssociated",
    ),
    (
        "the same firewall rule twice",
        lambda a: a.ec2.authorize_security_group_ingress(
            GroupId=a.group, IpPermissions=[a.permission]
        ),
        "InvalidPermission.Duplicate",
    ),
    (
        "deleting a security group that a rule names",
        lambda a: a.ec2.delete_security_group(GroupId=a.clients),
        "DependencyViolation",
    ),
    (
        "deleting the security group of a database",
        lambda a: a.ec2.delete_security_group(GroupId=a.group),
        "DependencyViolation",
    ),
    (
        "deleting a role with policies",
        lambda a: a.iam.delete_role(RoleName="one"),
        "DeleteConflict",
    ),
    (
        "deleting a role with policies of its own",
        lambda a: a.iam.delete_role(RoleName="inline"),
        "DeleteConflict",
    ),
    (
        "a role with a malformed policy",
        lambda a: a.iam.put_role_policy(
            RoleName="one",
            PolicyName="p",
            PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps", "Action": "*"}]}
            ),
        ),
        "MalformedPolicyDocument",
    ),
    (
        "a policy that AWS does not have",
        lambda a: a.iam.attach_role_policy(
            RoleName="one", PolicyArn="arn:aws:iam::aws:policy/AmazonEKSEverything"
        ),
        "NoSuchEntity",
    ),
    (
        "a subnet group in one zone",
        lambda a: a.rds.create_db_subnet_group(
            DBSubnetGroupName="two",
            DBSubnetGroupDescription="two",
            SubnetIds=[a.subnets[0], a.same_zone],
        ),
        "DBSubnetGroupDoesNotCoverEnoughAZs",
    ),
    (
        "a subnet group of no subnet",
        lambda a: a.rds.create_db_subnet_group(
            DBSubnetGroupName="two", DBSubnetGroupDescription="two", SubnetIds=["subnet-0"]
        ),
        "InvalidSubnet",
    ),
    (
        "a database of an unknown version",
        lambda a: a.new_instance(EngineVersion="99"),
        "InvalidParameterCombination",
    ),
    (
        "a database of an unknown class",
        lambda a: a.new_instance(DBInstanceClass="t4g.medium"),
        "InvalidParameterValue",
    ),
    (
        "a database with a short password",
        lambda a: a.new_instance(MasterUserPassword="short"),
        "InvalidParameterValue",
    ),
    (
        "a database with a forbidden character in its password",
        lambda a: a.new_instance(MasterUserPassword="correct/horse"),
        "InvalidParameterValue",
    ),
    (
        "a database whose user is reserved",
        lambda a: a.new_instance(MasterUsername="rdsadmin"),
        "InvalidParameterValue",
    ),
    (
        "a database with too little storage",
        lambda a: a.new_instance(AllocatedStorage=5),
        "InvalidParameterValue",
    ),
    (
        "a database in no subnet group",
        lambda a: a.new_instance(DBSubnetGroupName="nowhere"),
        "DBSubnetGroupNotFoundFault",
    ),
    (
        "a database with parameters of another version",
        lambda a: a.new_instance(DBParameterGroupName="postgres15"),
        "InvalidParameterCombination",
    ),
    (
        "a database with unknown parameters",
        lambda a: a.new_instance(DBParameterGroupName="unknown"),
        "DBParameterGroupNotFound",
    ),
    (
        "a database behind no firewall",
        lambda a: a.new_instance(VpcSecurityGroupIds=["sg-0"]),
        "InvalidParameterValue",
    ),
    (
        "a database behind a firewall of another VPC",
        lambda a: a.new_instance(VpcSecurityGroupIds=[a.other_group]),
        "InvalidVPCNetworkStateFault",
    ),
    (
        "a second database of one name",
        lambda a: a.rds.create_db_instance(**a.instance()),
        "DBInstanceAlreadyExists",
    ),
    (
        "a short new password",
        lambda a: a.rds.modify_db_instance(DBInstanceIdentifier="one", MasterUserPassword="short"),
        "InvalidParameterValue",
    ),
    (
        "deleting a protected database",
        lambda a: a.rds.delete_db_instance(DBInstanceIdentifier="one", SkipFinalSnapshot=True),
        "InvalidParameterCombination",
    ),
    (
        "deleting the subnet group of a database",
        lambda a: a.rds.delete_db_subnet_group(DBSubnetGroupName="one"),
        "InvalidDBSubnetGroupStateFault",
    ),
    (
        "deleting the parameters of a database",
        lambda a: a.rds.delete_db_parameter_group(DBParameterGroupName="postgres16"),
        "InvalidDBParameterGroupState",
    ),
    (
        "a cluster in unknown subnets",
        vpc_config(subnetIds=["subnet-0", "subnet-1"]),
        "InvalidParameterException",
    ),
    (
        "a cluster in one zone",
        lambda a: a.new_cluster(resourcesVpcConfig={"subnetIds": [a.subnets[0], a.same_zone]}),
        "InvalidParameterException",
    ),
    (
        "a cluster behind no firewall",
        vpc_config(securityGroupIds=["sg-0"]),
        "InvalidParameterException",
    ),
    (
        "a cluster with nobody's role",
        lambda a: a.new_cluster(roleArn=NO_ROLE),
        "InvalidParameterException",
    ),
    (
        "a cluster of an unknown version",
        lambda a: a.new_cluster(version="1.99"),
        "InvalidParameterException",
    ),
    (
        "a cluster with no key",
        lambda a: a.new_cluster(
            encryptionConfig=[
                {"resources": ["secrets"], "provider": {"keyArn": a.key.replace("key/", "key/0")}}
            ]
        ),
        "InvalidParameterException",
    ),
    (
        "a second cluster of one name",
        lambda a: a.eks.create_cluster(**a.cluster()),
        "ResourceInUseException",
    ),
    (
        "deleting a protected cluster",
        lambda a: a.eks.delete_cluster(name="one"),
        "InvalidRequestException",
    ),
    (
        "a cluster two versions further",
        lambda a: a.eks.update_cluster_version(name="one", version="1.37"),
        "InvalidParameterException",
    ),
    (
        "an add-on of no cluster",
        lambda a: a.eks.create_addon(clusterName="two", addonName=ADDON),
        "ResourceNotFoundException",
    ),
    (
        "an add-on that EKS has not",
        lambda a: a.eks.create_addon(clusterName="one", addonName="keda"),
        "InvalidParameterException",
    ),
    (
        "an add-on twice",
        lambda a: a.eks.create_addon(clusterName="one", addonName=ADDON),
        "ResourceInUseException",
    ),
    (
        "an add-on that is not there",
        lambda a: a.eks.delete_addon(clusterName="one", addonName="coredns"),
        "ResourceNotFoundException",
    ),
    (
        "an access entry twice",
        lambda a: a.eks.create_access_entry(clusterName="one", principalArn=a.role),
        "ResourceInUseException",
    ),
    (
        "an access policy that EKS has not",
        lambda a: a.eks.associate_access_policy(
            clusterName="one",
            principalArn=a.role,
            policyArn="arn:aws:eks::aws:cluster-access-policy/Everything",
            accessScope={"type": "cluster"},
        ),
        "InvalidParameterException",
    ),
    (
        "an access policy that nobody has",
        lambda a: a.eks.disassociate_access_policy(
            clusterName="one",
            principalArn=a.role,
            policyArn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
        ),
        "ResourceNotFoundException",
    ),
    (
        "a Pod Identity twice",
        lambda a: a.eks.create_pod_identity_association(**a.pod_identity()),
        "ResourceInUseException",
    ),
    (
        "a Pod Identity of nobody's role",
        lambda a: a.eks.create_pod_identity_association(
            **a.pod_identity(serviceAccount="other", roleArn=NO_ROLE)
        ),
        "InvalidParameterException",
    ),
    (
        "a bucket named b",
        lambda a: a.s3.create_bucket(
            Bucket="b", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        ),
        "InvalidBucketName",
    ),
    (
        "deleting a bucket with logs in it",
        lambda a: a.s3.delete_bucket(Bucket="logs-1"),
        "BucketNotEmpty",
    ),
    ("a bucket policy that is no JSON", bucket_policy("everything"), "MalformedPolicy"),
    ("a bucket policy for another bucket", foreign_bucket, "MalformedPolicy"),
]


@pytest.mark.parametrize(
    ("ask", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_aws_refuses(account, ask, code):
    before = account.cloud.inventory()

    with pytest.raises(ClientError) as refusal:
        ask(account)

    assert refusal.value.response["Error"]["Code"] == code
    assert account.cloud.inventory() == before


def test_a_new_account_is_empty():
    with Cloud() as cloud:
        assert cloud.inventory() == []


def test_an_account_that_is_away_answers_nobody_and_forgets_nothing(account):
    before = account.cloud.inventory()
    account.cloud.down = True
    try:
        with pytest.raises(ClientError, match="503"):
            account.ec2.describe_vpcs()
    finally:
        account.cloud.down = False

    assert account.cloud.inventory() == before


def test_something_real_can_stand_behind_clusters_and_databases():
    seen = []

    def note(name, answer=None):
        return lambda *given: seen.append((name, *given)) or answer

    with Cloud(
        on_cluster=note("cluster", ("https://real", "Q0E=")),
        on_cluster_deleted=note("cluster deleted"),
        on_instance=note("instance", ("real.host", 5432)),
        on_instance_changed=note("password"),
        on_instance_deleted=note("instance deleted"),
    ) as cloud:
        account = Account(cloud)
        cluster = account.eks.describe_cluster(name="one")["cluster"]
        (instance,) = account.rds.describe_db_instances()["DBInstances"]
        assert (cluster["endpoint"], cluster["certificateAuthority"]["data"]) == (
            "https://real",
            "Q0E=",
        )
        assert instance["Endpoint"]["Address"] == "real.host"

        rds, one = account.rds, {"DBInstanceIdentifier": "one"}
        rds.modify_db_instance(**one, MasterUserPassword="battery-staple", DeletionProtection=False)
        rds.delete_db_instance(**one, FinalDBSnapshotIdentifier="final")
        account.eks.update_cluster_config(name="one", deletionProtection=False)
        account.eks.delete_cluster(name="one")

        assert "rds snapshot final" in cloud.inventory()
    assert seen == [
        ("instance", "one", "airflow", "correct-horse", "airflow"),
        ("cluster", "one"),
        ("password", "one", "battery-staple"),
        ("instance deleted", "one"),
        ("cluster deleted", "one"),
    ]


def test_a_snapshot_of_a_taken_name_keeps_the_database():
    with Cloud() as cloud:
        account = Account(cloud)
        rds, one = account.rds, {"DBInstanceIdentifier": "one"}
        rds.modify_db_instance(**one, DeletionProtection=False)
        rds.create_db_snapshot(**one, DBSnapshotIdentifier="final")

        for how, code in (
            ({"FinalDBSnapshotIdentifier": "final"}, "DBSnapshotAlreadyExists"),
            ({}, "InvalidParameterCombination"),
        ):
            with pytest.raises(ClientError) as refusal:
                rds.delete_db_instance(**one, **how)
            assert refusal.value.response["Error"]["Code"] == code
            assert "rds instance one" in cloud.inventory()


@pytest.mark.parametrize(
    ("condition", "code"),
    [({"Bool": {"aws:SecureTransport": "false"}}, None), ({}, "403")],
    ids=["plain HTTP is denied", "everybody is denied"],
)
def test_a_bucket_policy_is_obeyed(condition, code):
    with Cloud() as cloud:
        s3 = cloud.client("s3")
        s3.create_bucket(
            Bucket="logs-1", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        s3.put_object(Bucket="logs-1", Key="a", Body=b"a")
        statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*"}
        statement |= {"Resource": ["arn:aws:s3:::logs-1", "arn:aws:s3:::logs-1/*"]}
        if condition:
            statement["Condition"] = condition
        document = {"Version": "2012-10-17", "Statement": [statement]}
        s3.put_bucket_policy(Bucket="logs-1", Policy=json.dumps(document))

        if code is None:
            assert s3.head_object(Bucket="logs-1", Key="a")["ContentLength"] == 1
            return
        with pytest.raises(ClientError) as refusal:
            s3.head_object(Bucket="logs-1", Key="a")
        assert refusal.value.response["Error"]["Code"] == code


def test_a_cluster_has_a_security_group_that_comes_and_goes_with_it():
    with Cloud() as cloud:
        account = Account(cloud)
        config = account.eks.describe_cluster(name="one")["cluster"]["resourcesVpcConfig"]
        group = config["clusterSecurityGroupId"]
        assert f"ec2 security group {group}" in cloud.inventory()

        account.eks.update_cluster_config(name="one", deletionProtection=False)
        account.eks.delete_cluster(name="one")

        assert f"ec2 security group {group}" not in cloud.inventory()
