import pytest

from tests.unit.settings.stacks import EKS


@pytest.mark.parametrize(("cidr", "az_count"), [("10.0.0.0/16", 3), ("10.0.0.0/18", 3)])
def test_a_cidr_with_room_for_every_zone_is_accepted(mistakes, cidr, az_count):
    assert mistakes({**EKS, "network": {"cidr": cidr, "az_count": az_count}}) == []


@pytest.mark.parametrize("cidr", ["10.0.0.0/15", "10.0.0.0/19", "10.0.0.0/24"])
def test_a_cidr_of_another_size_is_refused(mistakes, cidr):
    assert mistakes({**EKS, "network": {"cidr": cidr, "az_count": 2}}) == [
        f"network: cidr {cidr} should be /16 to /18, to contain 2 private subnets of /20 and one more "
        "block for public subnets"
    ]
