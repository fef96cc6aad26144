"""Components of a stack that depend on each other: database, Redis, KEDA, queues, webhook."""

import hashlib

import pulumi
import pytest

from ops.plan import fake_cloud
from ops.plan.report import airflow_values
from policies.chart_values import read
from policies.view import at
from settings.rds_ca import RDS_CA
from tests.unit.settings.stacks import EXISTING_NETWORK, INGRESS
from tests.unit.stacks.committed import every_aws_stack, every_stack, find, names

JOB = "kubernetes:batch/v1:Job"


def connection(found, secret):
    return find(found, f"Secret airflow-secrets-{secret}").inputs["stringData"]["connection"].value


def authorities(found):
    """Contents of the ConfigMaps that Airflow and KEDA mount."""
    return [
        config_map.inputs["data"]["ca.pem"]
        for config_map in found.all("kubernetes:core/v1:ConfigMap")
        if config_map.inputs["metadata"]["name"] == "rds-ca"
    ]


def database_clients(found):
    (rule,) = find(found, "NetworkPolicy database-clients").inputs["spec"]["ingress"]
    return rule["from"]


def namespaces(clients):
    return [
        client["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for client in clients
        if "namespaceSelector" in client
    ]


@every_aws_stack
def test_clients_verify_the_certificate_of_rds(snapshot, name):
    found = snapshot(name)

    assert connection(found, "metadata") == (
        "postgresql+psycopg2://airflow:database-password-1@database-instance.rds.example:5432/"
        "airflow?sslmode=verify-full&sslrootcert=/etc/rds-ca/ca.pem"
    )
    assert authorities(found) == [RDS_CA.read_text()] * 2, "for Airflow and for KEDA"
    rule = find(found, "SecurityGroupIngressRule database-from-clients").inputs
    assert rule["referencedSecurityGroupId"] == "cluster-eks-cluster-security-group"


@every_aws_stack
def test_routes_and_nat_are_deleted_after_the_cluster(snapshot, name):
    found = snapshot(name)
    before = found.waits_for(find(found, "Cluster cluster-eks").urn)

    for kind in ("route:Route", "natGateway:NatGateway", "vpcEndpoint:VpcEndpoint"):
        assert {r.urn for r in found.all(f"aws:ec2/{kind}")} <= before, (
            "nodes that are being deleted would lose AWS and the Internet"
        )


def test_an_existing_network_replaces_the_new_one(program):
    found = program(
        "dev", network=EXISTING_NETWORK, airflow={"ingress": INGRESS}, dags={"webhook": True}
    )

    assert not [r for r in found.resources.values() if r.type.startswith("aws:ec2/vpc")]
    cluster = find(found, "Cluster cluster-eks").inputs
    assert cluster["vpcId"] == EXISTING_NETWORK["vpc_id"]
    assert cluster["privateSubnetIds"] == EXISTING_NETWORK["private_subnet_ids"]
    groups = find(found, "SubnetGroup").inputs
    assert groups["subnetIds"] == EXISTING_NETWORK["private_subnet_ids"]
    group = find(found, "SecurityGroup database-security-group").inputs
    assert group["vpcId"] == EXISTING_NETWORK["vpc_id"]


def test_a_load_balancer_may_have_an_address_in_every_range(program, monkeypatch):
    ranges = ["10.9.0.0/16", "100.64.0.0/16"]
    blocks = [{"cidrBlock": cidr, "state": "associated"} for cidr in ranges]
    answer = {"cidrBlockAssociations": blocks}
    monkeypatch.setitem(fake_cloud.LOOKUPS, "aws:ec2/getVpc:getVpc", answer)
    found = program(
        "dev", network=EXISTING_NETWORK, airflow={"ingress": INGRESS}, dags={"webhook": True}
    )

    blocks = [{"ipBlock": {"cidr": cidr}} for cidr in ranges]
    server = airflow_values(found)["apiServer"]
    assert server["networkPolicy"]["ingress"]["from"][1:] == blocks
    assert {"name": "FORWARDED_ALLOW_IPS", "value": ",".join(ranges)} in server["env"]
    rules = find(found, "NetworkPolicy dag-relay-clients").inputs["spec"]["ingress"]
    assert blocks in [rule["from"] for rule in rules], "the webhook of the relay"


def test_the_ca_file_of_a_region_replaces_the_default(program, tmp_path):
    own = tmp_path / "region.pem"
    own.write_text("-----BEGIN CERTIFICATE-----\nof another Region\n")

    assert authorities(program("dev", database={"ca_file": str(own)})) == [own.read_text()] * 2


def test_clients_reach_the_database_in_a_pod(snapshot):
    found = snapshot("local")

    assert connection(found, "metadata") == (
        "postgresql+psycopg2://airflow:database-password-1@database.airflow:5432/airflow"
    )
    service = find(found, "Service database-service").inputs
    assert service["spec"]["ports"] == [{"port": 5432}]


@every_stack
def test_clients_reach_redis_with_its_password(snapshot, name):
    found = snapshot(name)

    assert connection(found, "broker") == "redis://airflow:redis-password-1-1@redis:6379/0"
    config = find(found, "Secret redis-config").inputs["stringData"]["redis.conf"]
    digest = hashlib.sha256(b"redis-password-1-1").hexdigest()
    assert f"user airflow on #{digest} " in config.value


@pytest.mark.parametrize(
    "changed", [{"workers": {"scaling": "queue"}}, {"queues": {"etl": {}}}], ids=["default", "etl"]
)
def test_keda_reaches_the_database_of_a_queue_it_scales(program, changed):
    found = program("local", **changed)

    assert find(found, "Release keda-release")
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}},
        "podSelector": {"matchLabels": {"app": "keda-operator"}},
    }
    assert operator in database_clients(found), "KEDA counts tasks in the database"


