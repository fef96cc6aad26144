"""Checks of an existing VPC, on answers of the AWS CLI. tests/engine/ runs them on an account."""

import pytest

from ops import existing_network, session
from ops.shell import OperationError
from settings.airflow import IngressSettings
from settings.cluster import ExistingClusterSettings
from settings.database import RdsSettings
from settings.network import ExistingNetworkSettings

VPC = "vpc-00000001"
PRIVATE = ("subnet-0000000a", "subnet-0000000b")
PUBLIC = ("subnet-0000000c", "subnet-0000000d")
INTERNAL, INTERNET = "kubernetes.io/role/internal-elb", "kubernetes.io/role/elb"


class Account:
    """A VPC that fits. Tests change `subnets` and `tables`."""

    region = "eu-west-1"

    def __init__(self):
        self.calls = []
        self.groups = ["sg-0000000a"]
        self.dns = {"enableDnsSupport": True, "enableDnsHostnames": True}
        self.subnets = {id_: self.subnet(id_) for id_ in (*PRIVATE, *PUBLIC)}
        self.tables = [
            self.table("rtb-private", PRIVATE, NatGatewayId="nat-1"),
            self.table("rtb-public", PUBLIC, GatewayId="igw-1"),
        ]

    def subnet(self, id_):
        letter = "a" if id_ in (PRIVATE[0], PUBLIC[0]) else "b"
        return {
            "SubnetId": id_,
            "VpcId": VPC,
            "CidrBlock": "10.9.0.0/20",
            "AvailabilityZone": f"eu-west-1{letter}",
            "AvailabilityZoneId": f"euw1-az{'ab'.index(letter) + 1}",
            "AvailableIpAddressCount": 4091,
            "Tags": [{"Key": INTERNAL if id_ in PRIVATE else INTERNET, "Value": "1"}],
        }

    def table(self, id_, subnets, *, main=False, **target):
        associations = [{"SubnetId": subnet, "Main": False} for subnet in subnets]
        return {
            "RouteTableId": id_,
            "Associations": [{"Main": True}] if main else associations,
            "Routes": [
                {"DestinationCidrBlock": "10.9.0.0/16", "GatewayId": "local", "State": "active"},
                {"DestinationCidrBlock": "0.0.0.0/0", "State": "active", **target},
            ][: 2 if target else 1],
        }

    def exists(self, *words):
        self.calls.append(words)
        return words[-1] == VPC

    def call(self, _, command, *words):
        self.calls.append((command, *words))
        if command == "describe-vpc-attribute":
            name = words[-1]
            return {name[0].upper() + name[1:]: {"Value": self.dns[name]}}
        if command == "describe-route-tables":
            assert words[-1] == f"Name=vpc-id,Values={VPC}"
            return {"RouteTables": self.tables}
        if command == "describe-security-groups":
            return {"SecurityGroups": [{"GroupId": id_} for id_ in self.groups if id_ in words[-1]]}
        ids = words[-1].removeprefix("Name=subnet-id,Values=").split(",")
        return {"Subnets": [row for id_, row in self.subnets.items() if id_ in ids]}


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def problems(stack, account):
    def read(scheme=None, **how):
        return existing_network.problems(account, settings(stack, scheme), **how)

    return read


def settings(stack, scheme=None, name="dev"):
    committed = stack(name)[1]
    ingress = scheme and IngressSettings(
        host="a.example.com",
        certificate_arn="arn:aws:acm:eu-west-1:111122223333:certificate/1",
        allowed_cidrs=("10.0.0.0/8",),
        scheme=scheme,
    )
    network = ExistingNetworkSettings(
        kind="existing", vpc_id=VPC, private_subnet_ids=PRIVATE, public_subnet_ids=PUBLIC
    )
    airflow = committed.airflow.model_copy(update={"ingress": ingress})
    return committed.model_copy(update={"network": network, "airflow": airflow})


@pytest.mark.parametrize("scheme", [None, "internal", "internet-facing"])
def test_a_network_that_fits_has_no_problem(problems, scheme):
    assert problems(scheme) == []


def test_a_new_network_is_not_looked_up(stack, account):
    assert existing_network.problems(account, stack("dev")[1]) == []
    assert account.calls == []


def test_a_missing_vpc_is_the_only_problem(problems, account, monkeypatch):
    monkeypatch.setattr(account, "exists", lambda *_: False)

    assert problems() == [f"network.vpc_id: {VPC} does not exist in eu-west-1 in this account"]


