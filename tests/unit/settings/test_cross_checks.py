import re

import pytest

from settings import cross_checks
from settings.airflow import AirflowSettings, ComponentPolicies, IngressSettings, ReplicaSettings
from settings.charts import ChartSettings
from settings.cluster import EksSettings, ExistingClusterSettings
from settings.dags import DagSettings
from settings.database import (
    ContainerDatabaseSettings,
    ExistingDatabaseSettings,
    RdsSettings,
)
from settings.git_server import GitServerSettings
from settings.images import ImageSettings
from settings.keda import KedaSettings
from settings.logs import LogSettings
from settings.network import ExistingNetworkSettings, NetworkSettings
from settings.policies import PolicySettings
from settings.proxy import ProxySettings
from settings.stack import Settings
from settings.versions import AIRFLOW_CHART, KEDA_CHART, KEDA_KUBERNETES
from settings.workers import WorkerSettings
from tests.unit.settings import stacks

CIDRS = ("10.0.0.0/8",)
ARN = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ecr-pullthroughcache/docker-hub"
CACHE = ImageSettings(docker_hub_secret_arn=SECRET)
EKS = EksSettings(kind="eks", private_endpoint=True, private_access_cidrs=CIDRS)
EXISTING = ExistingClusterSettings(kind="existing", context="kind-airflow")
RDS = RdsSettings(kind="rds")
CONTAINER = ContainerDatabaseSettings(kind="container")
HTTPS = DagSettings(repo="https://github.com/example/dags.git")
TESTED_VERSION = KEDA_KUBERNETES[KEDA_CHART.version.rpartition(".")[0]][-1]
TESTED = EKS.model_copy(update={"version": TESTED_VERSION})
INGRESS = IngressSettings(host="a.example.com", certificate_arn=ARN, allowed_cidrs=CIDRS)
PUBLIC_UI = AirflowSettings(
    ingress=INGRESS.model_copy(update={"scheme": "internet-facing"}),
)

ON_AWS = {
    "cluster": EKS,
    "network": NetworkSettings(),
    "database": RDS,
    "dags": HTTPS,
    "git_server": None,
    "workers": WorkerSettings(),
    "queues": {},
    "airflow": AirflowSettings(),
    "images": ImageSettings(),
    "region": "eu-west-1",
    "logs": LogSettings(),
    "keda": KedaSettings(),
    "charts": ChartSettings(),
    "proxy": ProxySettings(),
}
ON_EXISTING = {
    **ON_AWS,
    "cluster": EXISTING,
    "network": None,
    "database": CONTAINER,
}
ON_EXISTING_WITH_LOGS = {"cluster": EXISTING, "logs": LogSettings(bucket="logs")}


def xcoms(config=None):
    return AirflowSettings(image="me/airflow", xcom_bucket=True, config=config or {})


GIT = DagSettings(repo="git://git-server:9418/dags.git")
TAGGED = DagSettings(repo="git://git-server:9418/dags.git", tag="v1")
COMMIT = DagSettings(repo="git://git-server:9418/dags.git", commit="a" * 40)
GIT_SERVER = GitServerSettings()
WITH_GIT_SERVER = {**ON_EXISTING, "git_server": GIT_SERVER}
WEBHOOK = DagSettings(repo=HTTPS.repo, webhook=True)
PROTECTED = RdsSettings(kind="rds", protect=True)
EXISTING_KEDA = KedaSettings(existing=True)
ARM = WorkerSettings(architecture="arm64")
EKS_ON_ARM = EksSettings(kind="eks", private_endpoint=True, architecture="arm64")
BIG_DAGS = DagSettings(repo=HTTPS.repo, max_mb=129)
BIG_DAGS_LESS = DagSettings(repo=HTTPS.repo, max_mb=128)
TWO_REPOSITORIES = DagSettings(repo=HTTPS.repo, repositories={"sales": {"repo": HTTPS.repo}})
BIG_BUNDLE = DagSettings(repo=HTTPS.repo, max_mb=129, mode="bundle")
BOTH = ("amd64", "arm64")
POLICY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
NEEDS_EKS = "needs cluster.kind: eks"