def test_an_existing_keda_is_admitted_and_not_installed(program):
    keda = {"existing": True, "namespace": "keda-system"}
    found = program("local", workers={"scaling": "queue"}, keda=keda)

    assert names(found) & {"keda", "keda-release", "keda-namespace"} == set()
    assert namespaces(database_clients(found)) == ["keda-system"]
    assert find(found, "Secret airflow-secrets-keda")
    assert found.one(JOB)


def test_without_keda_no_other_namespace_is_admitted(program):
    found = program("local", workers={"scaling": "cpu"}, keda={"existing": True})

    assert namespaces(database_clients(found)) == []
    assert found.all(JOB) == []


def test_keda_role_and_release_do_not_wait_for_each_other(snapshot, program):
    for found, database in (
        (snapshot("prod"), "Instance database-instance"),
        (program("local", workers={"scaling": "queue"}), "StatefulSet database-server"),
    ):
        job, release = found.one(JOB).urn, find(found, "Release airflow-release").urn
        before = found.waits_for(job)
        needed = (database, "Secret airflow-secrets-keda", "Secret airflow-secrets-metadata")
        assert {find(found, label).urn for label in needed} <= before
        assert release not in before, "KEDA could not log in until every pod is ready"
        assert job not in found.waits_for(release), "the job waits for a table of the release"


def test_a_new_queue_changes_no_other_queue(snapshot, program):
    old = snapshot("prod").resources
    new = program("prod", queues={"etl": {"max": 2, "grace_seconds": 9000}}).resources

    assert {new[urn].name for urn in new.keys() - old.keys()} == {
        "logs-airflow-worker-etl",
        "nodes-pool-etl",
    }
    assert old.keys() < new.keys()
    changed = {urn.rpartition("::")[2] for urn in old if old[urn].inputs != new[urn].inputs}
    assert changed == {
        "airflow-release",
        "airflow-task-keeper-deployment",
        "airflow-keda-role-job",  # KEDA runs one more query
    }


def test_an_iam_policy_of_a_queue_is_attached_to_its_workers(program):
    policy = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    found = program("dev", queues={"etl": {"iam_policy_arn": policy}})

    attached = find(found, "RolePolicyAttachment logs-airflow-worker-etl-tasks")
    assert attached.inputs == {"role": "logs-airflow-worker-etl", "policyArn": policy}
    waits = found.waits_for(find(found, "Release airflow-release").urn)
    assert attached.urn in waits, "its first tasks would lack their permissions"


