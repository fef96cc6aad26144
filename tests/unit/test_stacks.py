"""Every committed stack, through the real program: what holds for all resources, and what differs."""

import ipaddress
import json
import runpy
import signal

import pytest
import yaml

from components.platforms import RDS_CA
from ops import stack_files
from ops.plan.mock_engine import STACK_TYPE, Secret
from ops.plan.values import at, of_airflow
from ops.stack_files import ROOT

STACKS = ("dev", "local", "prod", "staging")
AWS_STACKS = ("dev", "prod", "staging")
PROVIDER = "pulumi:providers:kubernetes"
RELEASE = "kubernetes:helm.sh/v3:Release"
SECRET = "kubernetes:core/v1:Secret"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
SERVER = "kubernetes:apps/v1:StatefulSet"
JOB = "kubernetes:batch/v1:Job"
# They belong to the cluster, or stand in a namespace that is not Airflow's.
ELSEWHERE = {"kube-system", "keda", None}

every_stack = pytest.mark.parametrize("name", STACKS)
every_aws_stack = pytest.mark.parametrize("name", AWS_STACKS)


@pytest.fixture
def declaration(stack):
    return lambda name: stack(name)[0]


@pytest.fixture
def program(deploy):
    """The real program under the settings of a committed stack, some of them changed."""

    def run(name, *, called=None, **changed):
        config = {key: text for key, text, _ in stack_files.read_stack(name)}
        settings = json.loads(config["airflow-platform:settings"])
        for section, values in changed.items():
            settings[section] = {**settings.get(section, {}), **values}
        config["airflow-platform:settings"] = json.dumps(settings)
        return deploy(
            lambda: runpy.run_path(str(ROOT / "__main__.py")) and None,
            stack=called or name,
            config=config,
        )

    return run


def stack_file(name):
    return yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]


@every_stack
def test_settings_are_read_alone_as_the_program_reads_them(stack, name):
    assert stack_files.read_settings(name) == stack(name)[1]


def test_a_command_that_ran_the_program_hears_of_ctrl_c():
    """The program itself does not: Pulumi would show its traceback."""
    # Whoever runs these tests in the background has none.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stack_files.run_stack("local")

        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_these_are_the_stacks():
    assert tuple(stack_files.stack_names()) == STACKS


@every_stack
def test_only_components_stand_at_the_root(declaration, name):
    found = declaration(name).resources

    at_root = {r.name: r.type for r in found.values() if r.parent.split("::")[2] == STACK_TYPE}
    assert {n: t for n, t in at_root.items() if not t.startswith("airflow:")} == {}, (
        "create these resources in a component of components/, with `parent=self`"
    )
    assert {r.parent for r in found.values() if r.name not in at_root} <= found.keys(), (
        "a parent is not registered: pass `opts` of the component to `super().__init__`"
    )


def test_no_component_changes_its_type_by_accident(declaration):
    types = {r.type for name in STACKS for r in declaration(name).resources.values()}

    assert {t for t in types if t.startswith("airflow:")} == {
        "airflow:aws:Cluster",
        "airflow:aws:Database",
        "airflow:aws:Logs",
        "airflow:aws:Network",
        "airflow:k8s:Airflow",
        "airflow:k8s:AirflowSecrets",
        "airflow:k8s:DagRelay",
        "airflow:k8s:DatabaseContainer",
        "airflow:k8s:ExistingCluster",
        "airflow:k8s:GitServer",
        "airflow:k8s:Keda",
        "airflow:k8s:KedaRole",
        "airflow:k8s:LoadBalancer",
        "airflow:k8s:Namespace",
        "airflow:k8s:Redis",
        "airflow:k8s:StatefulServer",
        "airflow:k8s:TaskKeeper",
        "airflow:k8s:WorkerNodes",
    }, "it is part of every URN: another type replaces all that is in the component"