def existing_network(public=()):
    private = ("subnet-0000000a", "subnet-0000000b")
    return ExistingNetworkSettings(
        kind="existing",
        vpc_id="vpc-00000001",
        private_subnet_ids=private,
        public_subnet_ids=public,
    )


PUBLIC = ("subnet-0000000c", "subnet-0000000d")


def network(az_count, nat):
    return NetworkSettings(az_count=az_count, nat=nat)


def workers(max_workers, concurrency):
    return WorkerSettings(max=max_workers, concurrency=concurrency)


def airflow(parallelism, schedulers):
    replicas = ReplicaSettings(scheduler=schedulers)
    return AirflowSettings(parallelism=parallelism, replicas=replicas)


EVERY_SECOND = AirflowSettings(config={"workers": {"min_heartbeat_interval": 1}})


SSO = {"issuer": "https://i.example", "client_id": "airflow", "roles": {"ops": "Admin"}}


def with_sso(**given):
    return AirflowSettings.model_validate({"sso": SSO, **given})


RDS_ON_EXISTING = {
    **ON_EXISTING,
    "network": existing_network(),
    "database": RdsSettings(kind="rds", client_cidrs=CIDRS),
}
SERVER = ExistingDatabaseSettings(
    kind="existing", host="db.eu-west-1.rds.amazonaws.com", max_connections=200
)

