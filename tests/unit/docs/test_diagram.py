"""The diagram of README.md shows the stack prod."""

import re

import pytest

from ops.plan.report import airflow_values
from policies.view import at
from settings.versions import POSTGRES
from tests.unit.docs.documents import ROOT, lines

EDIT = "correct the diagram in README.md"
# Nodes outside the stack, and boxes that group nodes.
OUTSIDE = {"author", "git", "users", "network", "public", "private", "namespace"}
PARTS = {
    "airflow-api-server": "apiServer",
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dagProcessor",
    "airflow-triggerer": "triggerer",
}
INSTANCE = "aws:rds/instance:Instance"


@pytest.fixture(scope="module")
def diagram():
    drawn = [line.text for line in lines(ROOT / "README.md") if line.language == "mermaid"]
    return "\n".join(drawn)


@pytest.fixture
def prod(stack):
    return stack("prod")[0]


@pytest.fixture
def settings(stack):
    return stack("prod")[1]


@pytest.fixture
def values(prod):
    return airflow_values(prod)


def node(diagram, name):
    """The text of a node."""
    return re.search(rf'(?<![\w-]){name}[\[({{]+"?([^\])}}]*?)"?[\])}}]', diagram)[1]


def test_every_node_is_a_resource_or_a_pod_of_prod(diagram, prod):
    known = {resource.name for resource in prod.resources.values()} | {*PARTS, "airflow-worker"}
    known |= {name.removeprefix("airflow-") for name in known}
    drawn = set(re.findall(r"(?<![\w-])([a-z][a-z0-9-]*)[\[({]", diagram))
    drawn |= set(re.findall(r"subgraph ([a-z-]+)", diagram)) | set(
        re.findall(r"^\s+([a-z-]+)$", diagram, re.M)
    )
    drawn -= {"subgraph", "end"}
    assert len(drawn) > 18
    assert sorted(drawn - known - OUTSIDE) == [], f"not in the plan of prod: {EDIT}"


def test_every_component_of_prod_is_drawn(diagram, prod):
    components = {r.name for r in prod.resources.values() if r.type.startswith("airflow:")}
    # Drawn as an arrow, as nodes with the workers, as the pods of the release, or as the VPC.
    elsewhere = {
        "airflow",
        "airflow-secrets",
        "airflow-keda-role",
        "cluster",
        "logs",
        "network-flow-logs",
        "worker-nodes",
    }
    names = {name.removeprefix("airflow-") for name in components - elsewhere}
    assert sorted(name for name in names if name not in diagram) == [], EDIT


def test_network_and_subnets_are_those_of_prod(diagram, prod):
    blocks = {
        kind: [
            s.inputs["cidrBlock"]
            for s in prod.all("aws:ec2/subnet:Subnet")
            if s.name.startswith(f"network-{kind}-")
        ]
        for kind in ("public", "private")
    }
    for kind, cidrs in blocks.items():
        assert f'{kind}["{kind} subnets {", ".join(sorted(cidrs))}"]' in diagram, EDIT
    assert f"VPC {prod.one('aws:ec2/vpc:Vpc').inputs['cidrBlock']} in eu-west-1" in diagram, EDIT


def test_each_zone_has_its_nat_gateway(diagram, prod):
    zones = {s.name: s.inputs["availabilityZone"] for s in prod.all("aws:ec2/subnet:Subnet")}
    for gateway in prod.all("aws:ec2/natGateway:NatGateway"):
        zone = zones[gateway.name.replace("nat", "public")]
        assert f'{gateway.name}["NAT gateway {zone[-2:]}"]' in diagram, EDIT


def test_the_cluster_is_the_one_of_prod(diagram, prod):
    cluster = prod.one("eks:index:Cluster", "cluster-eks").inputs
    endpoint = "public endpoint" if cluster["endpointPublicAccess"] else "private endpoint"
    assert cluster["autoMode"]["enabled"] is True
    assert node(diagram, "cluster-eks") == (
        f"EKS Auto Mode, Kubernetes {cluster['version']}, {endpoint}"
    ), EDIT
    key = prod.one("aws:kms/key:Key", "cluster-secrets")
    assert key.urn in prod.one("eks:index:Cluster", "cluster-eks").depends_on
    assert "cluster-secrets" in node(diagram, "cluster-secrets")


def test_the_database_is_the_one_of_prod(diagram, prod):
    database = prod.one(INSTANCE).inputs
    zones = "Multi-AZ" if database["multiAz"] else "one zone"
    assert node(diagram, "database") == (
        f"database<br>RDS PostgreSQL {POSTGRES}, {database['instanceClass']}<br>"
        f"{zones}, {database['backupRetentionPeriod']} days of backups"
    ), EDIT


def test_the_database_is_reached_over_verified_tls(diagram, prod):
    parameters = prod.one("aws:rds/parameterGroup:ParameterGroup").inputs["parameters"]
    assert {"name": "rds.force_ssl", "value": "1"} in parameters
    assert "SQL over TLS --> database" in diagram


def test_replicas_are_those_of_prod(diagram, values):
    for pod, part in PARTS.items():
        assert node(diagram, pod) == f"{values[part]['replicas']} {pod}", EDIT


def test_workers_are_those_of_prod(diagram, settings):
    workers = settings.workers
    nodes = "own spot nodes" if workers.spot else "own on-demand nodes"
    assert list(settings.all_queues) == ["default"]
    assert node(diagram, "airflow-worker") == (
        f"{workers.min} to {workers.max} airflow-worker<br>"
        f"queue default, {workers.concurrency} tasks each<br>{nodes}"
    ), EDIT


def test_versions_and_sizes_are_those_of_prod(diagram, prod, settings):
    redis = prod.one("kubernetes:apps/v1:StatefulSet", "redis-server").inputs
    image = at(redis, "spec.template.spec.containers")[0]["image"]
    storage = prod.one("kubernetes:core/v1:PersistentVolumeClaim", "redis-data").inputs
    size = at(storage, "spec.resources.requests.storage").replace("Gi", " GiB")
    version = image.partition(":")[2].partition("-")[0]
    assert node(diagram, "redis") == f"redis {version}, {size}", EDIT
    chart = prod.one("kubernetes:helm.sh/v3:Release", "keda-release").inputs["version"]
    assert node(diagram, "keda") == f"keda {chart}", EDIT
    assert f"namespace airflow: Airflow {settings.airflow.version}" in diagram, EDIT
    assert f"fetches every {settings.dags.poll_seconds:g} s" in node(diagram, "dag-relay"), EDIT
    assert f"{settings.logs.retention_days} days" in node(diagram, "logs-bucket"), EDIT


def test_users_reach_the_load_balancer_over_https_only(diagram, prod, values, settings):
    annotations = at(values, "ingress.apiServer.annotations")
    listeners = annotations["alb.ingress.kubernetes.io/listen-ports"]
    scheme = prod.one("kubernetes:eks.amazonaws.com/v1:IngressClassParams").inputs["spec"]["scheme"]
    assert listeners == '[{"HTTPS": 443}]'
    assert "-- HTTPS --> load-balancer -- HTTP --> airflow-api-server" in diagram, EDIT
    assert node(diagram, "load-balancer") == (
        f"{scheme} load balancer<br>{settings.airflow.ingress.host}"
    ), EDIT
    cidrs = annotations["alb.ingress.kubernetes.io/inbound-cidrs"]
    assert f'users(["users in {cidrs}"])' in diagram, EDIT
    repository = settings.dags.repo.removeprefix("https://").removesuffix(".git")
    assert node(diagram, "git") == f"{repository}<br>branch {settings.dags.branch}", EDIT