@every_stack
def test_every_resource_is_named_after_the_component_that_it_is_in(declaration, name):
    for resource in declaration(name).resources.values():
        _, _, kind, parent = resource.parent.split("::")
        assert kind == STACK_TYPE or resource.name.startswith(parent)


@every_stack
def test_kubernetes_resources_go_to_the_cluster_of_the_stack(declaration, name):
    found = declaration(name)

    provider = found.one(PROVIDER).urn
    strays = [
        r.name
        for r in found.resources.values()
        if r.type.startswith("kubernetes:") and r.provider.rpartition("::")[0] != provider
    ]
    assert strays == [], (
        "these resources use the ambient kubeconfig: pass `opts` with the provider of the stack"
    )


@every_stack
def test_no_kubernetes_resource_goes_wherever_kubectl_points_at(name):
    assert "kubernetes" in stack_file(name)["pulumi:disable-default-providers"]


def test_the_local_stack_needs_no_aws_account(declaration):
    assert "aws" in stack_file("local")["pulumi:disable-default-providers"]
    assert not [r for r in declaration("local").resources.values() if r.type.startswith("aws:")]


@every_aws_stack
def test_what_a_stack_owns_is_tagged(name):
    tags = stack_file(name)["aws:defaultTags"]["tags"]

    assert tags == {"project": "airflow-platform", "stack": name, "managed-by": "pulumi"}


@every_aws_stack
def test_a_stack_names_its_region(name):
    assert stack_file(name)["aws:region"] == "eu-west-1"


def secrets_in(value):
    if isinstance(value, Secret):
        yield value.value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from secrets_in(inner)


@every_stack
def test_secrets_are_only_where_they_are_encrypted(declaration, name):
    found = declaration(name)

    places = {r.type for r in found.resources.values() if list(secrets_in(r.inputs))}
    assert places <= {SECRET, "aws:rds/instance:Instance"}
    assert list(secrets_in(found.exports)) == []


@every_stack
def test_no_secret_is_written_in_plain_text(declaration, name):
    found = declaration(name)

    known = {s for r in found.resources.values() for s in secrets_in(r.inputs)}
    assert len(known) > 8
    for resource in found.resources.values():
        plain = str(resource.inputs)
        assert [s for s in known if s in plain] == [], resource.name
    assert [s for s in known if s in str(found.exports)] == []


@every_stack
def test_the_content_of_every_kubernetes_secret_is_secret(declaration, name):
    for secret in declaration(name).all(SECRET):
        assert "data" not in secret.inputs
        assert secret.inputs["stringData"]
        assert all(isinstance(v, Secret) for v in secret.inputs["stringData"].values())


@every_stack
def test_no_firewall_is_open_to_an_address_range(declaration, name):
    for resource in declaration(name).resources.values():
        if "ecurityGroup" in resource.type:
            assert not {"cidrIpv4", "cidrIpv6", "cidrBlocks", "ingress"} & resource.inputs.keys()


