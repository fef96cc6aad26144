"""Every type that the simulator models: what is made reads as it was given, and goes without a trace."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.engine import refusals
from tests.engine.refusals import GOOD
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources import RESOURCES

TAGS = {"tagsAll": {"stack": "test", "Name": "one"}, "tags": {"Name": "one"}}
ZONES = ("eu-west-1a", "eu-west-1b")
VPC, SUBNET, GATEWAY = refusals.VPC, refusals.SUBNET, "aws:ec2/internetGateway:InternetGateway"
EIP, TABLE = "aws:ec2/eip:Eip", "aws:ec2/routeTable:RouteTable"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
OLD_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"


class Made:
    """Resources in the order in which they were made, with what they need made before."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.all = []

    def make(self, token, **inputs):
        """The ID and the state of a resource, as Pulumi would keep them."""
        id_, outputs = RESOURCES[token].create(self.cloud, inputs)
        state = {**inputs, **outputs}
        self.all.append((token, id_, state))
        return id_, state

    def read(self, index=-1):
        token, id_, state = self.all[index]
        return RESOURCES[token].read(self.cloud, id_, state)

    def update(self, **changes):
        token, id_, old = self.all.pop()
        new = {**old, **changes}
        outputs = RESOURCES[token].update(self.cloud, id_, old, new)
        self.all.append((token, id_, {**new, **outputs}))

    def remove(self):
        for token, id_, state in reversed(self.all):
            RESOURCES[token].delete(self.cloud, id_, state)

    # --- what others stand on

    def vpc(self):
        return self.make(VPC, cidrBlock="10.0.0.0/16", **TAGS)[0]

    def subnets(self):
        vpc = self.vpc()
        return vpc, [
            self.make(SUBNET, vpcId=vpc, cidrBlock=f"10.0.{n}.0/24", availabilityZone=zone, **TAGS)[
                0
            ]
            for n, zone in enumerate(ZONES)
        ]

    def group(self, name="one"):
        return self.make(refusals.GROUP, name=name, vpcId=self.vpc(), **TAGS)[0]

    def role(self, service="eks.amazonaws.com"):
        statement = {**refusals.TRUST, "Principal": {"Service": service}}
        trust = refusals.policy(statement)
        return self.make(refusals.ROLE, name="one", assumeRolePolicy=trust, **TAGS)

    def cluster(self):
        role = self.role()[1]["arn"]
        _, subnets = self.subnets()
        good = {**GOOD[refusals.CLUSTER], "roleArn": role, **TAGS}
        del good["encryptionConfig"]
        return self.make(
            refusals.CLUSTER, **{**good, "vpcConfig": {**good["vpcConfig"], "subnetIds": subnets}}
        )

    def instance(self, **changes):
        _, subnets = self.subnets()
        self.make(refusals.SUBNETS, name="one", subnetIds=subnets, **TAGS)
        self.make(refusals.PARAMETERS, **GOOD[refusals.PARAMETERS], **TAGS)
        given = {**GOOD[refusals.INSTANCE], "dbSubnetGroupName": "one", **TAGS, **changes}
        return self.make(refusals.INSTANCE, **{**given, "parameterGroupName": "one"})

    def bucket(self, **inputs):
        return self.make(refusals.BUCKET, bucket="airflow-task-logs", **inputs)[0]


def _nat(m):
    _, (subnet, _) = m.subnets()
    return m.make(refusals.NAT, subnetId=subnet, allocationId=m.make(EIP, domain="vpc")[0])


def _route(m):
    vpc = m.vpc()
    gateway, table = m.make(GATEWAY, vpcId=vpc)[0], m.make(TABLE, vpcId=vpc)[0]
    destination = {"routeTableId": table, "destinationCidrBlock": "0.0.0.0/0"}
    return m.make(refusals.ROUTE, gatewayId=gateway, **destination)


def _association(m):
    vpc, (subnet, _) = m.subnets()
    return m.make(ASSOCIATION, subnetId=subnet, routeTableId=m.make(TABLE, vpcId=vpc)[0])


def _endpoint(m):
    vpc = m.vpc()
    tables = [m.make(TABLE, vpcId=vpc)[0] for _ in range(2)]
    good = {**GOOD[refusals.ENDPOINT], "vpcId": vpc, "routeTableIds": tables[::-1]}
    return m.make(refusals.ENDPOINT, **good, **TAGS)


