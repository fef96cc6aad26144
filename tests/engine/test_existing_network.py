"""Checks of an existing VPC in a simulated account, with the real AWS CLI."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from ops import existing_network
from ops.recovery.aws import Aws
from ops.stack_files import read_settings
from settings.airflow import IngressSettings
from settings.network import ExistingNetworkSettings
from tests.engine.simulator.__main__ import BIN
from tests.engine.simulator.cloud import Cloud

# Each test opens an account of its own, which takes seconds.
pytestmark = pytest.mark.slow

INTERNAL, INTERNET = "kubernetes.io/role/internal-elb", "kubernetes.io/role/elb"
CIDRS = ("10.0.0.0/8",)
ARN = "arn:aws:acm:eu-west-1:111122223333:certificate/1"


class Account:
    """An account with a VPC of two private and two public subnets."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.ec2 = ec2 = cloud.client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
            self.attribute(attribute, value=True)
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.public = [self.subnet(f"10.9.{n}.0/24", letter) for n, letter in enumerate("ab")]
        self.private = [self.subnet(f"10.9.{n}.0/24", letter) for n, letter in enumerate("ab", 16)]
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        self.nat = ec2.create_nat_gateway(SubnetId=self.public[0], AllocationId=address)[
            "NatGateway"
        ]["NatGatewayId"]
        self.private_table = self.table(*self.private, NatGatewayId=self.nat)
        self.public_table = self.table(*self.public, GatewayId=self.gateway)
        for subnets, tag in ((self.private, INTERNAL), (self.public, INTERNET)):
            ec2.create_tags(Resources=subnets, Tags=[{"Key": tag, "Value": "1"}])

    def attribute(self, name, *, value):
        self.ec2.modify_vpc_attribute(VpcId=self.vpc, **{name: {"Value": value}})

    def subnet(self, cidr, letter, vpc=None):
        created = self.ec2.create_subnet(
            VpcId=vpc or self.vpc, CidrBlock=cidr, AvailabilityZone=f"eu-west-1{letter}"
        )
        return created["Subnet"]["SubnetId"]

    def table(self, *subnets, **target):
        table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        for subnet in subnets:
            self.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        if target:
            self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)
        return table

    def settings(self, scheme=None, **network):
        given = {
            "kind": "existing",
            "vpc_id": self.vpc,
            "private_subnet_ids": tuple(self.private),
            "public_subnet_ids": tuple(self.public),
            **network,
        }
        stack = read_settings("dev")
        ingress = (
            IngressSettings(
                host="a.example.com", certificate_arn=ARN, allowed_cidrs=CIDRS, scheme=scheme
            )
            if scheme
            else None
        )
        airflow = stack.airflow.model_copy(update={"ingress": ingress})
        network = ExistingNetworkSettings(**given)
        return stack.model_copy(update={"network": network, "airflow": airflow})

    @property
    def environment(self):
        return {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "SIMULATED_AWS_PYTHON": sys.executable,
            "AWS_ENDPOINT_URL": self.cloud.url,
            "AWS_ACCESS_KEY_ID": "simulated",
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }

    def problems(self, settings, **how):
        aws = Aws(region="eu-west-1", tags={}, env=self.environment)
        return existing_network.problems(aws, settings, **how)

    def run(self, command):
        subprocess.run(shlex.split(command), env=self.environment, check=True)


@pytest.fixture
def account():
    with Cloud() as cloud:
        # Letter d is a zone that EKS refuses.
        cloud.set_zones(["euw1-az1", "euw1-az2", "euw1-az3", "use1-az3"])
        yield Account(cloud)


@pytest.mark.parametrize("scheme", [None, "internal", "internet-facing"])
def test_a_network_that_fits_has_no_problem(account, scheme):
    assert account.problems(account.settings(scheme)) == []