@every_stack
def test_every_namespace_of_ours_is_restricted(declaration, name):
    for namespace in declaration(name).all("kubernetes:core/v1:Namespace"):
        labels = namespace.inputs["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted", namespace.name


@every_stack
def test_nothing_is_put_into_a_namespace_that_is_not_there(declaration, name):
    found = declaration(name)

    namespace = found.one("kubernetes:core/v1:Namespace", "namespace-namespace").urn
    inside = [
        r
        for r in found.resources.values()
        if at(r.inputs, "metadata.namespace") not in ELSEWHERE
        or r.inputs.get("namespace") == "airflow"
    ]
    assert len(inside) > 15
    assert [r.name for r in inside if namespace not in found.waits_for(r.urn)] == [], (
        "these resources can be created before their namespace: pass them `namespace` of the platform"
    )


@every_stack
def test_every_server_has_a_policy_that_names_its_clients(declaration, name):
    found = declaration(name)

    guarded = {str(p.inputs["spec"]["podSelector"]): p for p in found.all(POLICY)}
    for server in found.all(SERVER):
        policy = guarded[str(server.inputs["spec"]["selector"])]
        rules = policy.inputs["spec"]["ingress"]
        assert all(rule["from"] for rule in rules), server.name
        containers = server.inputs["spec"]["template"]["spec"]["containers"]
        assert [port["port"] for rule in rules for port in rule["ports"]] == [
            port["containerPort"] for container in containers for port in container["ports"]
        ]


@pytest.mark.parametrize(
    ("name", "type_", "needed"),
    [
        ("local", SERVER, "database-server"),
        ("local", SERVER, "git-server-server"),
        ("local", SERVER, "redis-server"),
        ("local", POLICY, "namespace-deny-ingress"),
        ("prod", "aws:rds/instance:Instance", "database-instance"),
        ("prod", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", None),
        ("prod", SERVER, "redis-server"),
        ("prod", RELEASE, "keda-release"),
        ("prod", "kubernetes:karpenter.sh/v1:NodePool", None),
        ("prod", "kubernetes:storage.k8s.io/v1:StorageClass", None),
        ("prod", "kubernetes:networking.k8s.io/v1:IngressClass", None),
        ("prod", "aws:eks/podIdentityAssociation:PodIdentityAssociation", "logs-airflow-worker"),
        ("prod", "aws:eks/podIdentityAssociation:PodIdentityAssociation", "logs-airflow-triggerer"),
        (
            "prod",
            "aws:eks/podIdentityAssociation:PodIdentityAssociation",
            "logs-airflow-api-server",
        ),
        ("prod", "aws:iam/rolePolicy:RolePolicy", "logs-airflow-worker"),
        ("prod", "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", None),
        ("prod", "aws:eks/addon:Addon", None),
    ],
)
def test_airflow_comes_after_what_it_needs_and_goes_before_it(declaration, name, type_, needed):
    found = declaration(name)

    release = found.one(RELEASE, "airflow-release").urn
    assert found.one(type_, needed).urn in found.waits_for(release)


@every_stack
def test_no_secret_comes_from_a_resource_whose_id_is_the_secret(declaration, name):
    types = {r.type for r in declaration(name).resources.values()}

    assert "random:index/randomBytes:RandomBytes" not in types, "the state has IDs in plain text"


@pytest.mark.parametrize(
    ("name", "file", "parts"),
    [("local", "local.yaml", {"git-server"}), ("prod", "aws.yaml", {"keda", "load-balancer"})],
)
def test_a_stack_has_the_parts_that_its_settings_ask_for(declaration, name, file, parts):
    found = declaration(name)

    names = {r.name for r in found.resources.values()}
    assert names & {"git-server", "keda", "load-balancer"} == parts
    files = found.one(RELEASE, "airflow-release").inputs["valueYamlFiles"]
    assert [f["path"].rpartition("/")[2] for f in files] == ["airflow.yaml", file]


@every_aws_stack
def test_the_database_and_its_clients_agree_on_how_to_meet(declaration, name):
    found = declaration(name)

    connection = found.one(SECRET, "airflow-secrets-metadata").inputs["stringData"]["connection"]
    assert connection.value == (
        "postgresql+psycopg2://airflow:database-password-1@database-instance.rds.example:5432/"
        "airflow?sslmode=verify-full&sslrootcert=/etc/rds-ca/ca.pem"
    )
    authorities = [
        c.inputs["data"]["ca.pem"]
        for c in found.all("kubernetes:core/v1:ConfigMap")
        if c.inputs["metadata"]["name"] == "rds-ca"
    ]
    assert authorities == [RDS_CA.read_text()] * 2, "Airflow and KEDA have the certificates"
    rule = found.one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").inputs
    assert rule["referencedSecurityGroupId"] == "cluster-eks-cluster-security-group"


def test_a_region_that_has_other_authorities_brings_their_certificates(program, tmp_path):
    own = tmp_path / "region.pem"
    own.write_text("-----BEGIN CERTIFICATE-----\nof another Region\n")

    declaration = program("dev", database={"ca_file": str(own)})

    given = [
        c.inputs["data"]["ca.pem"]
        for c in declaration.all("kubernetes:core/v1:ConfigMap")
        if c.inputs["metadata"]["name"] == "rds-ca"
    ]
    assert given == [own.read_text()] * 2


def test_the_database_in_a_pod_and_its_clients_agree_on_how_to_meet(declaration):
    found = declaration("local")

    connection = found.one(SECRET, "airflow-secrets-metadata").inputs["stringData"]["connection"]
    assert connection.value == (
        "postgresql+psycopg2://airflow:database-password-1@database.airflow:5432/airflow"
    )
    assert found.one("kubernetes:core/v1:Service", "database-service").inputs["spec"]["ports"] == [
        {"port": 5432}
    ]


@every_stack
def test_redis_and_its_clients_agree_on_how_to_meet(declaration, name):
    found = declaration(name)

    broker = found.one(SECRET, "airflow-secrets-broker").inputs["stringData"]["connection"]
    assert broker.value == "redis://:redis-password-1@redis:6379/0"
    config = found.one(SECRET, "redis-config").inputs["stringData"]["redis.conf"]
    assert "requirepass redis-password-1" in config.value.replace('"', "")


def test_keda_counts_in_a_database_that_lets_it_in(program):
    found = program("local", workers={"scaling": "queue"})

    (rule,) = found.one(POLICY, "database-clients").inputs["spec"]["ingress"]
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}},
        "podSelector": {"matchLabels": {"app": "keda-operator"}},
    }
    assert operator in rule["from"], "otherwise no worker is ever added"


