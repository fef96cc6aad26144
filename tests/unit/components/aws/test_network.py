import ipaddress

import pulumi
import pytest

from components.aws.network import Network, NetworkArgs, zone_subnets
from ops.plan import fake_cloud
from settings.network import NetworkSettings

ROUTE = "aws:ec2/route:Route"
NAT = "aws:ec2/natGateway:NatGateway"
SUBNET = "aws:ec2/subnet:Subnet"
ZONES = "aws:index/getAvailabilityZones:getAvailabilityZones"


@pytest.fixture
def network(deploy):
    return lambda **settings: deploy(
        lambda: Network("net", NetworkArgs(settings=NetworkSettings(**settings)))
    )


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "10.9.0.0/17", "172.16.64.0/18"])
def test_subnets_are_in_the_vpc_and_do_not_overlap(cidr):
    blocks = [ipaddress.IPv4Network(b) for zone in zone_subnets(cidr, 3) for b in zone]

    assert len(blocks) == 6
    assert all(b.subnet_of(ipaddress.IPv4Network(cidr)) for b in blocks)
    assert not any(a.overlaps(b) for a in blocks for b in blocks if a is not b)


def test_the_vpc_has_the_configured_range_and_dns(network):
    vpc = network(cidr="10.7.0.0/16").one("aws:ec2/vpc:Vpc").inputs

    assert vpc["cidrBlock"] == "10.7.0.0/16"
    assert vpc["enableDnsSupport"] is vpc["enableDnsHostnames"] is True


def test_each_zone_has_its_own_subnets(network):
    subnets = {s.name: s.inputs for s in network(az_count=3).all(SUBNET)}

    placed = {name: (s["availabilityZone"], s["cidrBlock"]) for name, s in subnets.items()}
    assert placed == {
        "net-public-0": ("eu-west-1a", "10.0.0.0/24"),
        "net-public-1": ("eu-west-1b", "10.0.1.0/24"),
        "net-public-2": ("eu-west-1c", "10.0.2.0/24"),
        "net-private-0": ("eu-west-1a", "10.0.16.0/20"),
        "net-private-1": ("eu-west-1b", "10.0.32.0/20"),
        "net-private-2": ("eu-west-1c", "10.0.48.0/20"),
    }
    assert {s["vpcId"] for s in subnets.values()} == {"net-vpc-id"}


def region(monkeypatch, **zones):
    """A Region with these zones: letter and ID."""
    names = [f"xx-east-1{letter}" for letter in zones]
    answer = {"id": "xx-east-1", "names": names, "zoneIds": list(zones.values())}
    monkeypatch.setitem(fake_cloud.LOOKUPS, ZONES, answer)


def placed(snapshot):
    return {s.inputs["availabilityZone"].removeprefix("xx-east-1") for s in snapshot.all(SUBNET)}


@pytest.mark.parametrize(
    ("zones", "used"),
    [
        ({"a": "use1-az3", "b": "use1-az6", "c": "use1-az1"}, {"b", "c"}),
        ({"a": "use1-az6", "b": "use1-az3", "c": "use1-az1"}, {"a", "c"}),
        ({"a": "use1-az6", "b": "use1-az1", "c": "use1-az3"}, {"a", "b"}),
        ({"c": "usw1-az1", "b": "usw1-az3", "a": "usw1-az2"}, {"b", "c"}),
        ({"a": "cac1-az1", "b": "cac1-az2", "d": "cac1-az3"}, {"a", "b"}),
    ],
)
def test_zones_that_eks_refuses_are_skipped_by_their_id(network, monkeypatch, zones, used):
    region(monkeypatch, **zones)

    assert placed(network(az_count=2)) == used


def test_the_order_of_the_answer_does_not_move_subnets(network, monkeypatch):
    zones = {"a": "use1-az6", "b": "use1-az1", "c": "use1-az2"}
    region(monkeypatch, **zones)
    before = {s.name: s.inputs for s in network().all(SUBNET)}

    region(monkeypatch, **dict(reversed(zones.items())))
    assert {s.name: s.inputs for s in network().all(SUBNET)} == before


@pytest.mark.parametrize(
    ("zones", "message"),
    [
        (
            {"a": "usw1-az3", "b": "usw1-az2", "c": "usw1-az1"},
            "at most 2, the number of zones of xx-east-1 that EKS accepts (xx-east-1a, xx-east-1c, "
            "without xx-east-1b (usw1-az2), which EKS refuses), got 3; set it to 2, or use another Region",
        ),
        (
            {"a": "cnn1-az1", "b": "cnn1-az2"},
            "at most 2, the number of zones of xx-east-1 that EKS accepts (xx-east-1a, xx-east-1b), got "
            "3; set it to 2, or use another Region",
        ),
        (
            {"a": "cac1-az1", "b": "cac1-az3"},
            "at most 1, the number of zones of xx-east-1 that EKS accepts (xx-east-1a, without xx-east-1b "
            "(cac1-az3), which EKS refuses), got 3; use another Region",
        ),
    ],
)
def test_a_region_with_too_few_zones_is_a_message(network, monkeypatch, zones, message):
    region(monkeypatch, **zones)

    with pytest.raises(pulumi.RunError) as error:
        network(az_count=3)
    assert str(error.value) == (
        f"Pulumi.test.yaml:\n  airflow-platform:settings.network.az_count: should be {message}"
    ), "a RunError ends `pulumi up` without a traceback"