# By check: valid sections, the sections that break the check, and the mistake: key and reason.
BROKEN = {
    "_a_user_can_sign_in": [
        (
            ON_AWS,
            {"airflow": AirflowSettings(admin_user=False)},
            "airflow.admin_user",
            "without it, no user could sign in",
        ),
    ],
    "_sso_configures_fab": [
        *(
            (
                ON_AWS,
                {"airflow": with_sso(config={section: {option: 60}})},
                f"airflow.config.{section}.{option.lower()}",
                "is set by airflow.sso.session_hours; remove this option",
            )
            for section, option in (
                ("fab", "session_lifetime_minutes"),
                ("api_auth", "jwt_expiration_time"),
            )
        ),
        (
            ON_EXISTING,
            {"airflow": with_sso(config={"core": {"auth_manager": "airflow.x.SimpleAuthManager"}})},
            "airflow.config.core.auth_manager",
            "airflow.x.SimpleAuthManager does not read airflow.sso",
        ),
    ],
    "_load_balancer_has_subnets": [
        (
            {**ON_AWS, "network": existing_network()},
            {"airflow": PUBLIC_UI},
            "network.public_subnet_ids",
            "got 0; list them, or use scheme: internal",
        ),
    ],
    "_network_matches_cluster": [
        (ON_AWS, {"network": None}, "network", "is required for cluster.kind: eks"),
        (
            ON_EXISTING,
            {"network": NetworkSettings()},
            "network",
            "an existing cluster has its own network: remove this section",
        ),
        (
            ON_EXISTING,
            {"network": existing_network()},
            "network",
            "needs database.kind: rds on an existing cluster; remove this section",
        ),
    ],
    "_database_matches_cluster": [
        (
            ON_AWS,
            {"database": CONTAINER},
            "database.kind",
            "container is for cluster.kind: existing",
        ),
        (
            RDS_ON_EXISTING,
            {"network": None},
            "network",
            "is required for database.kind: rds; name a VPC that the existing cluster reaches",
        ),
        (
            RDS_ON_EXISTING,
            {"database": RDS},
            "database.client_security_group_ids",
            "is required on an existing cluster, unless client_cidrs is set",
        ),
        (RDS_ON_EXISTING, {"region": None}, "database.kind", "rds needs aws:region"),
        (
            ON_EXISTING,
            {"database": SERVER.model_copy(update={"security_group_id": "sg-0123456789"})},
            "database.security_group_id",
            "needs cluster.kind: eks; admit the nodes of the existing cluster yourself",
        ),
    ],
    "_namespace_has_no_other_use": [
        (
            ON_EXISTING,
            {"cluster": EXISTING.model_copy(update={"namespace": "kube-system"})},
            "cluster.namespace",
            "kube-system belongs to Kubernetes; use another name, such as airflow",
        ),
        (
            ON_EXISTING,
            {"cluster": EXISTING.model_copy(update={"namespace": "keda"})},
            "cluster.namespace",
            "keda is the namespace of KEDA; use another name",
        ),
    ],
    "_nat_survives_zone_failure": [
        (
            ON_AWS,
            {"network": network(3, "single"), "database": PROTECTED},
            "network.nat",
            "use per_az for a protected database in three zones",
        ),
    ],
    "_aws_settings_need_eks": [
        (ON_EXISTING, {"airflow": AirflowSettings(ingress=INGRESS)}, "airflow.ingress", NEEDS_EKS),
        (ON_EXISTING, {"logs": LogSettings(protect=True)}, "logs.protect", NEEDS_EKS),
        (
            ON_EXISTING,
            {"logs": LogSettings(replicate_to="eu-central-1")},
            "logs.replicate_to",
            NEEDS_EKS,
        ),
        (
            ON_EXISTING,
            {"airflow": AirflowSettings(iam_policy_arns=ComponentPolicies(scheduler=POLICY))},
            "airflow.iam_policy_arns.scheduler",
            NEEDS_EKS,
        ),
        (ON_EXISTING, {"images": CACHE}, "images.docker_hub_secret_arn", NEEDS_EKS),
        *(
            (ON_EXISTING, {section: given}, f"{key}.{setting}", NEEDS_EKS)
            for setting, value in (
                ("spot", True),
                ("architecture", "amd64"),
                ("disk_gb", 10),
                ("instance_families", ("r8g",)),
                ("iam_policy_arn", POLICY),
            )
            for section, key, given in (
                ("workers", "workers", WorkerSettings(**{setting: value})),
                ("queues", "queues.etl", {"etl": WorkerSettings(**{setting: value})}),
            )
        ),
    ],
    "_recovery_region_is_usable": [
        (
            ON_AWS,
            {"database": RdsSettings(kind="rds", replicate_to="eu-west-1")},
            "database.replicate_to",
            "is the Region of the stack (aws:region); choose another one, got 'eu-west-1'",
        ),
        (
            ON_AWS,
            {"database": RdsSettings(kind="rds", replicate_to="cn-north-1")},
            "database.replicate_to",
            "is in the partition aws-cn, but eu-west-1 (aws:region) is in aws",
        ),
        (
            ON_AWS,
            {"logs": LogSettings(replicate_to="eu-west-1")},
            "logs.replicate_to",
            "is the Region of the stack (aws:region)",
        ),
        (
            ON_AWS | {"region": "us-gov-west-1"},
            {"database": RdsSettings(kind="rds", replicate_to="us-gov-east-1")},
            "database.replicate_to",
            "is not supported in AWS GovCloud, where AWS requires a presigned URL",
        ),
    ],
    "_eks_has_its_own_log_bucket": [
        (
            ON_AWS,
            {"logs": LogSettings(bucket="logs")},
            "logs.bucket",
            "needs cluster.kind: existing; on EKS the program creates the bucket",
        ),
    ],
    "_large_xcoms_have_a_bucket": [
        (
            ON_AWS,
            {"airflow": AirflowSettings(xcom_bucket=True)},
            "airflow.xcom_bucket",
            "needs the Python package s3fs, which the image apache/airflow lacks; build an image",
        ),
        (
            ON_EXISTING,
            {"airflow": xcoms()},
            "airflow.xcom_bucket",
            "needs a bucket on an existing cluster; set logs.bucket, or remove this setting",
        ),
        *(
            (ON_AWS, {"airflow": xcoms({section: {option: value}})}, key, expected)
            for section, option, value, key, expected in (
                (
                    "core",
                    "xcom_backend",
                    "a.B",
                    "airflow.config.core.xcom_backend",
                    "is set by airflow.xcom_bucket; remove one of the two",
                ),
                (
                    "common.io",
                    "xcom_objectstorage_path",
                    "s3://b",
                    "airflow.config.common.io.xcom_objectstorage_path",
                    "is set by airflow.xcom_bucket; remove one of the two",
                ),
                (
                    "common.io",
                    "xcom_objectstorage_threshold",
                    17 * 2**20,
                    "airflow.config.common.io.xcom_objectstorage_threshold",
                    "17825792 is more than the 16 MiB of workers.xcom_limit_mb",
                ),
                (
                    "common.io",
                    "xcom_objectstorage_threshold",
                    "1 MB",
                    "airflow.config.common.io.xcom_objectstorage_threshold",
                    "should be a number of bytes, got '1 MB'",
                ),
                (
                    "common.io",
                    "xcom_objectstorage_threshold",
                    -1,
                    "airflow.config.common.io.xcom_objectstorage_threshold",
                    "should be 0 or more, got -1: no XCom would be in the bucket",
                ),
                (
                    "logging",
                    "log_filename_template",
                    "logs/{{ ti.dag_id }}",
                    "airflow.config.logging.log_filename_template",
                    "should start with dag_id= if airflow.xcom_bucket is set, got 'logs/",
                ),
            )
        ),
    ],
    "_airflow_reads_every_option": [
        (
            ON_AWS,
            {"airflow": AirflowSettings(config={"core": {"max_actve_runs_per_dag": 1}})},
            "airflow.config.core.max_actve_runs_per_dag",
            "did you mean core.max_active_runs_per_dag?",
        )
    ],
    "_default_queue_has_workers": [
        (
            ON_EXISTING,
            {"airflow": AirflowSettings(config={"operators": {"default_queue": "etl"}})},
            "airflow.config.operators.default_queue",
            "etl",
        )
    ],
    "_variables_are_free": [
        (
            ON_EXISTING,
            {"airflow": AirflowSettings(env={"A": "1"}, secret_env={"A": "name/key"})},
            "airflow.env.A",
            "",
        )
    ],
    "_program_sets_a_variable": [
        (
            ON_AWS,
            {"workers": WorkerSettings(env={"AIRFLOW_CONN_AWS_DEFAULT": "aws://"})},
            "workers.env.AIRFLOW_CONN_AWS_DEFAULT",
            "is the connection of the task logs",
        ),
        (
            ON_EXISTING,
            {
                "workers": WorkerSettings(
                    pod_operator=True, env={"AIRFLOW_CONN_KUBERNETES_DEFAULT": "kubernetes://"}
                )
            },
            "workers.env.AIRFLOW_CONN_KUBERNETES_DEFAULT",
            "is set by pod_operator",
        ),
    ],
    "_pods_need_no_proxy": [
        (
            ON_EXISTING,
            {"proxy": ProxySettings(http="http://proxy.example.com:3128")},
            "proxy.no_proxy",
            "should list the pod network of the cluster",
        )
    ],
    "_namespaces_can_be_created": [
        (
            ON_EXISTING,
            {"cluster": EXISTING.model_copy(update={"create_namespace": False})},
            "cluster.create_namespace",
            "false does not allow the namespace of KEDA",
        )
    ],
    "_arns_are_usable": [
        (
            ON_AWS,
            {"images": CACHE, "region": "eu-west-2"},
            "images.docker_hub_secret_arn",
            "is in eu-west-1, but the stack is in eu-west-2 (aws:region)",
        )
    ],
    "_image_supports_nodes": [
        (
            ON_AWS,
            {"queues": {"etl": ARM}, "airflow": AirflowSettings(image="me/airflow")},
            "queues.etl.architecture",
            "arm64 is not an architecture of the image me/airflow: use amd64, or add arm64",
        ),
        (
            ON_AWS,
            {"workers": ARM, "airflow": AirflowSettings(architectures=("amd64",))},
            "workers.architecture",
            "of the image apache/airflow: use amd64, or add arm64",
        ),
        (
            ON_AWS,
            {"workers": ARM, "airflow": AirflowSettings(architectures=("arm64",))},
            "cluster.architecture",
            "amd64 is not an architecture of the image apache/airflow: use arm64, or add amd64",
        ),
    ],
    "_git_protocol_needs_git_server": [
        (
            ON_AWS,
            {"dags": GIT},
            "dags.repo",
            "use https:// or ssh://, got 'git://git-server:9418/dags.git'",
        ),
    ],
    "_git_server_needs_branch": [
        (WITH_GIT_SERVER, {"dags": TAGGED}, "dags.tag", "use dags.branch"),
        (WITH_GIT_SERVER, {"dags": COMMIT}, "dags.commit", "use dags.branch"),
    ],
    "_webhook_needs_ingress": [
        (ON_AWS, {"dags": WEBHOOK}, "dags.webhook", "needs airflow.ingress"),
    ],
    "_parallelism_covers_slots": [
        (
            ON_AWS,
            {"workers": workers(4, 8), "airflow": airflow(31, 1)},
            "airflow.parallelism",
            "31 with 1 scheduler(s) limits Airflow to 31 running tasks",
        ),
        (
            ON_AWS,
            {"workers": workers(4, 8), "airflow": airflow(15, 2)},
            "airflow.parallelism",
            "to 30 running tasks, but max x concurrency of all queues is 32",
        ),
        (
            ON_AWS,
            {"queues": {"etl": workers(1, 1)}, "airflow": airflow(32, 1)},
            "airflow.parallelism",
            "but max x concurrency of all queues is 33",
        ),
    ],
    "_api_servers_answer_heartbeats": [
        (
            ON_AWS,
            {"workers": workers(12, 8), "airflow": EVERY_SECOND},
            "airflow.replicas.api_server",
            "1 with 1 process(es) in total answer 92 heartbeats a second, but 96 running tasks send 96, "
            "one each in 1 s: tasks would time out; 2 processes are needed: raise it, or set "
            "airflow.config.api.workers, the processes of each API server, or lower workers.max",
        ),
    ],
    "_connections_fit_database": [
        (
            ON_EXISTING,
            {"workers": workers(26, 4)},
            "database",
            "accepts 200 connections, but Airflow with all its workers opens up to 207",
        ),
        (
            ON_EXISTING,
            {"workers": workers(25, 4), "queues": {"etl": workers(1, 1)}},
            "database",
            "opens up to 206; lower workers.max or queues.etl.max",
        ),
        (
            ON_AWS,
            {"database": RdsSettings(kind="rds", instance_class="db.t4g.micro")},
            "database",
            "101 connections, but Airflow with all its workers opens up to 113; use a larger instance_class",
        ),
    ],
    "_existing_keda_needs_existing_cluster": [
        (
            ON_AWS,
            {"keda": EXISTING_KEDA},
            "keda.existing",
            "needs cluster.kind: existing; a new EKS cluster has no KEDA",
        ),
    ],
    "_worker_fits_node": [
        (
            ON_AWS,
            {"workers": WorkerSettings(cpu=172.79)},
            "workers.cpu",
            "172.79 plus sidecars requests 172.81 CPU, but the largest node has 172.8 CPU for pods",
        ),
        (
            ON_AWS,
            {"queues": {"etl": WorkerSettings(memory_mb=1415482)}},
            "queues.etl.memory_mb",
            "1415482 plus sidecars requests 1415578 MiB, but the largest node has 1415577 MiB for pods",
        ),
        (
            ON_AWS,
            {"queues": {"etl": WorkerSettings(disk_gb=53091)}},
            "queues.etl.disk_gb",
            "53091 plus images needs a node disk of 59002 GiB, but EKS allows 59000 GiB; lower it",
        ),
    ],
    "_worker_disk_holds_dags": [
        (
            ON_AWS,
            {"workers": WorkerSettings(disk_gb=1), "dags": BIG_DAGS},
            "workers.disk_gb",
            "1 GiB is less than the 1028 MiB for four times dags.max_mb and log files",
        ),
        (
            ON_AWS,
            {"queues": {"etl": WorkerSettings(disk_gb=1)}, "dags": BIG_DAGS},
            "queues.etl.disk_gb",
            "the kubelet would evict the workers; raise it, or lower dags.max_mb",
        ),
        (
            ON_AWS,
            {"workers": WorkerSettings(disk_gb=1), "dags": TWO_REPOSITORIES},
            "workers.disk_gb",
            "1 GiB is less than the 1312 MiB for four times dags.max_mb of each repository and log",
        ),
    ],
}
CASES = [case for cases in BROKEN.values() for case in cases]