def test_a_keda_of_somebody_else_is_let_in_and_none_is_installed(program):
    keda = {"existing": True, "namespace": "keda-system"}
    found = program("local", workers={"scaling": "queue"}, keda=keda)

    assert {"keda", "keda-release", "keda-namespace"} & {
        r.name for r in found.resources.values()
    } == set()
    (rule,) = found.one(POLICY, "database-clients").inputs["spec"]["ingress"]
    (peer,) = [peer for peer in rule["from"] if "namespaceSelector" in peer]
    assert peer["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "keda-system"
    }
    assert found.one(SECRET, "airflow-secrets-keda")
    assert found.one(JOB)


def test_a_stack_without_keda_lets_nobody_of_another_namespace_in(program):
    found = program("local", workers={"scaling": "cpu"}, keda={"existing": True})

    (rule,) = found.one(POLICY, "database-clients").inputs["spec"]["ingress"]
    assert [peer for peer in rule["from"] if "namespaceSelector" in peer] == []
    assert found.all(JOB) == []


def test_keda_s_user_is_made_beside_the_release_when_the_database_and_its_secrets_are_there(
    declaration, program
):
    for found, database in (
        (declaration("prod"), ("aws:rds/instance:Instance", "database-instance")),
        (program("local", workers={"scaling": "queue"}), (SERVER, "database-server")),
    ):
        job, release = found.one(JOB).urn, found.one(RELEASE, "airflow-release").urn
        before = found.waits_for(job)
        needed = [database, (SECRET, "airflow-secrets-keda"), (SECRET, "airflow-secrets-metadata")]
        assert {found.one(*what).urn for what in needed} <= before
        assert release not in before, "KEDA could not log in until every pod is ready"
        assert job not in found.waits_for(release), (
            "the release makes the table that the job waits for"
        )


def test_a_queue_more_brings_workers_rights_and_nodes_and_changes_no_others(declaration, program):
    old = declaration("prod").resources
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
        "airflow-keda-role-job",  # KEDA asks for one queue more
    }


def test_workers_of_another_queue_have_the_policy_of_that_queue_only(program):
    policy = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    found = program("dev", queues={"etl": {"iam_policy_arn": policy}})

    (attached,) = found.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert attached.inputs == {"role": "logs-airflow-worker-etl", "policyArn": policy}
    waits = found.waits_for(found.one(RELEASE, "airflow-release").urn)
    assert attached.urn in waits, "its first tasks would lack their rights"


