"""The backends of EKS and RDS, with a fake kubectl."""

import itertools
import json
import socket
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from dnslib import DNSRecord

from tests.engine.simulator import identity
from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.endpoint import Endpoint, Machine, admits
from tests.engine.simulator.backends.kubernetes import is_administrator
from tests.engine.simulator.backends.load_balancers import LoadBalancers
from tests.engine.simulator.backends.pods import Pods
from tests.engine.simulator.backends.postgres import Postgres
from tests.engine.simulator.backends.resolver import Resolver, without_zone
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources import LOOKUPS

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def _kubectl():
    """Each Service has its own address."""
    addresses = (f"10.96.0.{number}" for number in itertools.count(1))
    kubectl = Mock()
    kubectl.get.side_effect = lambda kind, *_: (
        {"spec": {"clusterIP": next(addresses)}} if kind == "service" else {"items": []}
    )
    return kubectl


@pytest.fixture
def backends(monkeypatch):
    """The databases, and the webhook for pods."""
    monkeypatch.setattr(Postgres, "_parameters", lambda *_: {})
    cloud, kubectl, authority = Cloud(host="127.0.0.1"), _kubectl(), Authority()
    names = {}
    pods = Pods(cloud, kubectl, authority, "127.0.0.1", set())
    yield Postgres(cloud, kubectl, authority, names), pods
    pods.stop()
    cloud.stop()


@pytest.fixture
def registry(backends):
    """Repositories of ECR, one with a cache rule, and the image that a pod runs."""
    _, pods = backends
    secret = pods.cloud.client("secretsmanager").create_secret(
        Name="ecr-pullthroughcache/docker-hub", SecretString="{}"
    )
    ecr = pods.cloud.client("ecr")
    ecr.create_pull_through_cache_rule(
        ecrRepositoryPrefix="airflow-dev",
        upstreamRegistryUrl="registry-1.docker.io",
        credentialArn=secret["ARN"],
    )
    for name in ("airflow-dev/library/redis", "airflow-dev/apache/airflow", "other/library/redis"):
        ecr.create_repository(repositoryName=name)

    def run(image):
        pod = {"spec": {"containers": [{"name": "c", "image": image}]}}
        return pods.mutate(pod, "airflow")["spec"]["containers"][0]["image"]

    return run


@pytest.mark.parametrize(
    ("image", "pulled"),
    [
        (f"{ECR}/airflow-dev/library/redis:7.2", "redis:7.2"),
        (f"{ECR}/airflow-dev/apache/airflow@sha256:0", "apache/airflow@sha256:0"),
        ("registry.k8s.io/git-sync/git-sync:v4", "registry.k8s.io/git-sync/git-sync:v4"),
        ("redis:7.2", "redis:7.2"),
    ],
)
def test_an_image_in_the_cache_is_pulled_from_docker_hub(registry, image, pulled):
    assert registry(image) == pulled


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (f"{ECR}/other/library/redis:7.2", "not found, and no cache rule has its prefix"),
        (f"{ECR}/airflow-dev/library/nginx:1", "repository airflow-dev/library/nginx does not"),
        (ECR.replace("1234", "4321") + "/airflow-dev/library/redis:7.2", "does not exist"),
        (ECR.replace("eu-", "us-") + "/airflow-dev/library/redis:7.2", "does not exist"),
    ],
    ids=["no rule", "no repository", "another account", "another Region"],
)
def test_an_image_that_is_not_in_the_cache_is_refused(registry, image, reason):
    with pytest.raises(LookupError, match=reason):
        registry(image)


COREFILE = ".:53 {\n    kubernetes cluster.local {\n        ttl 5\n    }\n    reload\n}\n"


class CoreDns(Mock):
    """kubectl of a cluster with one Corefile."""

    corefile = COREFILE

    def get(self, *_words):
        return {"data": {"Corefile": self.corefile}}

    def apply(self, configmap):
        self.corefile = configmap["data"]["Corefile"]


@pytest.fixture
def resolver(backends):
    databases, _ = backends
    started = Resolver(CoreDns(), "127.0.0.1", databases.names)
    started.start()
    yield started
    started.stop()