# Valid stacks at the edge of a check.
SOUND = [
    (
        ON_EXISTING,
        {
            "airflow": AirflowSettings(
                admin_user=False, config={"core": {"auth_manager": "a.b.OtherAuthManager"}}
            )
        },
    ),
    (RDS_ON_EXISTING, {}),
    (
        RDS_ON_EXISTING,
        {"database": RdsSettings(kind="rds", client_security_group_ids=("sg-0123456789",))},
    ),
    (ON_EXISTING, {"database": SERVER, "region": None}),
    (ON_AWS, {"database": SERVER}),
    (ON_AWS, {}),
    (ON_EXISTING, {}),
    (ON_AWS, {"network": network(2, "single"), "database": PROTECTED}),
    (ON_AWS, {"network": network(3, "single")}),
    (ON_AWS, {"network": network(3, "per_az"), "database": PROTECTED}),
    (ON_AWS, {"workers": WorkerSettings(spot=True)}),
    (ON_AWS, {"airflow": AirflowSettings(ingress=INGRESS)}),
    (ON_AWS, {"workers": ARM}),
    (ON_AWS, {"queues": {"etl": ARM}}),
    (ON_AWS, {"workers": ARM, "airflow": AirflowSettings(image="me/a", architectures=BOTH)}),
    (ON_EXISTING, {"airflow": AirflowSettings(architectures=("arm64",))}),
    (ON_AWS, {"logs": LogSettings(protect=True)}),
    (ON_EXISTING, {"logs": LogSettings(bucket="logs")}),
    (ON_AWS, {"airflow": xcoms()}),
    (ON_AWS, {"airflow": xcoms({"common.io": {"xcom_objectstorage_threshold": 16 * 2**20}})}),
    (ON_AWS, {"airflow": xcoms(), "workers": WorkerSettings(xcom_limit_mb=1)}),
    (ON_AWS, {"airflow": xcoms({"logging": {"log_filename_template": "dag_id=x"}})}),
    (ON_EXISTING, {"airflow": xcoms(), "logs": LogSettings(bucket="logs")}),
    (ON_AWS, {"airflow": PUBLIC_UI}),
    (ON_AWS, {"network": existing_network(), "airflow": AirflowSettings(ingress=INGRESS)}),
    (ON_AWS, {"network": existing_network(PUBLIC), "airflow": PUBLIC_UI}),
    (ON_AWS, {"network": existing_network(), "database": PROTECTED}),
    (ON_AWS, {"images": CACHE}),
    (ON_AWS, {"images": CACHE, "region": None}),
    (ON_AWS, {"dags": GIT, "git_server": GIT_SERVER}),
    (ON_AWS, {"dags": WEBHOOK, "airflow": AirflowSettings(ingress=INGRESS)}),
    (ON_EXISTING, {"dags": WEBHOOK}),
    (ON_EXISTING, {"git_server": GIT_SERVER}),
    (ON_EXISTING, {"dags": DagSettings(repo=HTTPS.repo, tag="v1")}),
    (ON_AWS, {"workers": workers(4, 8), "airflow": airflow(32, 1)}),
    (ON_AWS, {"workers": workers(4, 8), "airflow": airflow(16, 2)}),
    (ON_AWS, {"workers": workers(4, 8), "airflow": airflow(None, 1)}),
    (ON_EXISTING, {"workers": workers(41, 2)}),
    (ON_EXISTING, {"keda": EXISTING_KEDA}),
    (ON_AWS, {"workers": WorkerSettings(cpu=172.78, memory_mb=1415481)}),
    (ON_AWS, {"workers": WorkerSettings(disk_gb=53090)}),
    (ON_AWS, {"workers": WorkerSettings(disk_gb=1), "dags": BIG_DAGS_LESS}),
    (ON_AWS, {"workers": WorkerSettings(disk_gb=1), "dags": BIG_BUNDLE}),
    (ON_EXISTING, {"dags": DagSettings(repo=HTTPS.repo, max_mb=10240, storage_gb=40)}),
    (ON_AWS, {"cluster": EKS_ON_ARM}),
    (
        ON_AWS,
        {
            "cluster": EKS_ON_ARM,
            "workers": ARM,
            "airflow": AirflowSettings(architectures=("arm64",)),
        },
    ),
    (ON_EXISTING, {"workers": WorkerSettings(cpu=192, memory_mb=1572864)}),
    (ON_AWS, {"airflow": with_sso(admin_user=False)}),
    (
        ON_AWS,
        {"airflow": with_sso(config={"core": {"auth_manager": cross_checks.FAB_AUTH_MANAGER}})},
    ),
    (ON_AWS, {"airflow": AirflowSettings(config={"fab": {"session_lifetime_minutes": 60}})}),
]


