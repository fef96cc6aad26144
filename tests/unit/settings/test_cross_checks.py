import pytest

from settings import cross_checks
from settings.airflow import AirflowSettings, IngressSettings, ReplicaSettings
from settings.charts import ChartSettings
from settings.cluster import EksSettings, ExistingClusterSettings
from settings.dags import DagSettings
from settings.database import ContainerDatabaseSettings, RdsSettings
from settings.git_server import GitServerSettings
from settings.keda import KedaSettings
from settings.logs import LogSettings
from settings.network import NetworkSettings
from settings.versions import AIRFLOW_CHART, KEDA_CHART
from settings.workers import WorkerSettings

CIDRS = ("10.0.0.0/8",)
ARN = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
EKS = EksSettings(kind="eks", private_endpoint=True)
EXISTING = ExistingClusterSettings(kind="existing", context="kind-airflow")
RDS = RdsSettings(kind="rds")
CONTAINER = ContainerDatabaseSettings(kind="container")
HTTPS = DagSettings(repo="https://github.com/example/dags.git")
INGRESS = IngressSettings(host="a.example.com", certificate_arn=ARN, allowed_cidrs=CIDRS)

ON_AWS = {
    "cluster": EKS,
    "network": NetworkSettings(),
    "database": RDS,
    "dags": HTTPS,
    "git_server": None,
    "workers": WorkerSettings(),
    "queues": {},
    "airflow": AirflowSettings(),
    "logs": LogSettings(),
    "keda": KedaSettings(),
    "charts": ChartSettings(),
}
ON_EXISTING = {
    **ON_AWS,
    "cluster": EXISTING,
    "network": None,
    "database": CONTAINER,
}
GIT = DagSettings(repo="git://git-server:9418/dags.git")
TAGGED = DagSettings(repo="git://git-server:9418/dags.git", tag="v1")
AT_A_COMMIT = DagSettings(repo="git://git-server:9418/dags.git", commit="a" * 40)
GIT_SERVER = GitServerSettings()
ANNOUNCED = DagSettings(repo=HTTPS.repo, webhook=True)
PROTECTED = RdsSettings(kind="rds", protect=True)

KEDA_OF_OTHERS = KedaSettings(existing=True)
ARM = WorkerSettings(architecture="arm64")


def network(az_count, nat):
    return NetworkSettings(az_count=az_count, nat=nat)


def workers(most, concurrency):
    return WorkerSettings(max=most, concurrency=concurrency)


def airflow(parallelism, schedulers):
    replicas = ReplicaSettings(scheduler=schedulers)
    return AirflowSettings(parallelism=parallelism, replicas=replicas)


