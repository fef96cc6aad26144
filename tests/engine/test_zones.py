"""Zones of an account: the same IDs in every account of a Region, in another order of letters."""

import pytest
from botocore.exceptions import ClientError

from settings import versions
from settings.limits import EKS_REFUSES_ZONES
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.moto_patches import zones
from tests.engine.simulator.resources import LOOKUPS

# Each test opens an account of its own, which takes seconds.
pytestmark = pytest.mark.slow

ZONES = "aws:index/getAvailabilityZones:getAvailabilityZones"
VPC = "aws:ec2/getVpc:getVpc"


def letters(cloud, **arguments):
    found = LOOKUPS[ZONES](cloud, arguments)
    return dict(zip(found["names"], found["zoneIds"], strict=True))


def test_two_accounts_assign_the_same_zones_to_other_letters():
    with Cloud(region="us-east-1", zone_seed=1) as one:
        first = letters(one)
    with Cloud(region="us-east-1", zone_seed=2) as two:
        second = letters(two)

    assert sorted(first.values()) == sorted(second.values())
    assert first != second
    assert list(first) == [f"us-east-1{letter}" for letter in "abcdef"]


def test_an_account_keeps_its_letters():
    def account():
        with Cloud(region="us-east-1", zone_seed=7) as cloud:
            return letters(cloud)

    assert account() == account()


def test_a_closed_account_leaves_no_zones_behind():
    before = zones.ids_of("eu-west-1")
    with Cloud() as cloud:
        cloud.set_zones(["euw1-az1"])

    assert zones.ids_of("eu-west-1") == before


def test_zones_can_be_excluded_by_id_and_are_sorted():
    with Cloud() as cloud:
        cloud.set_zones(["euw1-az3", "use1-az3", "euw1-az1"])
        zones.RegionsAndZonesBackend.zones["eu-west-1"].reverse()

        assert list(letters(cloud)) == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
        assert list(letters(cloud, excludeZoneIds=["use1-az3"])) == ["eu-west-1a", "eu-west-1c"]
        assert list(letters(cloud, excludeNames=["eu-west-1c"])) == ["eu-west-1a", "eu-west-1b"]


def test_eks_names_the_zone_that_it_refuses_and_the_others():
    with Cloud() as cloud:
        cloud.set_zones(["euw1-az3", "use1-az3", "euw1-az1"])
        ec2, iam = cloud.client("ec2"), cloud.client("iam")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"eu-west-1{letter}"
            )["Subnet"]["SubnetId"]
            for n, letter in enumerate("ab")
        ]
        role = iam.create_role(RoleName="one", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        with pytest.raises(ClientError) as refusal:
            cloud.client("eks").create_cluster(
                name="one",
                version=versions.KUBERNETES,
                roleArn=role,
                resourcesVpcConfig={"subnetIds": subnets},
            )

    error = refusal.value.response
    assert error["Error"]["Code"] == "UnsupportedAvailabilityZoneException"
    assert "because eu-west-1b, the targeted availability zone" in error["Error"]["Message"]
    assert error["Error"]["Message"].endswith("availability zones: eu-west-1a, eu-west-1c")


def test_program_and_simulator_know_the_same_refused_zones():
    assert set(EKS_REFUSES_ZONES) == zones.REFUSED_BY_EKS


def test_a_vpc_has_all_its_address_ranges():
    with Cloud() as cloud:
        ec2 = cloud.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="100.64.0.0/16")

        found = LOOKUPS[VPC](cloud, {"id": vpc})

    blocks = {block["cidrBlock"]: block["state"] for block in found["cidrBlockAssociations"]}
    assert blocks == {"10.9.0.0/16": "associated", "100.64.0.0/16": "associated"}