def _rule(token):
    def make(m):
        port = {"ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432}
        return m.make(token, securityGroupId=m.group(), cidrIpv4="10.0.0.0/16", **port, **TAGS)

    return make


def _old_rule(m):
    port = {"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["10.0.0.0/16"]}
    return m.make(OLD_RULE, type="ingress", securityGroupId=m.group(), **port)


def _on_role(token, **inputs):
    return lambda m: m.make(token, role=m.role()[0], **inputs)


def _in_cluster(token):
    def make(m):
        cluster, _ = m.cluster()
        good = {**GOOD[token], "clusterName": cluster}
        arn = next(state["arn"] for kind, _, state in m.all if kind == refusals.ROLE)
        for name in ("principalArn", "roleArn"):
            if name in good:
                good[name] = arn
        if token == refusals.ACCESS:
            m.make(refusals.ENTRY, clusterName=cluster, principalArn=arn)
        return m.make(token, **good)

    return make


def _beside_bucket(token, **inputs):
    return lambda m: m.make(token, **{**GOOD.get(token, {}), **inputs, "bucket": m.bucket()})


def _subnet_group(m):
    return m.make(refusals.SUBNETS, name="one", subnetIds=m.subnets()[1], **TAGS)


# How one of each type is made, with what it needs.
CASES = {
    VPC: lambda m: m.make(VPC, cidrBlock="10.0.0.0/16", enableDnsHostnames=True, **TAGS),
    SUBNET: lambda m: m.subnets(),
    GATEWAY: lambda m: m.make(GATEWAY, vpcId=m.vpc(), **TAGS),
    EIP: lambda m: m.make(EIP, domain="vpc", **TAGS),
    refusals.NAT: _nat,
    TABLE: lambda m: m.make(TABLE, vpcId=m.vpc(), **TAGS),
    refusals.ROUTE: _route,
    ASSOCIATION: _association,
    refusals.ENDPOINT: _endpoint,
    refusals.GROUP: lambda m: m.group(),
    DEFAULT_GROUP: lambda m: m.make(DEFAULT_GROUP, vpcId=m.vpc()),
    refusals.INGRESS: _rule(refusals.INGRESS),
    EGRESS: _rule(EGRESS),
    OLD_RULE: _old_rule,
    refusals.KEY: lambda m: m.make(refusals.KEY, description="one", enableKeyRotation=True, **TAGS),
    refusals.CLUSTER: lambda m: m.cluster(),
    refusals.ADDON: _in_cluster(refusals.ADDON),
    refusals.ENTRY: _in_cluster(refusals.ENTRY),
    refusals.ACCESS: _in_cluster(refusals.ACCESS),
    refusals.POD_IDENTITY: _in_cluster(refusals.POD_IDENTITY),
    refusals.ROLE: lambda m: m.role(),
    refusals.ROLE_POLICY: _on_role(
        refusals.ROLE_POLICY, name="one", policy=refusals.policy(refusals.STATEMENT)
    ),
    refusals.ATTACHMENT: _on_role(
        refusals.ATTACHMENT, policyArn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
    ),
    PROFILE: _on_role(PROFILE, name="one", **TAGS),
    refusals.SUBNETS: _subnet_group,
    refusals.PARAMETERS: lambda m: m.make(refusals.PARAMETERS, **GOOD[refusals.PARAMETERS], **TAGS),
    refusals.INSTANCE: lambda m: m.instance(skipFinalSnapshot=True),
    refusals.BUCKET: lambda m: m.bucket(**TAGS),
    BLOCK: _beside_bucket(
        BLOCK,
        blockPublicAcls=True,
        blockPublicPolicy=True,
        ignorePublicAcls=True,
        restrictPublicBuckets=True,
    ),
    refusals.ENCRYPTION: _beside_bucket(refusals.ENCRYPTION),
    refusals.LIFECYCLE: _beside_bucket(refusals.LIFECYCLE),
    refusals.BUCKET_POLICY: _beside_bucket(
        refusals.BUCKET_POLICY,
        policy=refusals.policy(
            {
                **refusals.STATEMENT,
                "Principal": "*",
                "Resource": "arn:aws:s3:::airflow-task-logs/*",
            }
        ),
    ),
}


@pytest.fixture(scope="module")
def cloud():
    with Cloud() as opened:
        yield opened


@pytest.fixture
def made(cloud):
    """Resources in an account that is empty before, and empty after."""
    made = Made(cloud)
    assert cloud.inventory() == []
    yield made
    made.remove()
    assert cloud.inventory() == []


def test_every_type_that_is_modelled_is_tried():
    assert CASES.keys() == RESOURCES.keys()


@pytest.mark.parametrize("token", CASES)
def test_what_is_made_reads_as_it_was_given_and_is_gone_when_deleted(made, token):
    CASES[token](made)
    kind, id_, state = made.all[-1]
    assert kind == token

    seen = RESOURCES[token].read(made.cloud, id_, state)
    assert {key: state.get(key) for key in seen if key in state} == {
        key: value for key, value in seen.items() if key in state
    }, "a refresh would show a difference"

    RESOURCES[token].delete(made.cloud, id_, state)
    if token not in (DEFAULT_GROUP, refusals.ENCRYPTION):  # these are never without
        assert RESOURCES[token].read(made.cloud, id_, state) is None
    RESOURCES[token].delete(made.cloud, id_, state)


@pytest.mark.parametrize(
    "token", [VPC, refusals.KEY, refusals.ROLE, refusals.BUCKET, refusals.INSTANCE]
)
def test_tags_change_in_place(made, token):
    CASES[token](made)

    made.update(tags={"Name": "two"}, tagsAll={"Name": "two"})

    assert made.read()["tagsAll"] == {"Name": "two"}


def test_a_firewall_rule_that_somebody_changed_is_seen(made):
    _, state = CASES[refusals.INGRESS](made)
    made.cloud.client("ec2").modify_security_group_rules(
        GroupId=state["securityGroupId"],
        SecurityGroupRules=[
            {
                "SecurityGroupRuleId": state["securityGroupRuleId"],
                "SecurityGroupRule": {
                    "IpProtocol": "tcp",
                    "FromPort": 0,
                    "ToPort": 65535,
                    "CidrIpv4": "0.0.0.0/0",
                },
            }
        ],
    )

    seen = made.read()
    assert (seen["fromPort"], seen["toPort"], seen["cidrIpv4"]) == (0, 65535, "0.0.0.0/0")


def test_a_bucket_policy_that_somebody_changed_is_seen(made):
    _, state = CASES[refusals.BUCKET_POLICY](made)
    open_ = refusals.policy(
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::airflow-task-logs/*",
        }
    )
    made.cloud.client("s3").put_bucket_policy(Bucket="airflow-task-logs", Policy=open_)

    assert json.loads(made.read()["policy"]) == json.loads(open_)
    assert made.read()["policy"] != state["policy"]


def test_backups_that_somebody_switched_off_are_seen(made):
    CASES[refusals.INSTANCE](made)
    made.cloud.client("rds").modify_db_instance(
        DBInstanceIdentifier="one", BackupRetentionPeriod=0, ApplyImmediately=True
    )

    assert made.read()["backupRetentionPeriod"] == 0


def test_a_database_that_goes_leaves_its_last_snapshot(cloud):
    made = Made(cloud)
    made.instance(skipFinalSnapshot=False, finalSnapshotIdentifier="last")

    made.remove()

    assert cloud.inventory() == ["rds snapshot last"]
    cloud.client("rds").delete_db_snapshot(DBSnapshotIdentifier="last")


def test_a_protected_database_stays(made):
    CASES[refusals.INSTANCE](made)
    made.update(deletionProtection=True)
    token, id_, state = made.all[-1]

    with pytest.raises(ClientError, match="protected"):
        RESOURCES[token].delete(made.cloud, id_, state)
    made.update(deletionProtection=False)


@pytest.mark.parametrize("force", [True, False])
def test_a_bucket_with_logs_goes_only_by_force(made, force):
    made.bucket(forceDestroy=force)
    made.cloud.client("s3").put_object(Bucket="airflow-task-logs", Key="a", Body=b"a")
    token, id_, state = made.all[-1]

    if not force:
        with pytest.raises(ClientError, match="BucketNotEmpty"):
            RESOURCES[token].delete(made.cloud, id_, state)
        made.cloud.client("s3").delete_object(Bucket="airflow-task-logs", Key="a")
        return
    RESOURCES[token].delete(made.cloud, id_, state)
    assert made.read() is None
