"""What differs between the stack files. The expected plans in tests/unit/plans/ show the rest."""

import ipaddress

import pytest

from ops.plan.report import airflow_values
from policies.view import at
from tests.unit.stacks.committed import AWS_STACKS, find


@pytest.mark.parametrize(
    ("name", "protected"),
    [
        ("local", set()),
        ("dev", set()),
        ("staging", set()),
        (
            "prod",
            {"cluster-eks", "cluster-secrets", "database-instance", "logs-bucket", "redis-data"},
        ),
    ],
)
def test_only_production_protects_its_stateful_resources(snapshot, name, protected):
    assert {r.name for r in snapshot(name).resources.values() if r.protect} == protected


@pytest.mark.parametrize(
    ("resource", "path", "dev", "prod"),
    [
        ("Cluster cluster-eks", "endpointPublicAccess", True, False),
        ("Cluster cluster-eks", "publicAccessCidrs", ["203.0.113.0/24"], None),
        ("Cluster cluster-eks", "deletionProtection", False, True),
        ("Instance database-instance", "multiAz", False, True),
        ("Instance database-instance", "instanceClass", "db.t4g.medium", "db.m7g.large"),
        ("Instance database-instance", "backupRetentionPeriod", 7, 14),
        ("Instance database-instance", "deletionProtection", False, True),
        ("Instance database-instance", "skipFinalSnapshot", True, False),
        ("Bucket logs-bucket", "forceDestroy", True, False),
        ("Release airflow-release", "values.scheduler.replicas", 1, 2),
        ("Release airflow-release", "values.apiServer.replicas", 1, 2),
        ("Release airflow-release", "values.ingress.apiServer.enabled", None, True),
    ],
)
def test_production_differs_from_development(snapshot, resource, path, dev, prod):
    found = [at(find(snapshot(name), resource).inputs, path) for name in ("dev", "prod")]

    assert found == [dev, prod]


@pytest.mark.parametrize(
    ("path", "local", "dev", "prod"),
    [
        ("hpa.minReplicaCount", 1, None, None),
        ("hpa.maxReplicaCount", 3, None, None),
        ("keda.enabled", False, True, True),
        ("keda.minReplicaCount", None, 1, 2),
        ("keda.maxReplicaCount", None, 4, 20),
        ("terminationGracePeriodSeconds", 30, 120, 7200),
    ],
)
def test_workers_scale_by_stack(snapshot, path, local, dev, prod):
    values = [airflow_values(snapshot(name)) for name in ("local", "dev", "prod")]

    assert [at(each["workers"]["celery"]["sets"][0], path) for each in values] == [local, dev, prod]


@pytest.mark.parametrize(
    ("name", "zones", "gateways", "capacity_types"),
    [("dev", 2, 1, ["spot", "on-demand"]), ("prod", 3, 3, ["on-demand"])],
)
def test_production_needs_neither_one_zone_nor_spot(
    snapshot, name, zones, gateways, capacity_types
):
    found = snapshot(name)

    assert len(found.all("aws:ec2/subnet:Subnet")) == 2 * zones
    assert len(found.all("aws:ec2/natGateway:NatGateway")) == gateways
    requirements = at(find(found, "NodePool nodes-pool").inputs, "spec.template.spec.requirements")
    values = {requirement["key"]: requirement["values"] for requirement in requirements}
    assert values["karpenter.sh/capacity-type"] == capacity_types


def test_the_networks_of_the_stacks_do_not_overlap(snapshot):
    networks = [
        ipaddress.IPv4Network(find(snapshot(name), "Vpc").inputs["cidrBlock"])
        for name in AWS_STACKS
    ]

    assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)


@pytest.mark.parametrize(
    ("name", "url", "repository"),
    [
        ("local", "http://localhost:8080", "git://git-server:9418/dags.git"),
        (
            "prod",
            "https://airflow.example.com",
            "https://github.com/example/airflow-dags.git",
        ),
    ],
)
def test_exports_name_the_ui_and_the_dag_repository(snapshot, name, url, repository):
    exports = dict(snapshot(name).exports)

    for only_on_aws in ("kubeconfig", "loadBalancer"):
        assert bool(exports.pop(only_on_aws, None)) is (name == "prod")
    assert exports == {"airflowUrl": url, "dagsRepository": repository}