@pytest.mark.parametrize(("base", "different", "key", "reason"), CASES)
def test_a_broken_check_is_one_mistake_with_its_key(base, different, key, reason):
    ((found, what),) = cross_checks.mistakes({**base, **different})

    assert found == key
    assert reason in what


@pytest.mark.parametrize(("base", "different"), SOUND)
def test_a_stack_at_the_edge_of_a_check_is_valid(base, different):
    assert list(cross_checks.mistakes({**base, **different})) == []


# Settings that only EKS has. (Shorter names are also words of English.)
ONLY_ON_EKS = {
    field
    for section in (EksSettings, IngressSettings)
    for field in section.model_fields
    if "_" in field and field not in WorkerSettings.model_fields.keys() | {"storage_gb"}
}


@pytest.mark.parametrize(
    ("different", "key"),
    [
        ({**base, **different}, key)
        for base, different, key, _ in CASES
        if {**base, **different}["cluster"] == EXISTING
    ],
)
def test_an_advice_names_settings_of_its_platform(different, key):
    found = dict(cross_checks.mistakes(different))

    named = set(re.findall(r"\w+", found[key])) & ONLY_ON_EKS
    assert not named, "an existing cluster has no such setting"


def test_every_check_has_a_case_that_breaks_it():
    with_files = {"_chart_directory_is_complete"}  # below
    assert BROKEN.keys() | with_files == {check.__name__ for check in cross_checks.CHECKS}, (
        "add a case to BROKEN"
    )


