"""Zones that EKS refuses, a Region with too few zones, and a VPC that the stack does not own."""

import pytest

# Letters of the Region; EKS refuses the first zone.
ZONES = ("use1-az3", "euw1-az1", "euw1-az2")

pytestmark = pytest.mark.slow


@pytest.fixture
def zones(account):
    yield account.set_zones
    account.set_zones("euw1-az1", "euw1-az2", "euw1-az3")


def test_a_region_with_too_few_zones_is_a_message(deploy, small_charts, account, dags, zones):
    zones(*ZONES)
    stack = deploy("dev", small_charts, dags=dags, network={"az_count": 3})

    for target in ("preview", "up"):
        status, output = stack.make(target)
        assert status != 0
        assert "Traceback" not in output
        assert (
            "airflow-platform:settings.network.az_count: should be at most 2, the number of zones of "
            "eu-west-1 that EKS accepts (eu-west-1b, eu-west-1c, without eu-west-1a (use1-az3), which EKS "
            "refuses), got 3; set it to 2, or use another Region"
        ) in output
    assert account.inventory() == []


def test_dev_comes_up_where_eks_refuses_the_first_zone(deploy, small_charts, account, dags, zones):
    zones(*ZONES)
    stack = deploy("dev", small_charts, dags=dags, network={"flow_log_days": 30})

    assert "Airflow is healthy." in stack.up()
    subnets = [
        subnet
        for subnet in account.client("ec2").describe_subnets()["Subnets"]
        if not subnet["DefaultForAz"]
    ]
    assert {s["AvailabilityZone"] for s in subnets} == {"eu-west-1b", "eu-west-1c"}

    status, output = stack.make("down")
    assert status == 0, output
    assert account.inventory() == []


@pytest.fixture
def vpc(account):
    """A VPC with two private subnets, as another team creates it; its IDs."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{attribute: {"Value": True}})
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    public, *private = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"eu-west-1{z}")[
            "Subnet"
        ]["SubnetId"]
        for n, z in enumerate("aab")
    ]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(
        RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"]
    )
    associations = [
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
        for subnet in private
    ]
    yield {"kind": "existing", "vpc_id": vpc, "private_subnet_ids": private}
    ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
    ec2.release_address(AllocationId=address)
    for association in associations:
        ec2.disassociate_route_table(AssociationId=association)
    ec2.delete_route_table(RouteTableId=table)
    for subnet in (public, *private):
        ec2.delete_subnet(SubnetId=subnet)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc)


def test_dev_uses_an_existing_vpc_and_leaves_it_untouched(deploy, small_charts, account, dags, vpc):
    ec2 = account.client("ec2")
    before = account.inventory()
    described = ec2.describe_route_tables()["RouteTables"], ec2.describe_subnets()["Subnets"]
    public = ec2.describe_subnets(
        Filters=[
            {"Name": "vpc-id", "Values": [vpc["vpc_id"]]},
            {"Name": "cidr-block", "Values": ["10.9.0.0/24"]},
        ]
    )["Subnets"][0]["SubnetId"]
    stack = deploy("dev", small_charts, dags=dags, network={**vpc, "private_subnet_ids": [public]})
    stack.change(network={"private_subnet_ids": [public, vpc["private_subnet_ids"][1]]})
    status, output = stack.make("up")
    assert status != 0
    assert f"{public}: its route table" in output
    assert account.inventory() == before, "a network that does not fit changes nothing"

    stack.change(network=vpc)
    assert "Airflow is healthy." in stack.up()
    (name,) = account.client("eks").list_clusters()["clusters"]
    cluster = account.client("eks").describe_cluster(name=name)["cluster"]
    assert cluster["resourcesVpcConfig"]["vpcId"] == vpc["vpc_id"]
    assert set(cluster["resourcesVpcConfig"]["subnetIds"]) == set(vpc["private_subnet_ids"])
    assert [r for r in stack.resources() if r.startswith(("aws:ec2/vpc", "aws:ec2/subnet"))] == []
    status, output = stack.make("preview")
    assert status == 0, output

    status, output = stack.make("down")
    assert status == 0, output
    assert "All resources were deleted." in output
    assert account.inventory() == before
    after = ec2.describe_route_tables()["RouteTables"], ec2.describe_subnets()["Subnets"]
    assert after == described


@pytest.fixture
def nodes(account, vpc):
    """Security group of the nodes of an existing cluster."""
    ec2 = account.client("ec2")
    group = ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc["vpc_id"])[
        "GroupId"
    ]
    yield group
    ec2.delete_security_group(GroupId=group)


def test_an_existing_cluster_uses_rds(deploy, small_charts, account, cluster, dags, vpc, nodes):
    before = account.inventory()
    stack = deploy("dev", small_charts, dags=dags)
    database = stack.settings()["database"]
    stack.replace(
        "airflow",
        cluster={"kind": "existing", "context": cluster.context},
        network=vpc,
        database={**database, "client_security_group_ids": ["sg-00000000"]},
        workers={"scaling": "queue", "max": 2},
    )
    status, output = stack.make("up")
    assert status != 0
    assert "database.client_security_group_ids: sg-00000000 does not exist" in output
    assert account.inventory() == before, "a missing group changes nothing"

    stack.replace(database={**database, "client_security_group_ids": [nodes]})
    assert "Airflow is healthy." in stack.up()
    (instance,) = account.client("rds").describe_db_instances()["DBInstances"]
    assert instance["DBInstanceIdentifier"] == "airflow-dev"
    assert instance["DBSubnetGroup"]["VpcId"] == vpc["vpc_id"]
    (firewall,) = instance["VpcSecurityGroups"]
    filters = [{"Name": "group-id", "Values": [firewall["VpcSecurityGroupId"]]}]
    rules = account.client("ec2").describe_security_group_rules(Filters=filters)
    admitted = [r for r in rules["SecurityGroupRules"] if not r["IsEgress"]]
    assert [r["ReferencedGroupInfo"]["GroupId"] for r in admitted] == [nodes]
    assert account.client("eks").list_clusters()["clusters"] == []
    status, output = stack.make("preview")
    assert status == 0, output

    status, output = stack.make("down")
    assert status == 0, output
    assert "All resources were deleted." in output
    assert account.inventory() == before