def test_local_and_wavelength_zones_are_excluded(network, wire):
    network()

    lookup = wire[ZONES].args
    assert lookup["state"] == "available"
    assert [(f["name"], list(f["values"])) for f in lookup["filters"]] == [
        ("opt-in-status", ["opt-in-not-required"])
    ], "Local and Wavelength Zones support neither EKS nor NAT"


@pytest.mark.parametrize(
    ("subnets", "role"), [("public", "elb"), ("private", "internal-elb")], ids=lambda v: v
)
def test_subnets_are_tagged_for_load_balancers(network, subnets, role):
    found = [s.inputs for s in network().all(SUBNET) if s.name.startswith(f"net-{subnets}")]

    assert [s["tags"].get(f"kubernetes.io/role/{role}") for s in found] == ["1", "1"]


def test_no_subnet_assigns_public_addresses(network):
    assert not any(s.inputs.get("mapPublicIpOnLaunch") for s in network().all(SUBNET))


def test_the_default_security_group_has_no_rules(network):
    (group,) = network().all("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")

    assert group.inputs == {"vpcId": "net-vpc-id"}, "by default it admits its own members"


def test_public_subnets_use_the_internet_gateway(network):
    snapshot = network()

    route = snapshot.one(ROUTE, "net-public").inputs
    assert route["destinationCidrBlock"] == "0.0.0.0/0"
    assert (route["routeTableId"], route["gatewayId"]) == ("net-public-id", "net-gateway-id")
    assert snapshot.one("aws:ec2/internetGateway:InternetGateway").inputs["vpcId"]


@pytest.mark.parametrize(
    ("nat", "ways_out"),
    [
        ("single", ["net-nat-0-id", "net-nat-0-id", "net-nat-0-id"]),
        ("per_az", ["net-nat-0-id", "net-nat-1-id", "net-nat-2-id"]),
    ],
)
def test_private_subnets_use_nat_only(network, nat, ways_out):
    snapshot = network(az_count=3, nat=nat)
    routes = [snapshot.one(ROUTE, f"net-private-{zone}").inputs for zone in range(3)]

    assert [r["natGatewayId"] for r in routes] == ways_out
    assert {r["destinationCidrBlock"] for r in routes} == {"0.0.0.0/0"}
    assert not any("gatewayId" in r for r in routes), (
        "an internet gateway would make the subnet public"
    )
    assert len(snapshot.all(NAT)) == len(set(ways_out)), "an unused NAT gateway costs money"


def test_each_nat_gateway_is_in_the_public_subnet_of_its_zone(network):
    snapshot = network(nat="per_az")

    for zone in range(2):
        nat = snapshot.one(NAT, f"net-nat-{zone}")
        assert nat.inputs["subnetId"] == f"net-public-{zone}-id"
        assert nat.inputs["allocationId"] == f"net-nat-{zone}-id"
        assert any(urn.endswith("::net-gateway") for urn in nat.depends_on), (
            "NAT needs the internet gateway"
        )
        address = snapshot.one("aws:ec2/eip:Eip", f"net-nat-{zone}").inputs
        assert address == {"domain": "vpc", "tags": {"Name": f"net-nat-{zone}"}}


def test_each_subnet_has_its_own_route_table(network):
    tables = network().all("aws:ec2/routeTableAssociation:RouteTableAssociation")

    assert {t.inputs["subnetId"]: t.inputs["routeTableId"] for t in tables} == {
        "net-public-0-id": "net-public-id",
        "net-public-1-id": "net-public-id",
        "net-private-0-id": "net-private-0-id",
        "net-private-1-id": "net-private-1-id",
    }


def test_s3_traffic_bypasses_nat(network):
    endpoint = network().one("aws:ec2/vpcEndpoint:VpcEndpoint").inputs

    assert endpoint["serviceName"] == "com.amazonaws.eu-west-1.s3"
    assert endpoint["vpcEndpointType"] == "Gateway"
    assert endpoint["routeTableIds"] == ["net-private-0-id", "net-private-1-id"]


def test_public_and_private_subnets_are_outputs(deploy):
    made = []
    deploy(lambda: made.append(Network("net", NetworkArgs(settings=NetworkSettings()))))

    (network,) = made
    assert len(network.public_subnet_ids) == len(network.private_subnet_ids) == 2
    assert network.cidrs == ["10.0.0.0/16"]
