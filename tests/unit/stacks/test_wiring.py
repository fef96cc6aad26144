"""Components of a stack that depend on each other: database, Redis, KEDA, queues, webhook."""

import pytest

from components.platforms import RDS_CA
from ops.plan.report import airflow_values
from policies.view import at
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
    rule = find(found, "SecurityGroupIngressRule").inputs
    assert rule["referencedSecurityGroupId"] == "cluster-eks-cluster-security-group"


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

    assert connection(found, "broker") == "redis://:redis-password-1@redis:6379/0"
    config = find(found, "Secret redis-config").inputs["stringData"]["redis.conf"]
    assert "requirepass redis-password-1" in config.value.replace('"', "")


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
        "worker-nodes-pool-etl",
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

    attached = find(found, "RolePolicyAttachment")
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


@pytest.mark.parametrize(("name", "exported"), [("prod", True), ("dev", False), ("local", False)])
def test_a_stack_with_an_ingress_exports_its_load_balancer(stack, name, exported):
    found = stack(name)[0].exports.get("loadBalancer", "")

    assert found.startswith("internal-k8s-") is exported