def test_pods_resolve_only_existing_databases(backends, resolver, capsys):
    databases, _ = backends

    def address(host):
        answer = DNSRecord.parse(
            DNSRecord.question(host).send("127.0.0.1", int(resolver.address.split(":")[1]))
        )
        return str(answer.short())

    first, _ = databases.create("first", "airflow", "password", "airflow")
    assert address(first) == "10.96.0.1"

    databases.delete("first")
    second, _ = databases.create("second", "airflow", "password", "airflow")
    assert address(second) == "10.96.0.2"
    assert address(first) == ""
    assert capsys.readouterr().out == "", "the simulator prints `ready` only"


def test_coredns_forwards_only_while_the_account_exists(resolver):
    block = f"rds.amazonaws.com:53 {{\n    errors\n    forward . {resolver.address}\n}}\n"
    assert resolver.kubectl.corefile == COREFILE + block
    assert without_zone(COREFILE + block) == COREFILE, "the block of a killed account goes, too"


VPC = "10.9.0.0/16"
OUTSIDE, INSIDE = "203.0.113.7", "10.9.1.4"


@pytest.fixture
def cluster():
    """An account with a cluster: `endpoint(**config)` sets it, `admits(**machine)` asks."""
    with Cloud(host="127.0.0.1") as cloud:
        yield EksCluster(cloud)


class EksCluster:
    def __init__(self, cloud):
        self.cloud = cloud
        ec2, iam = cloud.client("ec2"), cloud.client("iam")
        vpc = ec2.create_vpc(CidrBlock=VPC)["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("ab")
        ]
        role = iam.create_role(RoleName="cluster", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        cloud.client("eks").create_cluster(
            name="c", roleArn=role, resourcesVpcConfig={"subnetIds": subnets}
        )

    def endpoint(self, **config):
        self.cloud.client("eks").update_cluster_config(name="c", resourcesVpcConfig=config)

    def allow(self, cidr, port=443):
        eks, ec2 = self.cloud.client("eks"), self.cloud.client("ec2")
        group = eks.describe_cluster(name="c")["cluster"]["resourcesVpcConfig"]
        ec2.authorize_security_group_ingress(
            GroupId=group["clusterSecurityGroupId"],
            IpPermissions=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": port,
                    "ToPort": port,
                    "IpRanges": [{"CidrIp": cidr}],
                }
            ],
        )

    def admits(self, **machine):
        return admits(self.cloud, "c", Machine(**machine))


def test_a_public_endpoint_answers_the_listed_networks_only(cluster):
    assert cluster.admits(public=OUTSIDE), "AWS's default is 0.0.0.0/0"

    cluster.endpoint(endpointPublicAccess=True, publicAccessCidrs=["198.51.100.0/24"])
    assert not cluster.admits(public=OUTSIDE, private=INSIDE)
    assert cluster.admits(public="198.51.100.9")


def test_a_private_endpoint_answers_what_its_group_admits(cluster):
    cluster.endpoint(endpointPublicAccess=False, endpointPrivateAccess=True)
    assert not cluster.admits(public=OUTSIDE)
    assert not cluster.admits(public=OUTSIDE, private=INSIDE), "the group admits itself only"

    cluster.allow("10.9.0.0/16", port=80)
    assert not cluster.admits(private=INSIDE)
    cluster.allow("10.9.0.0/16")
    assert cluster.admits(private=INSIDE)
    assert not cluster.admits(public=OUTSIDE)
    assert not cluster.admits(private="10.8.0.1")


def test_only_callers_with_an_access_entry_are_administrators(cluster):
    eks, policy = (
        cluster.cloud.client("eks"),
        "aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
    )
    entry = {"clusterName": "c", "principalArn": identity.COLLEAGUE}
    assert not is_administrator(cluster.cloud, "c", identity.COLLEAGUE)

    eks.create_access_entry(**entry)
    assert not is_administrator(cluster.cloud, "c", identity.COLLEAGUE), "an entry without policy"
    eks.associate_access_policy(
        **entry, policyArn=f"arn:aws:eks::{policy}", accessScope={"type": "cluster"}
    )
    assert is_administrator(cluster.cloud, "c", identity.COLLEAGUE)
    assert not is_administrator(cluster.cloud, "c", identity.CALLER)
    assert not is_administrator(cluster.cloud, "other", identity.COLLEAGUE)