@pytest.mark.parametrize(("base", "different", "key", "reason"), CASES)
def test_a_check_does_not_run_on_an_invalid_section(base, different, key, reason):
    whole = {**base, **different}
    for invalid in different:
        others = {name: section for name, section in whole.items() if name != invalid}

        assert key not in dict(cross_checks.mistakes(others))


def test_all_mistakes_are_reported_together():
    given = {**ON_EXISTING, "workers": WorkerSettings(spot=True), "dags": GIT}

    assert [key for key, _ in cross_checks.mistakes(given)] == ["workers.spot", "dags.repo"]


def with_charts(folder, *present, scaling="cpu", queues=()):
    for chart in present:
        (folder / chart.archive).touch()
    return {
        "charts": ChartSettings(source=str(folder)),
        "workers": WorkerSettings(scaling=scaling),
        "queues": dict(queues),
        "keda": KedaSettings(),
    }


@pytest.mark.parametrize(
    ("present", "scaling", "missing"),
    [
        ([], "cpu", [AIRFLOW_CHART]),
        ([AIRFLOW_CHART], "cpu", []),
        ([AIRFLOW_CHART], "queue", [KEDA_CHART]),
        ([KEDA_CHART], "queue", [AIRFLOW_CHART]),
        ([], "queue", [AIRFLOW_CHART, KEDA_CHART]),
        ([AIRFLOW_CHART, KEDA_CHART], "queue", []),
    ],
)
def test_a_chart_directory_has_every_installed_chart(tmp_path, present, scaling, missing):
    sections = with_charts(tmp_path, *present, scaling=scaling)

    found = " ".join(what for _, what in cross_checks.mistakes(sections))

    assert {chart.archive for chart in (AIRFLOW_CHART, KEDA_CHART) if chart.archive in found} == {
        chart.archive for chart in missing
    }


