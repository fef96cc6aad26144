"""The network of `FROM=`, and the messages about an endpoint that does not answer."""

import json

import pytest

from ops import endpoint
from ops.endpoint import Endpoint, check_answer, parse_caller
from ops.kubernetes import Kubernetes
from ops.recovery.aws import Aws
from ops.shell import OperationError
from ops.stack import Stack

PROD = Kubernetes(name="prod", namespace="airflow", arguments=["--kubeconfig", "x"])


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.7/32", "203.0.113.7/32"),
        ("8.8.8.0/24", "8.8.8.0/24"),
    ],
)
def test_from_is_an_address_or_a_small_network(given, network):
    assert parse_caller(given) == network


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("0.0.0.0/0", "network of /24 to /32, got '0.0.0.0/0' with 4294967296 addresses"),
        ("8.8.0.0/23", "network of /24 to /32, got '8.8.0.0/23' with 512 addresses"),
        ("10.0.0.4", "a public address, got '10.0.0.4'"),
        ("192.168.1.0/24", "a public address"),
        ("100.64.0.1", "a public address"),
        ("127.0.0.1", "a public address"),
        ("224.0.0.1", "a public address"),
        ("203.0.113.7/24", "has host bits set"),
        ("2001:db8::1", "an IPv4 address such as 203.0.113.7"),
        ("", "an IPv4 address such as 203.0.113.7"),
    ],
)
def test_another_from_is_refused_with_the_reason(given, reason):
    with pytest.raises(OperationError) as error:
        parse_caller(given)
    assert reason in str(error.value)
    assert "curl https://checkip.amazonaws.com" in str(error.value)


@pytest.mark.parametrize(
    ("config", "networks"),
    [
        ({"endpointPublicAccess": False, "publicAccessCidrs": ["0.0.0.0/0"]}, ()),
        ({"endpointPublicAccess": True}, ("0.0.0.0/0",)),
        ({}, ("0.0.0.0/0",)),
        (
            {"endpointPublicAccess": True, "publicAccessCidrs": ["8.8.8.8/32", "4.4.4.4/32"]},
            ("4.4.4.4/32", "8.8.8.8/32"),
        ),
    ],
)
def test_the_public_networks_are_those_that_eks_admits(config, networks):
    assert endpoint.public_networks(config) == networks


def test_an_answer_is_no_error(tools, stack):
    tools("kubectl", "echo ok")
    check_answer(PROD, stack("prod")[1].cluster)


@pytest.mark.parametrize(
    ("name", "reason", "advice"),
    [
        ("prod", "TLS handshake timeout", "make up, down or repair with STACK=prod FROM="),
        ("dev", "i/o timeout", "cluster.public_access_cidrs in Pulumi.dev.yaml: 203.0.113.0/24"),
        ("prod", "error: You must be logged in to the server (Unauthorized)", "admin_role_arns"),
        (
            "prod",
            "error: the server has asked for the client to provide credentials",
            "admin_role_arns",
        ),
    ],
)
def test_no_answer_is_reported_with_the_way_in(tools, stack, name, reason, advice):
    tools("kubectl", f"echo '{reason}' >&2; exit 1")
    cluster = Kubernetes(name=name, namespace="airflow", arguments=["--kubeconfig", "x"])

    with pytest.raises(OperationError) as error:
        check_answer(cluster, stack(name)[1].cluster)
    message = str(error.value)
    assert message.startswith("the Kubernetes API")
    for part in (repr(name), reason, advice, "Nothing was changed."):
        assert part in message


def test_a_cluster_without_recorded_kubeconfig_has_one():
    found = {
        "name": "airflow",
        "endpoint": "https://eks",
        "certificateAuthority": {"data": "Q0E="},
    }
    account = Aws(region="eu-west-1", tags={})
    stack = Stack(name="prod", file=None, env={})

    text = Endpoint(found=found, recorded=None, account=account, stack=stack).kubeconfig()

    (cluster,) = json.loads(text)["clusters"]
    assert cluster["cluster"] == {"server": "https://eks", "certificate-authority-data": "Q0E="}
    (user,) = json.loads(text)["users"]
    token = user["user"]["exec"]
    assert " ".join([token["command"], *token["args"]]) == (
        "aws eks get-token --region eu-west-1 --cluster-name airflow"
    )