def test_the_session_of_another_person_is_that_of_another_role(cluster):
    sts = cluster.cloud.client("sts")
    own = sts.get_caller_identity()["Arn"]

    identity.log_in(identity.COLLEAGUE_ROLE)
    try:
        other = sts.get_caller_identity()["Arn"]
        assert identity.caller() == identity.COLLEAGUE
        assert identity.issuer(cluster.cloud.client("iam"), other) == identity.COLLEAGUE
    finally:
        identity.log_in(identity.ROLE)
    assert identity.issuer(cluster.cloud.client("iam"), own) == identity.CALLER


def test_an_endpoint_update_without_a_change_is_refused(cluster):
    opened = {"endpointPublicAccess": True, "publicAccessCidrs": ["198.51.100.0/24"]}
    cluster.endpoint(**opened)

    with pytest.raises(ClientError, match="already at the desired configuration"):
        cluster.endpoint(**opened)
    with pytest.raises(ClientError, match="cannot be false"):
        cluster.endpoint(endpointPublicAccess=False, endpointPrivateAccess=False)


def test_a_refused_connection_gets_no_answer():
    admitted = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = Endpoint(server.getsockname(), lambda: bool(admitted))
        where = ("127.0.0.1", int(endpoint.url.rpartition(":")[2]))
        with socket.create_connection(where, timeout=0.5) as caller:
            caller.sendall(b"hello")
            with pytest.raises(TimeoutError):
                caller.recv(1)
        admitted.append(True)
        with socket.create_connection(where, timeout=5) as caller:
            caller.sendall(b"hello")
            connection, _ = server.accept()
            with connection:
                assert connection.recv(5) == b"hello"
                connection.sendall(b"welcome")
            assert caller.recv(7) == b"welcome"
        endpoint.close()


def ingress(name="airflow-ingress", cls="airflow", **status):
    return {"metadata": {"name": name}, "spec": {"ingressClassName": cls}, "status": status}


@pytest.fixture
def load_balancers(backends):
    """The host names given to Ingresses, by Ingress."""
    _, pods = backends

    def sync(*ingresses):
        kubectl = Mock()
        kubectl.get.return_value = {"items": list(ingresses)}
        LoadBalancers(pods.cloud, kubectl).sync()
        patches = [call.args for call in kubectl.run.call_args_list]
        return {
            words[2]: json.loads(words[-1])["status"]["loadBalancer"]["ingress"][0]["hostname"]
            for words in patches
        }

    sync.cloud = pods.cloud
    return sync


def test_an_ingress_gets_the_name_of_its_load_balancer(load_balancers):
    cloud = load_balancers.cloud
    subnets = [s["SubnetId"] for s in cloud.client("ec2").describe_subnets()["Subnets"][:2]]
    tags = [
        {"Key": "simulated/object", "Value": "airflow/airflow-ingress"},
        {"Key": "ingress.eks.amazonaws.com/stack", "Value": "airflow/airflow-ingress"},
    ]
    (created,) = cloud.client("elbv2").create_load_balancer(Name="one", Subnets=subnets, Tags=tags)[
        "LoadBalancers"
    ]

    known = ingress("known", loadBalancer={"ingress": [{"hostname": "a"}]})
    found = load_balancers(ingress(), known, ingress("other", "nginx"))
    assert found == {"airflow-ingress": created["DNSName"]}
    wanted = {"tags": {"ingress.eks.amazonaws.com/stack": "airflow/airflow-ingress"}}
    (arn,) = LOOKUPS["aws:lb/getLbs:getLbs"](cloud, wanted)["arns"]
    found = LOOKUPS["aws:lb/getLoadBalancer:getLoadBalancer"](cloud, {"arn": arn})
    assert found["dnsName"] == created["DNSName"]
    assert LOOKUPS["aws:lb/getLbs:getLbs"](cloud, {"tags": {"a": "b"}})["arns"] == []