def test_one_queue_with_scaling_queue_needs_the_keda_chart(tmp_path):
    sections = with_charts(tmp_path, AIRFLOW_CHART, queues={"etl": WorkerSettings()})

    ((key, what),) = cross_checks.mistakes(sections)
    assert (key, KEDA_CHART.archive in what) == ("charts.source", True)
    assert list(cross_checks.mistakes({**sections, "keda": EXISTING_KEDA})) == [], (
        "an existing KEDA needs no chart"
    )


def warnings(**sections):
    return list(cross_checks.warnings(Settings.model_construct(**{**ON_AWS, **sections})))


@pytest.mark.parametrize(
    ("spot", "grace_seconds", "warned"),
    [(True, 121, True), (True, 120, False), (False, 7200, False)],
)
def test_a_grace_period_beyond_the_spot_notice_is_a_warning(spot, grace_seconds, warned):
    queue = WorkerSettings(spot=spot, grace_seconds=grace_seconds)

    found = warnings(cluster=TESTED, workers=queue, queues={"etl": queue})

    assert [key for key, _ in found] == (["workers.spot", "queues.etl.spot"] if warned else [])
    for _, what in found:
        assert f"120 seconds after AWS's notice, whatever grace_seconds ({grace_seconds})" in what
        assert "a longer task is killed" in what