def test_keda_counts_the_tasks_of_a_queue_even_if_default_follows_the_cpu(program):
    found = program("local", queues={"etl": {}})

    assert found.one(RELEASE, "keda-release")
    (rule,) = found.one(POLICY, "database-clients").inputs["spec"]["ingress"]
    assert any("namespaceSelector" in peer for peer in rule["from"]), "KEDA asks the database"


def restarts(declaration):
    """Checksums of every pod and job, by its name."""
    values = of_airflow(declaration)
    found = {
        kind: values[kind]["podAnnotations"]
        for kind in ("scheduler", "dagProcessor", "triggerer", "apiServer")
    }
    found["workers"] = values["workers"]["celery"]["sets"][0]["podAnnotations"]
    found["createUserJob"] = values["createUserJob"]["jobAnnotations"]
    for server in declaration.all(SERVER):
        found[server.name] = at(server.inputs, "spec.template.metadata.annotations")
    for job in declaration.all(JOB):
        found[job.name] = {"name": job.inputs["metadata"]["name"]}
    return found


EVERY_POD = {"workers", "scheduler", "dagProcessor", "triggerer", "apiServer"}


@pytest.mark.parametrize(
    ("number", "changed"),
    [
        ("fernet", {(pod, "airflow-fernet") for pod in EVERY_POD}),
        ("api", {(pod, "airflow-api") for pod in EVERY_POD}),
        ("jwt", {("scheduler", "airflow-jwt"), ("apiServer", "airflow-jwt")}),
        ("admin", {("createUserJob", "airflow-admin")}),
        (
            "database",
            {(pod, "airflow-metadata") for pod in EVERY_POD}
            | {("database-server", "database-password")},
        ),
        (
            "redis",
            {(pod, "airflow-broker") for pod in EVERY_POD} | {("redis-server", "redis-config")},
        ),
        ("webhook", {("dag-relay-server", "dag-relay-webhook")}),
        ("keda", {("airflow-keda-role-job", "name")}),
    ],
)
def test_a_rotation_restarts_exactly_the_pods_that_use_the_secret(program, number, changed):
    given = {"dags": {"webhook": True}, "workers": {"scaling": "queue"}}
    old = restarts(program("local", **given))
    new = restarts(program("local", **given, rotation={number: 2}))

    different = {
        (pod, key.removeprefix("checksum/"))
        for pod, annotations in new.items()
        for key in annotations
        if annotations[key] != old[pod][key]
    }
    assert different == changed
    assert {pod: set(a) for pod, a in new.items()} == {pod: set(a) for pod, a in old.items()}