def test_each_subnet_must_exist_in_the_vpc(problems, account):
    del account.subnets[PRIVATE[0]]
    account.subnets[PUBLIC[1]] |= {"VpcId": "vpc-other", "AvailableIpAddressCount": 0}

    assert problems("internet-facing") == [
        f"network.private_subnet_ids: {PRIVATE[0]} does not exist in this Region and account; remove it",
        f"network.public_subnet_ids: {PUBLIC[1]} belongs to vpc-other, not to network.vpc_id {VPC}; list a "
        "subnet of that VPC",
        "network.private_subnet_ids: all subnets are in zone eu-west-1b (euw1-az2), but EKS and RDS need "
        "two zones; list a subnet of another zone",
        "network.public_subnet_ids: all subnets are in zone eu-west-1a (euw1-az1), but an Application Load "
        "Balancer needs two zones; list a subnet of another zone",
    ], "a subnet of another VPC has no more problems"


@pytest.mark.parametrize("attribute", ["enableDnsSupport", "enableDnsHostnames"])
def test_the_dns_attributes_of_the_vpc_must_be_on(problems, account, attribute):
    account.dns[attribute] = False

    (line,) = problems()
    option = attribute.replace("enableDns", "enable-dns-").lower()
    assert line.startswith(f"network.vpc_id: {VPC} has {attribute} off; ")
    assert line.endswith(f": aws ec2 modify-vpc-attribute --vpc-id {VPC} --{option}")


@pytest.mark.parametrize(
    ("id_", "outpost"),
    [
        ("use1-az3", None),
        ("usw1-az2", None),
        ("cac1-az3", None),
        ("usw2-lax1-az1", None),
        ("use1-wl1-bos-wlz1", None),
        ("euw1-az1", "arn:aws:outposts:eu-west-1:1:outpost/op-1"),
    ],
)
def test_a_zone_that_eks_refuses_is_named_with_its_id(problems, account, id_, outpost):
    account.subnets[PRIVATE[0]] |= {"AvailabilityZoneId": id_, "OutpostArn": outpost}

    (line,) = problems()
    assert line.startswith(
        f"network.private_subnet_ids: {PRIVATE[0]} is in zone eu-west-1a ({id_}), which EKS refuses"
    )


def test_private_subnets_must_be_in_two_zones(problems, account):
    account.subnets[PRIVATE[1]] |= {"AvailabilityZoneId": "euw1-az1"}

    (line,) = problems()
    assert line.startswith(
        "network.private_subnet_ids: all subnets are in zone eu-west-1a (euw1-az1), but EKS and RDS need "
        "two zones"
    )


@pytest.mark.parametrize(
    ("scheme", "subnets", "tag"),
    [("internal", PRIVATE, INTERNAL), ("internet-facing", PUBLIC, INTERNET)],
)
@pytest.mark.parametrize(
    ("tags", "state"), [({}, "is missing"), ({"Value": "0"}, "has the value '0'")]
)
def test_the_load_balancer_needs_tagged_subnets(
    problems, account, scheme, subnets, tag, tags, state
):
    given = [{"Key": tag, **tags}] if tags else []
    account.subnets[subnets[1]]["Tags"] = given

    (line,) = problems(scheme)
    assert f"{subnets[1]}: the tag {tag}, by which EKS finds subnets" in line
    assert line.endswith(
        f", {state}: aws ec2 create-tags --resources {subnets[1]} --tags Key={tag},Value=1"
    )
    assert problems() == [], "without a load balancer no tag is needed"


@pytest.mark.parametrize(
    "target",
    [
        {"NatGatewayId": "nat-1"},
        {"TransitGatewayId": "tgw-1"},
        {"GatewayId": "vpce-1"},
        {"NetworkInterfaceId": "eni-1"},
    ],
)
def test_a_default_route_may_lead_to_any_private_way_out(problems, account, target):
    account.tables[0] = account.table("rtb-private", PRIVATE, **target)

    assert problems() == []


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({}, "its route table rtb-x has no default route; nodes pull images"),
        ({"GatewayId": "igw-1"}, "rtb-x leads to an internet gateway, but nodes have no public"),
        ({"NatGatewayId": "nat-1", "State": "blackhole"}, "rtb-x leads to a deleted target"),
    ],
)
def test_a_private_subnet_needs_a_private_way_out(problems, account, target, reason):
    account.tables[0] = account.table("rtb-x", PRIVATE, **target)

    first, second = problems()
    assert first.startswith(f"network.private_subnet_ids: {PRIVATE[0]}: ")
    assert second.startswith(f"network.private_subnet_ids: {PRIVATE[1]}: ")
    assert reason in first