@pytest.mark.parametrize(
    ("cluster", "keys"),
    [
        ({"private_access_cidrs": ()}, ["cluster.private_access_cidrs"]),
        ({}, []),
        ({"private_endpoint": False, "private_access_cidrs": ()}, []),
    ],
)
def test_a_private_endpoint_without_networks_is_a_warning(cluster, keys):
    found = warnings(cluster=TESTED.model_copy(update=cluster))
    assert [key for key, _ in found] == keys


@pytest.mark.parametrize(
    ("sections", "warned"),
    [
        ({}, True),
        ({"logs": LogSettings(bucket="logs")}, False),
        ({"policies": PolicySettings(level="development")}, False),
        ({"cluster": TESTED}, False),
    ],
    ids=["no bucket", "a bucket", "development", "EKS"],
)
def test_logs_that_end_with_their_pod_are_a_warning(sections, warned):
    found = warnings(**{"cluster": EXISTING, **sections})

    assert [key for key, _ in found] == (["logs.bucket"] if warned else [])


@pytest.mark.parametrize("version", ["1.32", "1.36"])
def test_a_kubernetes_that_keda_never_tested_is_a_warning(version):
    untested = EKS.model_copy(update={"version": version})

    assert warnings(cluster=untested) == [
        (
            "cluster.version",
            f"KEDA 2.20.2 is installed on Kubernetes {version}: KEDA 2.20 was tested with 1.33 to 1.35 "
            "only, see https://keda.sh/docs/latest/operate/cluster/",
        )
    ]


def test_a_keda_without_tested_versions_is_a_warning(monkeypatch):
    monkeypatch.setattr(cross_checks, "KEDA_KUBERNETES", {})

    ((key, what),) = warnings()
    assert key == "cluster.version"
    assert "settings/versions.py lists no Kubernetes versions for KEDA 2.20" in what


@pytest.mark.parametrize(
    "sections",
    [{"cluster": TESTED}, ON_EXISTING_WITH_LOGS, {"workers": WorkerSettings(scaling="cpu")}],
    ids=["a tested version", "an existing cluster", "no KEDA"],
)
def test_no_warning_without_an_untested_keda(sections):
    assert warnings(**sections) == []


@pytest.mark.parametrize(("role", "warned"), [("Op", False), ("Auditor", True)])
def test_a_role_of_your_own_is_a_warning(role, warned):
    found = warnings(cluster=TESTED, airflow=with_sso(sso={**SSO, "roles": {"ops": role}}))

    assert [key for key, _ in found] == (["airflow.sso.roles.ops"] if warned else [])
    if warned:
        assert "Auditor is not a built-in role (Admin, Op, User, Viewer)" in found[0][1]


@pytest.mark.parametrize(
    ("key", "value", "needs"),
    [
        ("task_pods.max", 5, "pod_operator: true"),
        ("keda.all_namespaces", True, "scaling: queue"),
        ("rotation.keda", 2, "scaling: queue"),
        ("rotation.webhook", 2, "dags.webhook: true"),
        ("logs.retention_days", 90, "cluster.kind: eks or database.kind: rds"),
    ],
)
def test_a_setting_that_nothing_uses_is_a_warning(load, key, value, needs):
    found = dict(cross_checks.warnings(load(stacks.changed(stacks.LOCAL, key, value))))

    assert found[key] == f"has no effect without {needs}"


def test_settings_that_are_used_are_no_warning(load):
    given = stacks.changed(stacks.EKS, "logs.retention_days", 90)
    given = stacks.changed(given, "rotation.keda", 2)
    given = stacks.changed(given, "workers.pod_operator", True)
    given = stacks.changed(given, "task_pods.max", 5)

    found = dict(cross_checks.warnings(load(given)))
    assert not [text for text in found.values() if "no effect" in text]
