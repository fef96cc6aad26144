import pytest

from tests.unit.settings.stacks import EKS

NO_NETWORKS = (
    "cluster: public_access_cidrs is required unless private_endpoint is true; list your networks, "
    'or write ["0.0.0.0/0"] to open the endpoint to the Internet'
)


@pytest.mark.parametrize(
    ("endpoint", "lines"),
    [
        ({}, [NO_NETWORKS]),
        ({"public_access_cidrs": []}, [NO_NETWORKS]),
        ({"private_endpoint": False}, [NO_NETWORKS]),
        ({"public_access_cidrs": ["203.0.113.0/24"]}, []),
        ({"public_access_cidrs": ["0.0.0.0/0"]}, []),
        ({"private_endpoint": True}, []),
        (
            {"private_endpoint": True, "public_access_cidrs": ["203.0.113.0/24"]},
            ["cluster: public_access_cidrs needs private_endpoint: false"],
        ),
    ],
)
def test_a_public_endpoint_lists_its_networks(mistakes, endpoint, lines):
    assert mistakes({**EKS, "cluster": {"kind": "eks", **endpoint}}) == lines