def test_the_advised_commands_end_the_problems(account):
    """Every problem that has a command, at once."""
    ec2 = account.ec2
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        account.attribute(attribute, value=False)
    for subnets in (account.private, account.public):
        ec2.delete_tags(Resources=subnets, Tags=[{"Key": INTERNAL}, {"Key": INTERNET}])
    for table in (account.private_table, account.public_table):
        ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    targets = {"nat-...": account.nat, "igw-...": account.gateway}

    for scheme, count in (("internet-facing", 8), ("internal", 2)):
        found = account.problems(account.settings(scheme))
        assert len(found) == count, found
        commands = dict.fromkeys(line[line.index("aws ec2 ") :] for line in found)
        for command in commands:
            account.run(re.sub(r"(nat|igw)-\.\.\.", lambda m: targets[m[0]], command))
        assert account.problems(account.settings(scheme)) == []


def test_a_missing_vpc_is_the_only_problem(account):
    assert account.problems(account.settings(vpc_id="vpc-00000000")) == [
        "network.vpc_id: vpc-00000000 does not exist in eu-west-1 in this account"
    ]


def test_every_problem_of_the_subnets_is_reported_at_once(account):
    elsewhere = account.ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    other = account.subnet("10.8.0.0/24", "a", elsewhere)
    refused = account.subnet("10.9.32.0/24", "d")
    public = account.public[0]
    found = account.problems(
        account.settings(
            "internal",
            private_subnet_ids=("subnet-00000000", other, refused, public),
            public_subnet_ids=(),
        )
    )

    key = "network.private_subnet_ids: "
    assert all(line.startswith(key) for line in found)
    assert [line.removeprefix(key).partition(": aws")[0] for line in found] == [
        "subnet-00000000 does not exist in this Region and account; remove it",
        f"{other} belongs to {elsewhere}, not to network.vpc_id {account.vpc}; list a subnet of that VPC",
        f"{refused} is in zone eu-west-1d (use1-az3), which EKS refuses for a cluster "
        "(https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html); list a subnet of another "
        "zone",
        f"{refused}: its route table {main_table(account)} has no default route; nodes pull images and "
        "read Git over it, for example through a NAT gateway",
        f"{public}: the default route of its route table {account.public_table} leads to an internet "
        "gateway, but nodes have no public address; list a subnet whose default route leads to a NAT "
        "gateway, a transit gateway or a firewall",
        f"{refused}: the tag {INTERNAL}, by which EKS finds subnets for the load balancer, is missing",
        f"{public}: the tag {INTERNAL}, by which EKS finds subnets for the load balancer, is missing",
    ]


def main_table(account):
    main = [
        {"Name": "vpc-id", "Values": [account.vpc]},
        {"Name": "association.main", "Values": ["true"]},
    ]
    (table,) = account.ec2.describe_route_tables(Filters=main)["RouteTables"]
    return table["RouteTableId"]


def test_subnets_must_be_in_two_zones(account):
    same = [account.subnet("10.9.40.0/24", "a"), account.subnet("10.9.41.0/24", "a")]
    account.table(*same, GatewayId=account.gateway)
    account.ec2.create_tags(Resources=same, Tags=[{"Key": INTERNET, "Value": ""}])
    found = account.problems(account.settings("internet-facing", public_subnet_ids=tuple(same)))

    assert found == [
        "network.public_subnet_ids: all subnets are in zone eu-west-1a (euw1-az1), but an Application "
        "Load Balancer needs two zones; list a subnet of another zone"
    ]


def test_a_small_subnet_names_the_addresses_that_are_needed(account):
    small = [account.subnet("10.9.50.0/27", "a"), account.subnet("10.9.51.0/27", "b")]
    account.table(*small, NatGatewayId=account.nat)
    settings = account.settings(private_subnet_ids=tuple(small))

    first, second, whole = account.problems(settings)
    assert first == (
        f"network.private_subnet_ids: {small[0]} (10.9.50.0/27) has 27 free addresses, but needs at least "
        "33: 16 for EKS, 17 for a node and its pods; list a larger subnet"
    )
    assert second == first.replace(small[0], small[1]).replace("10.9.50.0", "10.9.51.0")
    assert whole == (
        "network.private_subnet_ids: 54 free addresses in all subnets, but the stack needs at least 83: in "
        "each subnet 16 for EKS, 17 for a node and its pods; 17 for the maximum number of workers and their "
        "nodes; list larger subnets, or lower workers.max"
    )
    assert account.problems(settings, deployed=True) == []
