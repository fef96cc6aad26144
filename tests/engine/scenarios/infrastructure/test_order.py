"""What is taken away goes in the opposite order of how it was built."""

import re

DELETED = re.compile(r"^ - +(\S+) (\S+) deleted", re.MULTILINE)


def _order(said):
    """Name and type of each resource, in the order in which Pulumi says that it is gone."""
    return [f"{name} {kind}" for kind, name in DELETED.findall(said)]


def test_nothing_goes_before_what_stands_on_it(dev):
    dev.up()

    status, said = dev.make("down")

    assert status == 0, said
    gone = _order(said)
    for earlier, later in (
        ("airflow-release ", "namespace-namespace "),
        ("airflow-release ", "keda-release "),
        ("airflow-release ", "database-instance "),
        ("airflow-release ", "redis-server "),
        ("keda-release ", "keda-namespace "),
        ("namespace-namespace ", "cluster-eks-eksCluster "),
        ("keda-namespace ", "cluster-eks-eksCluster "),
        ("cluster-metrics-server ", "cluster-eks-eksCluster "),
        ("cluster-eks-eksCluster ", "cluster-secrets "),
        ("cluster-eks-eksCluster ", "network-vpc "),
        ("database-instance ", "network-vpc "),
    ):
        places = [
            next((i for i, line in enumerate(gone) if line.startswith(name)), None)
            for name in (earlier, later)
        ]
        assert None not in places, f"{earlier}or {later}is not among {gone}"
        assert places[0] < places[1], f"{earlier}must go before {later}"