def test_the_load_balancer_routes_to_the_webhook(program):
    found = program("prod", dags={"webhook": True})

    *_, rule = find(found, "NetworkPolicy dag-relay-clients").inputs["spec"]["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "10.2.0.0/16"}}]
    assert at(airflow_values(found), "ingress.apiServer.precedingPaths")
    service = find(found, "Service dag-relay-webhook").urn
    release = find(found, "Release airflow-release").urn
    assert service in found.waits_for(release), "the ingress of the release needs the Service"


def without_value(value, path=""):
    """Paths of inputs that are None inside a list or a map."""
    inner = {}
    if isinstance(value, dict):
        inner = value
    elif isinstance(value, list):
        inner = dict(enumerate(value))
    found = [lost for key, each in inner.items() for lost in without_value(each, f"{path}.{key}")]
    return [path] if value is None else found


@every_stack
def test_no_input_is_made_of_an_unknown_output(snapshot, name):
    found = {
        f"{resource.name}{path}"
        for resource in snapshot(name).resources.values()
        for path in without_value(resource.inputs)
    }
    assert sorted(found) == [], "add the output that it comes from to ops/plan/fake_cloud.py"


def test_the_load_balancer_logs_into_the_bucket_of_the_stack(snapshot):
    found = snapshot("prod")

    policy = find(found, "BucketPolicy")
    parameters = find(found, "IngressClassParams")
    given = parameters.inputs["spec"]["loadBalancerAttributes"]
    bucket = {each["key"]: each["value"] for each in given}["access_logs.s3.bucket"]
    assert bucket == policy.inputs["bucket"] == "logs-bucket"
    assert "logdelivery.elasticloadbalancing" in policy.inputs["policy"]
    assert policy.urn in parameters.depends_on, (
        "AWS refuses access logs in a bucket without the permission"
    )


def test_without_access_logs_no_load_balancer_may_write(program):
    ingress = {
        "host": "airflow.example.com",
        "certificate_arn": "arn:aws:acm:eu-west-1:111122223333:certificate/1",
        "allowed_cidrs": ["10.0.0.0/8"],
        "access_logs": False,
    }

    for found in (program("prod", airflow={"ingress": ingress}), program("dev")):
        assert "logdelivery" not in find(found, "BucketPolicy").inputs["policy"]


SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ecr-pullthroughcache/docker-hub-Ab1"
ECR = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/airflow-dev"


def images_of(value):
    """Images of containers in the inputs of a resource."""
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value["image"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from images_of(inner)


def test_every_docker_hub_image_comes_from_the_cache(program):
    found = program(
        "dev",
        images={"docker_hub_secret_arn": SECRET},
        git_server={},
        dags={"repo": "git://git-server:9418/dags.git"},
    )

    pods = {r.name: set(images_of(r.inputs)) for r in found.resources.values()}
    values = airflow_values(found)
    assert {name for name, images in pods.items() if images} == {
        "airflow-keda-role-job",
        "airflow-task-keeper-deployment",
        "dag-relay-server",
        "git-server-server",
        "redis-server",
    }
    assert set().union(*pods.values()) == {
        f"{ECR}/apache/airflow:3.3.2",
        f"{ECR}/library/redis:7.2.16-bookworm",
        "registry.k8s.io/git-sync/git-sync:v4.4.2",
    }
    assert values["defaultAirflowRepository"] == f"{ECR}/apache/airflow"
    assert values["images"]["gitSync"]["repository"] == "registry.k8s.io/git-sync/git-sync"


def test_pods_start_after_the_cache_and_stop_before_it(program):
    found = program("dev", images={"docker_hub_secret_arn": SECRET})

    namespace = find(found, "Namespace namespace")
    cache = {r.urn for r in found.resources.values() if r.type.startswith("aws:ecr/")}
    assert len(cache) == 3
    assert cache <= namespace.depends_on


def test_the_cache_must_be_in_the_region_of_the_stack(program):
    elsewhere = SECRET.replace("eu-west-1", "eu-west-2")

    with pytest.raises(pulumi.RunError) as refused:
        program("dev", images={"docker_hub_secret_arn": elsewhere})
    assert (
        "images.docker_hub_secret_arn: is in eu-west-2, but the stack is in eu-west-1 (aws:region), "
        f"and AWS uses only secretsmanager resources of its own Region; create it there, got {elsewhere!r}"
    ) in str(refused.value)


def test_pods_wait_for_nodes_and_end_before_them(snapshot):
    found = snapshot("prod")
    pools = {pool.urn for pool in found.all("kubernetes:karpenter.sh/v1:NodePool")}
    kinds = ("StatefulSet", "Deployment", "Job", "Release", "Namespace", "Addon")

    waiting = [r for r in found.resources.values() if r.type.rpartition(":")[2] in kinds]
    waiting = [r for r in waiting if not r.type.startswith("airflow:")]
    assert {r.type.rpartition(":")[2] for r in waiting} == set(kinds)
    assert [r.name for r in waiting if not pools <= found.waits_for(r.urn)] == []


@pytest.mark.parametrize("label", ["NodeClass", "StorageClass", "IngressClassParams"])
def test_tags_wait_for_the_permission_to_set_them(snapshot, label):
    found = snapshot("prod")

    policy = find(found, "RolePolicy cluster-tags").urn
    assert policy in found.waits_for(find(found, label).urn)


def test_nodes_are_in_the_private_subnets_of_the_cluster(snapshot):
    found = snapshot("prod")

    spec = find(found, "NodeClass").inputs["spec"]
    ids = [term["id"] for term in spec["subnetSelectorTerms"]]
    assert ids == [f"network-private-{number}-id" for number in range(3)]
    (group,) = spec["securityGroupSelectorTerms"]
    rule = find(found, "SecurityGroupIngressRule database-from-clients").inputs
    assert group["id"] == rule["referencedSecurityGroupId"], "its workers connect to the database"


def test_the_architecture_of_the_cluster_reaches_its_nodes(program):
    found = program("dev", cluster={"architecture": "arm64"})

    spec = find(found, "NodePool nodes-platform").inputs["spec"]
    assert {"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]} in spec["template"][
        "spec"
    ]["requirements"]


@pytest.mark.parametrize(("name", "exported"), [("prod", True), ("dev", False), ("local", False)])
def test_a_stack_with_an_ingress_exports_its_load_balancer(stack, name, exported):
    found = stack(name)[0].exports.get("loadBalancer", "")

    assert found.startswith("internal-k8s-") is exported


@pytest.mark.parametrize(("name", "number"), [("local", 6), ("prod", 4)])
def test_every_pod_logs_in_to_the_private_registry(program, name, number):
    """Also those of the charts: tests/chart/test_pods.py."""
    found = program(
        name,
        images={"pull_secret": "registry"},
        workers={"scaling": "queue"},
        dags={"webhook": True},
    )

    specs = {r.name: at(r.inputs, "spec.template.spec") for r in found.resources.values()}
    pods = {pod: spec for pod, spec in specs.items() if spec is not None and "containers" in spec}
    assert len(pods) == number
    for pod, spec in pods.items():
        assert spec["imagePullSecrets"] == [{"name": "registry"}], pod
    assert airflow_values(found)["imagePullSecrets"] == [{"name": "registry"}]
    keda = find(found, "Release keda-release").inputs["values"]
    assert keda["imagePullSecrets"] == [{"name": "registry"}]


def test_the_namespace_reaches_everything_of_the_stack(program):
    found = program("local", cluster={"namespace": "flow"}, workers={"scaling": "queue"})

    names = {
        at(r.inputs, "metadata.namespace") or at(r.inputs, "namespace")
        for r in found.resources.values()
    }
    assert names == {None, "flow", "keda"}
    assert find(found, "Namespace namespace-namespace").inputs["metadata"]["name"] == "flow"
    assert find(found, "Release keda-release").inputs["values"]["watchNamespace"] == "flow"
    assert "@database.flow:5432/" in connection(found, "metadata")


def test_the_pods_of_another_namespace_get_their_aws_roles(program):
    found = program("dev", cluster={"namespace": "flow"})

    associations = found.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    assert {a.inputs["namespace"] for a in associations} == {"flow"}
    for role in found.all("aws:iam/role:Role"):
        trust = role.inputs["assumeRolePolicy"]
        assert "kubernetes-namespace" not in trust or '"flow"' in trust


def test_keda_serves_all_namespaces_only_if_it_should(program):
    found = program("local", workers={"scaling": "queue"}, keda={"all_namespaces": True})

    assert find(found, "Release keda-release").inputs["values"]["watchNamespace"] == ""


def _tls(found):
    values = airflow_values(found)
    mounted = {mount["mountPath"] for mount in values.get("volumeMounts", [])}
    return "/etc/rds-ca" in mounted, "connect_args_async" in values.get("airflowLocalSettings", "")


def test_rds_beside_an_existing_cluster(program):
    found = program(
        "local",
        keys={"aws:region": "eu-west-1"},
        network=EXISTING_NETWORK,
        only={"database": {"kind": "rds", "client_security_group_ids": ["sg-0123456789"]}},
        workers={"scaling": "queue"},
    )

    assert "@database-instance.rds.example:5432/" in connection(found, "metadata")
    assert _tls(found) == (True, True)
    assert authorities(found) == [RDS_CA.read_text()] * 2, "for Airflow and for KEDA"
    rule = find(found, "SecurityGroupIngressRule").inputs
    assert rule["referencedSecurityGroupId"] == "sg-0123456789"
    group = find(found, "SecurityGroup database-security-group").inputs
    assert group["vpcId"] == EXISTING_NETWORK["vpc_id"]
    subnets = find(found, "SubnetGroup database-subnets").inputs["subnetIds"]
    assert subnets == EXISTING_NETWORK["private_subnet_ids"]
    assert not found.all("eks:index:Cluster")


SERVER = {"kind": "existing", "host": "db.eu-west-1.rds.amazonaws.com", "max_connections": 900}
PASSWORD = {"airflow-platform:database_password": "given"}


def test_an_existing_database_on_an_existing_cluster(program):
    database = {**SERVER, "user": "flow", "name": "flow"}
    found = program("local", keys=PASSWORD, only={"database": database})

    assert connection(found, "metadata") == (
        "postgresql+psycopg2://flow:given@db.eu-west-1.rds.amazonaws.com:5432/flow"
        "?sslmode=verify-full&sslrootcert=/etc/rds-ca/ca.pem"
    )
    assert _tls(found) == (True, True)
    assert "database-server" not in names(found)


def test_an_existing_database_for_a_new_cluster(program):
    server = {
        "kind": "existing",
        "host": "pg.example.com",
        "tls": False,
        "port": 6432,
        "max_connections": 200,
    }
    found = program(
        "dev", keys=PASSWORD, only={"database": {**server, "security_group_id": "sg-0123456789"}}
    )

    assert connection(found, "metadata") == (
        "postgresql+psycopg2://airflow:given@pg.example.com:6432/airflow"
    )
    assert _tls(found) == (False, False)
    assert authorities(found) == []
    assert not found.all("aws:rds/instance:Instance")
    rule = find(found, "SecurityGroupIngressRule database-from-clients").inputs
    assert rule["securityGroupId"] == "sg-0123456789"
    assert rule["referencedSecurityGroupId"] == "cluster-eks-cluster-security-group"
    assert (rule["fromPort"], rule["toPort"]) == (6432, 6432)


def test_a_job_ends_before_its_replacement_starts(program):
    """A change that is taken back replaces a Job by one of the same name."""
    sso = {"issuer": "https://id.example.com", "client_id": "airflow", "roles": {"data": "Op"}}
    found = program(
        "local",
        keys={"airflow-platform:sso_client_secret": "given"},
        airflow={"sso": sso},
        workers={"scaling": "queue"},
    )
    jobs = found.all("kubernetes:batch/v1:Job")
    assert len(jobs) == 2, "the check of airflow.sso, and the role of KEDA"
    assert [job.delete_before_replace for job in jobs] == [True, True]


def test_xcoms_in_the_bucket_expire_after_their_rows(program):
    kept = read("values/airflow.yaml")["databaseCleanup"]["retentionDays"]
    snapshot = program("dev", airflow={"image": "me/airflow", "xcom_bucket": True})
    lifecycle = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"

    rules = snapshot.one(lifecycle).inputs["rules"]
    matching = [r for r in rules if "xcom/dag/run".startswith(r["filter"]["prefix"])]
    assert [rule["expiration"]["days"] > kept for rule in matching] == [True]
    config = airflow_values(snapshot)["config"]
    assert config["common.io"]["xcom_objectstorage_path"].endswith("/xcom"), "the same prefix"
