import pytest

from components.aws.existing_network import ExistingNetwork, ExistingNetworkArgs
from ops.plan import fake_cloud
from settings.network import ExistingNetworkSettings

LOOKUP = "aws:ec2/getVpc:getVpc"


@pytest.fixture
def network(deploy):
    def make():
        made = []
        settings = ExistingNetworkSettings(
            kind="existing",
            vpc_id="vpc-00000001",
            private_subnet_ids=("subnet-0000000a", "subnet-0000000b"),
            public_subnet_ids=("subnet-0000000c", "subnet-0000000d"),
        )
        snapshot = deploy(
            lambda: made.append(ExistingNetwork("net", ExistingNetworkArgs(settings=settings)))
        )
        return made[0], snapshot

    return make


def test_an_existing_network_declares_no_resource(network):
    _, snapshot = network()

    assert [r.type for r in snapshot.resources.values()] == ["airflow:aws:ExistingNetwork"]


def test_the_outputs_are_the_vpc_and_subnets_of_the_settings(network, wire):
    made, _ = network()

    assert made.vpc_id == wire[LOOKUP].args["id"] == "vpc-00000001"
    assert list(made.private_subnet_ids) == ["subnet-0000000a", "subnet-0000000b"]
    assert list(made.public_subnet_ids) == ["subnet-0000000c", "subnet-0000000d"]


def test_every_address_range_in_use_may_contain_a_load_balancer(network, monkeypatch):
    ranges = {"10.9.0.0/16": "associated", "100.64.0.0/16": "associated", "10.1.0.0/16": "failing"}
    answer = {
        "cidrBlockAssociations": [
            {"cidrBlock": cidr, "state": state} for cidr, state in ranges.items()
        ]
    }
    monkeypatch.setitem(fake_cloud.LOOKUPS, LOOKUP, answer)

    assert network()[0].cidrs == ["10.9.0.0/16", "100.64.0.0/16"]
