import pytest

from settings.network import ExistingNetworkSettings, NetworkSettings
from tests.unit.settings.stacks import EKS, EXISTING_NETWORK


@pytest.mark.parametrize(("cidr", "az_count"), [("10.0.0.0/16", 3), ("10.0.0.0/18", 3)])
def test_a_cidr_with_room_for_every_zone_is_accepted(mistakes, cidr, az_count):
    assert mistakes({**EKS, "network": {"cidr": cidr, "az_count": az_count}}) == []


@pytest.mark.parametrize("cidr", ["10.0.0.0/15", "10.0.0.0/19", "10.0.0.0/24"])
def test_a_cidr_of_another_size_is_refused(mistakes, cidr):
    assert mistakes({**EKS, "network": {"cidr": cidr, "az_count": 2}}) == [
        f"network: cidr {cidr} should be /16 to /18, to contain 2 private subnets of /20 and one more "
        "block for public subnets"
    ]


def test_a_network_without_a_kind_is_a_new_one(load):
    assert load(EKS).network == load({**EKS, "network": {"kind": "new"}}).network
    assert load(EKS).network == NetworkSettings()


def test_an_existing_network_is_a_list_of_subnets(load):
    public = ["subnet-0000000c", "subnet-0000000d"]
    network = load({**EKS, "network": {**EXISTING_NETWORK, "public_subnet_ids": public}}).network

    assert isinstance(network, ExistingNetworkSettings)
    assert list(network.private_subnet_ids) == EXISTING_NETWORK["private_subnet_ids"]
    assert list(network.public_subnet_ids) == public


@pytest.mark.parametrize(
    ("network", "lines"),
    [
        ({"kind": "old"}, ["network: kind should be one of 'new', 'existing', got 'old'"]),
        ({"kind": 3}, ["network: kind should be one of 'new', 'existing', got '3'"]),
        ({"new": 1}, ["network.new: is not a known setting"]),
        ({"kind": "new", "new": 1}, ["network.new: is not a known setting"]),
        ({"vpc_id": "vpc-00000001"}, ["network.vpc_id: is not a known setting"]),
        ({**EXISTING_NETWORK, "existing": 1}, ["network.existing: is not a known setting"]),
        ({**EXISTING_NETWORK, "cidr": "10.0.0.0/16"}, ["network.cidr: is not a known setting"]),
        (
            {**EXISTING_NETWORK, "flow_log_days": 30},
            ["network.flow_log_days: is not a known setting"],
        ),
        (
            {"kind": "existing"},
            ["network.vpc_id: is required", "network.private_subnet_ids: is required"],
        ),
        (
            {"flow_log_days": 0},
            ["network.flow_log_days: Input should be greater than or equal to 1, got 0"],
        ),
    ],
)
def test_mistakes_of_both_kinds_name_the_key_of_the_file(mistakes, network, lines):
    assert mistakes({**EKS, "network": network}) == lines


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("vpc_id", "vpc-1", "network.vpc_id: "),
        ("private_subnet_ids", ["subnet-0000000a"], "network.private_subnet_ids: "),
        (
            "private_subnet_ids",
            ["subnet-0000000a", "subnet-0000000b", "sub"],
            "network.private_subnet_ids.2: ",
        ),
        ("public_subnet_ids", ["vpc-00000001"], "network.public_subnet_ids.0: "),
        (
            "private_subnet_ids",
            ["subnet-0000000a"] * 2,
            "network: private_subnet_ids and public_subnet_ids should list each subnet once, got "
            "subnet-0000000a twice",
        ),
        (
            "public_subnet_ids",
            ["subnet-0000000b", "subnet-0000000c"],
            "network: private_subnet_ids and public_subnet_ids should list each subnet once, got "
            "subnet-0000000b twice",
        ),
    ],
)
def test_an_impossible_existing_network_is_refused(mistakes, key, value, line):
    (found,) = mistakes({**EKS, "network": {**EXISTING_NETWORK, key: value}})

    assert found.startswith(line)