# By check: a platform, what is different there, the key of the mistake and what the report says of it.
BROKEN = [
    (
        "_cluster_has_its_network",
        ON_AWS,
        {"network": None},
        ("network", "is required for cluster.kind: eks"),
    ),
    (
        "_cluster_has_its_network",
        ON_EXISTING,
        {"network": NetworkSettings()},
        ("network", "an existing cluster brings its own"),
    ),
    (
        "_database_fits_the_cluster",
        ON_AWS,
        {"database": CONTAINER},
        ("database.kind", "container has no backups"),
    ),
    (
        "_database_fits_the_cluster",
        ON_EXISTING,
        {"database": RDS},
        ("database.kind", "rds needs the network of cluster.kind: eks; use container"),
    ),
    (
        "_nat_fits_the_zones",
        ON_AWS,
        {"network": network(3, "single"), "database": PROTECTED},
        ("network.nat", "wants per_az"),
    ),
    (
        "_aws_settings_need_aws",
        ON_EXISTING,
        {"workers": WorkerSettings(spot=True)},
        ("workers.spot", "needs cluster.kind: eks"),
    ),
    (
        "_aws_settings_need_aws",
        ON_EXISTING,
        {"airflow": AirflowSettings(ingress=INGRESS)},
        ("airflow.ingress", "needs cluster.kind: eks"),
    ),
    (
        "_aws_settings_need_aws",
        ON_EXISTING,
        {"logs": LogSettings(protect=True)},
        ("logs.protect", "needs cluster.kind: eks"),
    ),
    *(
        (
            "_aws_settings_need_aws",
            ON_EXISTING,
            {section: given},
            (f"{key}.{setting}", "needs cluster.kind: eks"),
        )
        for setting, value in (
            ("spot", True),
            ("architecture", "amd64"),
            ("iam_policy_arn", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"),
        )
        for section, key, given in (
            ("workers", "workers", WorkerSettings(**{setting: value})),
            ("queues", "queues.etl", {"etl": WorkerSettings(**{setting: value})}),
        )
    ),
    (
        "_the_image_runs_on_the_nodes",
        ON_AWS,
        {"queues": {"etl": ARM}, "airflow": AirflowSettings(image="me/airflow")},
        (
            "queues.etl.architecture",
            "arm64 is not among the architectures of the image me/airflow: amd64",
        ),
    ),
    (
        "_the_image_runs_on_the_nodes",
        ON_AWS,
        {"workers": ARM, "airflow": AirflowSettings(architectures=("amd64",))},
        ("workers.architecture", "of the image apache/airflow: amd64; take one of those"),
    ),
    (
        "_the_image_runs_on_the_nodes",
        ON_AWS,
        {"workers": ARM, "airflow": AirflowSettings(architectures=("arm64",))},
        ("airflow.architectures", "lacks amd64, got ['arm64']: all pods but the workers"),
    ),
    (
        "_plain_git_stays_in_the_cluster",
        ON_AWS,
        {"dags": GIT},
        ("dags.repo", "use https:// or ssh://, got 'git://git-server:9418/dags.git'"),
    ),
    (
        "_the_git_server_starts_with_a_branch",
        {**ON_EXISTING, "git_server": GIT_SERVER},
        {"dags": TAGGED},
        ("dags.tag", "use dags.branch"),
    ),
    (
        "_the_git_server_starts_with_a_branch",
        {**ON_EXISTING, "git_server": GIT_SERVER},
        {"dags": AT_A_COMMIT},
        ("dags.commit", "use dags.branch"),
    ),
    (
        "_the_git_host_can_call",
        ON_AWS,
        {"dags": ANNOUNCED},
        ("dags.webhook", "needs airflow.ingress"),
    ),
    (
        "_slots_can_be_used",
        ON_AWS,
        {"workers": workers(4, 8), "airflow": airflow(31, 1)},
        ("airflow.parallelism", "31 for 1 scheduler(s) lets 31 tasks run"),
    ),
    (
        "_slots_can_be_used",
        ON_AWS,
        {"workers": workers(4, 8), "airflow": airflow(15, 2)},
        ("airflow.parallelism", "lets 30 tasks run, but max x concurrency of all queues is 32"),
    ),
    (
        "_connections_fit_the_database",
        ON_EXISTING,
        {"workers": workers(26, 4)},
        (
            "database",
            "has room for 200 connections, but Airflow with all its workers opens up to 207",
        ),
    ),
    (
        "_an_existing_keda_is_in_an_existing_cluster",
        ON_AWS,
        {"keda": KEDA_OF_OTHERS},
        ("keda.existing", "needs cluster.kind: existing; this stack makes its cluster"),
    ),
    (
        "_a_worker_fits_a_node",
        ON_AWS,
        {"workers": WorkerSettings(cpu=172.79)},
        ("workers.cpu", "172.79 and its sidecars are 172.81 CPU, and the largest node has 172.8"),
    ),
    (
        "_a_worker_fits_a_node",
        ON_AWS,
        {"queues": {"etl": WorkerSettings(memory_mb=1415482)}},
        (
            "queues.etl.memory_mb",
            "1415482 and its sidecars are 1415578 MiB, and the largest node has 1415577 for pods",
        ),
    ),
    (
        "_slots_can_be_used",
        ON_AWS,
        {"queues": {"etl": workers(1, 1)}, "airflow": airflow(32, 1)},
        ("airflow.parallelism", "but max x concurrency of all queues is 33"),
    ),
    (
        "_connections_fit_the_database",
        ON_EXISTING,
        {"workers": workers(25, 4), "queues": {"etl": workers(1, 1)}},
        (
            "database",
            "opens up to 206; take a larger instance_class, or lower workers.max or queues.etl.max",
        ),
    ),
    (
        "_connections_fit_the_database",
        ON_AWS,
        {"database": RdsSettings(kind="rds", instance_class="db.t4g.micro")},
        (
            "database",
            "has room for 101 connections, but Airflow with all its workers opens up to 113",
        ),
    ),
]

# What comes as close to a mistake as it may.
SOUND = [
    (ON_AWS, {}),
    (ON_EXISTING, {}),
    (ON_AWS, {"network": network(2, "single"), "database": PROTECTED}),
    (ON_AWS, {"network": network(3, "single")}),
    (ON_AWS, {"network": network(3, "per_az"), "database": PROTECTED}),
    (ON_AWS, {"workers": WorkerSettings(spot=True)}),
    (ON_AWS, {"airflow": AirflowSettings(ingress=INGRESS)}),
    (ON_AWS, {"workers": ARM}),
    (ON_AWS, {"queues": {"etl": ARM}}),
    (
        ON_AWS,
        {
            "workers": ARM,
            "airflow": AirflowSettings(image="me/a", architectures=("amd64", "arm64")),
        },
    ),
    (ON_EXISTING, {"airflow": AirflowSettings(architectures=("arm64",))}),
    (ON_AWS, {"logs": LogSettings(protect=True)}),
    (ON_AWS, {"dags": GIT, "git_server": GIT_SERVER}),
    (ON_AWS, {"dags": ANNOUNCED, "airflow": AirflowSettings(ingress=INGRESS)}),
    (ON_EXISTING, {"dags": ANNOUNCED}),
    (ON_EXISTING, {"git_server": GIT_SERVER}),
    (ON_EXISTING, {"dags": DagSettings(repo=HTTPS.repo, tag="v1")}),
    (ON_AWS, {"workers": workers(4, 8), "airflow": airflow(32, 1)}),
    (ON_AWS, {"workers": workers(4, 8), "airflow": airflow(16, 2)}),
    (ON_AWS, {"workers": workers(4, 8), "airflow": airflow(None, 1)}),
    (ON_EXISTING, {"workers": workers(41, 2)}),
    (ON_EXISTING, {"keda": KEDA_OF_OTHERS}),
    (ON_AWS, {"workers": WorkerSettings(cpu=172.78, memory_mb=1415481)}),
    (ON_EXISTING, {"workers": WorkerSettings(cpu=192, memory_mb=1572864)}),
]


@pytest.mark.parametrize(("check", "platform", "different", "mistake"), BROKEN)
def test_what_does_not_fit_together_is_one_mistake_with_its_key(
    check, platform, different, mistake
):
    ((key, reason),) = cross_checks.mistakes({**platform, **different})

    assert key == mistake[0]
    assert mistake[1] in reason


@pytest.mark.parametrize(("platform", "different"), SOUND)
def test_what_just_fits_together_is_no_mistake(platform, different):
    assert list(cross_checks.mistakes({**platform, **different})) == []


def test_every_check_has_a_case_that_breaks_it():
    with_files = {"_charts_are_in_their_directory"}  # below
    broken = {case[0] for case in BROKEN} | with_files
    assert broken == {check.__name__ for check in cross_checks.CHECKS}


@pytest.mark.parametrize(("check", "platform", "different", "mistake"), BROKEN)
def test_a_check_waits_until_every_section_that_it_reads_is_sound(
    check, platform, different, mistake
):
    whole = {**platform, **different}
    for broken_section in different:
        others = {name: section for name, section in whole.items() if name != broken_section}

        assert mistake[0] not in dict(cross_checks.mistakes(others))


def test_two_mistakes_are_reported_together():
    given = {**ON_EXISTING, "workers": WorkerSettings(spot=True), "dags": GIT}

    assert [key for key, _ in cross_checks.mistakes(given)] == ["workers.spot", "dags.repo"]


@pytest.mark.parametrize(
    ("there", "scaling", "missing"),
    [
        ([], "cpu", [AIRFLOW_CHART]),
        ([AIRFLOW_CHART], "cpu", []),
        ([AIRFLOW_CHART], "queue", [KEDA_CHART]),
        ([KEDA_CHART], "queue", [AIRFLOW_CHART]),
        ([], "queue", [AIRFLOW_CHART, KEDA_CHART]),
        ([AIRFLOW_CHART, KEDA_CHART], "queue", []),
    ],
)
def test_a_directory_of_charts_has_every_chart_that_is_installed(tmp_path, there, scaling, missing):
    for chart in there:
        (tmp_path / chart.archive).touch()
    sections = {
        "charts": ChartSettings(source=str(tmp_path)),
        "workers": WorkerSettings(scaling=scaling),
        "queues": {},
        "keda": KedaSettings(),
    }

    found = " ".join(what for _, what in cross_checks.mistakes(sections))

    assert {chart.archive for chart in (AIRFLOW_CHART, KEDA_CHART) if chart.archive in found} == {
        chart.archive for chart in missing
    }


def test_one_queue_that_follows_its_tasks_needs_the_chart_of_keda(tmp_path):
    (tmp_path / AIRFLOW_CHART.archive).touch()
    sections = {
        "charts": ChartSettings(source=str(tmp_path)),
        "workers": WorkerSettings(scaling="cpu"),
        "queues": {"etl": WorkerSettings()},
        "keda": KedaSettings(),
    }

    ((key, what),) = cross_checks.mistakes(sections)
    assert (key, KEDA_CHART.archive in what) == ("charts.source", True)
    assert list(cross_checks.mistakes({**sections, "keda": KEDA_OF_OTHERS})) == [], "it is there"


@pytest.mark.parametrize(
    ("spot", "grace_seconds", "warned"),
    [(True, 121, True), (True, 120, False), (False, 7200, False)],
)
def test_who_promises_more_time_than_a_spot_node_has_is_told_what_it_means(
    spot, grace_seconds, warned
):
    queue = WorkerSettings(spot=spot, grace_seconds=grace_seconds)

    found = list(cross_checks.warnings({"default": queue, "etl": queue}))

    assert [key for key, _ in found] == (["workers.spot", "queues.etl.spot"] if warned else [])
    for _, what in found:
        assert f"120 seconds after AWS says so, whatever grace_seconds ({grace_seconds})" in what
        assert "a task that needs longer is cut off" in what