def test_a_subnet_without_a_route_table_uses_the_main_one(problems, account):
    account.tables[0] = account.table("rtb-main", (), main=True, GatewayId="igw-1")

    assert [PRIVATE[0] in line and "rtb-main" in line for line in problems()] == [True, False]


def test_public_subnets_need_an_internet_gateway(problems, account):
    account.tables[1] = account.table("rtb-public", PUBLIC, NatGatewayId="nat-1")

    first, _ = problems("internet-facing")
    assert (
        "rtb-public leads to no internet gateway, which an internet-facing load balancer" in first
    )
    assert problems() == problems("internal") == []


def test_the_needed_addresses_are_counted(problems, account):
    account.subnets[PRIVATE[0]]["AvailableIpAddressCount"] = 40
    account.subnets[PRIVATE[1]]["AvailableIpAddressCount"] = 41

    short, whole = problems("internal")
    assert short == (
        f"network.private_subnet_ids: {PRIVATE[0]} (10.9.0.0/20) has 40 free addresses, but needs at least "
        "41: 16 for EKS, 17 for a node and its pods, 8 for the load balancer; list a larger subnet"
    )
    assert "81 free addresses in all subnets, but the stack needs at least 99" in whole
    assert "17 for the maximum number of workers and their nodes" in whole
    assert problems("internal", deployed=True) == [], "the stack has taken the addresses itself"


def test_an_internet_facing_load_balancer_needs_addresses(problems, account):
    account.subnets[PUBLIC[0]]["AvailableIpAddressCount"] = 7

    (line,) = problems("internet-facing")
    assert line.startswith(f"network.public_subnet_ids: {PUBLIC[0]}")
    assert "has 7 free addresses, but needs at least 8: 8 for the load balancer" in line


class Deployed:
    name = "dev"

    def __init__(self, kubeconfig):
        self.kubeconfig = lambda: kubeconfig


def test_every_problem_stops_the_command_at_once(stack, account):
    account.dns["enableDnsSupport"] = False
    account.subnets[PRIVATE[0]]["AvailableIpAddressCount"] = 1

    with pytest.raises(OperationError) as error:
        existing_network.require(account, settings(stack), Deployed(None))
    heading, *lines = str(error.value).splitlines()
    assert heading == ("Pulumi.dev.yaml: nothing was changed, the existing network does not fit:")
    assert len(lines) == 2
    with pytest.raises(OperationError) as error:
        existing_network.require(account, settings(stack), Deployed("a cluster"))
    assert len(str(error.value).splitlines()) == 2, "the addresses belong to the stack"


def test_a_new_network_and_a_local_stack_pass(stack, account):
    existing_network.require(account, stack("dev")[1], Deployed(None))
    existing_network.require(None, stack("local")[1], Deployed(None))


def test_up_and_preview_check_the_network_first(stack, monkeypatch):
    opened = session.Session(settings=stack("dev")[1], stack=Existing(), account=None)
    checked = []
    monkeypatch.setattr(session, "open_session", lambda *_: opened)
    monkeypatch.setattr(session.existing_network, "require", lambda *given: checked.append(given))

    session.open_or_create("dev", opened.settings)
    assert checked == [(None, opened.settings, opened.stack)]


class Existing:
    def exists(self):
        return True


def on_existing_cluster(stack, *groups):
    database = RdsSettings(kind="rds", client_security_group_ids=groups)
    cluster = ExistingClusterSettings(kind="existing", context="kind-airflow")
    return settings(stack).model_copy(update={"cluster": cluster, "database": database})


def test_rds_beside_an_existing_cluster_needs_only_subnets(stack, account):
    """Routes, tags and free addresses are matters of its nodes."""
    account.tables = []
    for subnet in account.subnets.values():
        subnet |= {"AvailableIpAddressCount": 9, "AvailabilityZoneId": f"{subnet['SubnetId']}-laxc"}
    wanted = on_existing_cluster(stack, "sg-0000000a")

    assert existing_network.problems(account, wanted) == []
    for subnet in account.subnets.values():
        subnet["AvailabilityZoneId"] = "euw1-az1"
    assert existing_network.problems(account, wanted) == [
        "network.private_subnet_ids: all subnets are in zone eu-west-1a (euw1-az1), but RDS needs two "
        "zones; list a subnet of another zone"
    ]


def test_a_client_group_of_the_database_must_exist(stack, account):
    wanted = on_existing_cluster(stack, "sg-0000000a", "sg-0000000b")

    assert existing_network.problems(account, wanted) == [
        "database.client_security_group_ids: sg-0000000b does not exist in this Region and account; "
        "remove it, or list its addresses in database.client_cidrs"
    ]