def test_a_git_host_reaches_the_webhook_of_production_through_the_load_balancer(program):
    found = program("prod", dags={"webhook": True})

    *_, rule = found.one(POLICY, "dag-relay-clients").inputs["spec"]["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "10.2.0.0/16"}}]
    assert at(of_airflow(found), "ingress.apiServer.precedingPaths")
    release = found.one(RELEASE, "airflow-release").urn
    service = found.one("kubernetes:core/v1:Service", "dag-relay-webhook").urn
    assert service in found.waits_for(release), "the load balancer could not lead to it"


@every_stack
def test_its_name_decides_nothing_about_a_stack(declaration, program, name):
    other = "dev" if name == "prod" else "prod"
    renamed = program(name, called=other)

    def without_names(found):
        return {
            (r.type, r.name, r.protect, str(r.inputs).replace(name, "X").replace(other, "X"))
            for r in found.resources.values()
        }

    assert without_names(renamed) == without_names(declaration(name))


def protected(declaration):
    return {r.name for r in declaration.resources.values() if r.protect}


@pytest.mark.parametrize(
    ("name", "kept"),
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
def test_only_production_keeps_its_data_when_somebody_destroys_it(declaration, name, kept):
    assert protected(declaration(name)) == kept


@pytest.mark.parametrize(
    ("type_", "name", "path", "dev", "prod"),
    [
        ("eks:index:Cluster", None, "endpointPublicAccess", True, False),
        ("eks:index:Cluster", None, "publicAccessCidrs", ["203.0.113.0/24"], None),
        ("eks:index:Cluster", None, "deletionProtection", False, True),
        ("aws:rds/instance:Instance", None, "multiAz", False, True),
        ("aws:rds/instance:Instance", None, "instanceClass", "db.t4g.medium", "db.m7g.large"),
        ("aws:rds/instance:Instance", None, "backupRetentionPeriod", 7, 14),
        ("aws:rds/instance:Instance", None, "deletionProtection", False, True),
        ("aws:rds/instance:Instance", None, "skipFinalSnapshot", True, False),
        ("aws:s3/bucket:Bucket", None, "forceDestroy", True, False),
        (RELEASE, "airflow-release", "values.scheduler.replicas", 1, 2),
        (RELEASE, "airflow-release", "values.apiServer.replicas", 1, 2),
        (RELEASE, "airflow-release", "values.ingress.apiServer.enabled", None, True),
    ],
)
def test_production_differs_from_development(declaration, type_, name, path, dev, prod):
    found = [at(declaration(stack).one(type_, name).inputs, path) for stack in ("dev", "prod")]

    assert found == [dev, prod]


@pytest.mark.parametrize(
    ("name", "low", "high", "grace"), [("dev", 1, 4, 120), ("prod", 2, 20, 7200)]
)
def test_production_has_more_workers_with_more_time(declaration, name, low, high, grace):
    (workers,) = of_airflow(declaration(name))["workers"]["celery"]["sets"]

    assert workers["keda"]["minReplicaCount"] == low
    assert workers["keda"]["maxReplicaCount"] == high
    assert workers["terminationGracePeriodSeconds"] == grace


@pytest.mark.parametrize(("name", "zones", "gateways"), [("dev", 2, 1), ("prod", 3, 3)])
def test_production_survives_a_zone(declaration, name, zones, gateways):
    found = declaration(name)

    assert len(found.all("aws:ec2/subnet:Subnet")) == 2 * zones
    assert len(found.all("aws:ec2/natGateway:NatGateway")) == gateways


@pytest.mark.parametrize(
    ("name", "capacity"), [("dev", ["spot", "on-demand"]), ("prod", ["on-demand"])]
)
def test_production_does_not_lose_nodes_to_a_better_price(declaration, name, capacity):
    pool = declaration(name).one("kubernetes:karpenter.sh/v1:NodePool").inputs

    requirements = at(pool, "spec.template.spec.requirements")
    kind = {r["key"]: r["values"] for r in requirements}["karpenter.sh/capacity-type"]
    assert kind == capacity


def test_networks_of_stacks_can_be_joined(declaration):
    networks = [
        ipaddress.IPv4Network(declaration(name).one("aws:ec2/vpc:Vpc").inputs["cidrBlock"])
        for name in AWS_STACKS
    ]

    assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)


@pytest.mark.parametrize(
    ("name", "exports"),
    [
        (
            "local",
            {
                "airflowUrl": "http://localhost:8080",
                "dagsRepository": "git://git-server:9418/dags.git",
            },
        ),
        (
            "prod",
            {
                "airflowUrl": "https://airflow.example.com",
                "dagsRepository": "https://github.com/example/airflow-dags.git",
            },
        ),
    ],
)
def test_a_stack_says_how_to_use_it(declaration, name, exports):
    found = declaration(name).exports

    assert {key: found[key] for key in found if key != "kubeconfig"} == exports
    assert ("kubeconfig" in found) is (name == "prod")


def test_the_workers_of_the_local_stack_follow_the_cpu(declaration):
    (workers,) = of_airflow(declaration("local"))["workers"]["celery"]["sets"]

    assert (workers["hpa"]["minReplicaCount"], workers["hpa"]["maxReplicaCount"]) == (1, 3)
    assert workers["keda"]["enabled"] is False
