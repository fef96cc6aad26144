import pytest

import cross_checks
import settings
from components.charts import AIRFLOW, KEDA
from sections import airflow as airflow_sections

CIDRS = ("10.0.0.0/8",)
ARN = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
EKS = settings.EksSettings(kind="eks", private_endpoint=True)
EXISTING = settings.ExistingClusterSettings(kind="existing", context="kind-airflow")
RDS = settings.RdsSettings(kind="rds")
CONTAINER = settings.ContainerDatabaseSettings(kind="container")
HTTPS = settings.DagSettings(repo="https://github.com/example/dags.git")
INGRESS = airflow_sections.IngressSettings(
    host="a.example.com", certificate_arn=ARN, allowed_cidrs=CIDRS
)

ON_AWS = {
    "cluster": EKS,
    "network": settings.NetworkSettings(),
    "database": RDS,
    "dags": HTTPS,
    "git_server": None,
    "workers": settings.WorkerSettings(),
    "airflow": settings.AirflowSettings(),
    "logs": settings.LogSettings(),
    "charts": settings.ChartSettings(),
}
ON_EXISTING = {
    **ON_AWS,
    "cluster": EXISTING,
    "network": None,
    "database": CONTAINER,
}
GIT = settings.DagSettings(repo="git://git-server:9418/dags.git")
TAGGED = settings.DagSettings(repo="git://git-server:9418/dags.git", tag="v1")
AT_A_COMMIT = settings.DagSettings(repo="git://git-server:9418/dags.git", commit="a" * 40)
GIT_SERVER = settings.GitServerSettings()
PROTECTED = settings.RdsSettings(kind="rds", protect=True)


def network(az_count, nat):
    return settings.NetworkSettings(az_count=az_count, nat=nat)


def workers(most, concurrency):
    return settings.WorkerSettings(max=most, concurrency=concurrency)


def airflow(parallelism, schedulers):
    replicas = airflow_sections.ReplicaSettings(scheduler=schedulers)
    return settings.AirflowSettings(parallelism=parallelism, replicas=replicas)


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
        {"network": settings.NetworkSettings()},
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
        {"workers": settings.WorkerSettings(spot=True)},
        ("workers.spot", "needs cluster.kind: eks"),
    ),
    (
        "_aws_settings_need_aws",
        ON_EXISTING,
        {"airflow": settings.AirflowSettings(ingress=INGRESS)},
        ("airflow.ingress", "needs cluster.kind: eks"),
    ),
    (
        "_aws_settings_need_aws",
        ON_EXISTING,
        {"logs": settings.LogSettings(protect=True)},
        ("logs.protect", "needs cluster.kind: eks"),
    ),
    (
        "_plain_git_stays_in_the_cluster",
        ON_AWS,
        {"dags": GIT},
        ("dags.repo", "use https:// or ssh://, got 'git://git-server:9418/dags.git'"),
    ),
    (
        "_the_git_server_starts_with_a_branch",
        ON_EXISTING,
        {"dags": TAGGED, "git_server": GIT_SERVER},
        ("dags.tag", "use dags.branch"),
    ),
    (
        "_the_git_server_starts_with_a_branch",
        ON_EXISTING,
        {"dags": AT_A_COMMIT, "git_server": GIT_SERVER},
        ("dags.commit", "use dags.branch"),
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
        ("airflow.parallelism", "lets 30 tasks run, but workers.max x concurrency is 32"),
    ),
    (
        "_connections_fit_the_database",
        ON_EXISTING,
        {"workers": workers(26, 4)},
        ("database", "has room for 200 connections, but Airflow at workers.max opens up to 205"),
    ),
    (
        "_connections_fit_the_database",
        ON_AWS,
        {"database": settings.RdsSettings(kind="rds", instance_class="db.t4g.micro")},
        ("database", "has room for 101 connections, but Airflow at workers.max opens up to 111"),
    ),
]

# What comes as close to a mistake as it may.
SOUND = [
    (ON_AWS, {}),
    (ON_EXISTING, {}),
    (ON_AWS, {"network": network(2, "single"), "database": PROTECTED}),
    (ON_AWS, {"network": network(3, "single")}),
    (ON_AWS, {"network": network(3, "per_az"), "database": PROTECTED}),
    (ON_AWS, {"workers": settings.WorkerSettings(spot=True)}),
    (ON_AWS, {"airflow": settings.AirflowSettings(ingress=INGRESS)}),
    (ON_AWS, {"logs": settings.LogSettings(protect=True)}),
    (ON_AWS, {"dags": GIT, "git_server": GIT_SERVER}),
    (ON_EXISTING, {"git_server": GIT_SERVER}),
    (ON_EXISTING, {"dags": settings.DagSettings(repo=HTTPS.repo, tag="v1")}),
    (ON_AWS, {"workers": workers(4, 8), "airflow": airflow(32, 1)}),
    (ON_AWS, {"workers": workers(4, 8), "airflow": airflow(16, 2)}),
    (ON_AWS, {"workers": workers(4, 8), "airflow": airflow(None, 1)}),
    (ON_EXISTING, {"workers": workers(25, 4)}),
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
    given = {**ON_EXISTING, "workers": settings.WorkerSettings(spot=True), "dags": GIT}

    assert [key for key, _ in cross_checks.mistakes(given)] == ["workers.spot", "dags.repo"]


@pytest.mark.parametrize(
    ("there", "scaling", "missing"),
    [
        ([], "cpu", [AIRFLOW]),
        ([AIRFLOW], "cpu", []),
        ([AIRFLOW], "queue", [KEDA]),
        ([KEDA], "queue", [AIRFLOW]),
        ([], "queue", [AIRFLOW, KEDA]),
        ([AIRFLOW, KEDA], "queue", []),
    ],
)
def test_a_directory_of_charts_has_every_chart_that_is_installed(tmp_path, there, scaling, missing):
    for chart in there:
        (tmp_path / chart.archive).touch()
    sections = {
        "charts": settings.ChartSettings(source=str(tmp_path)),
        "workers": settings.WorkerSettings(scaling=scaling),
    }

    found = " ".join(what for _, what in cross_checks.mistakes(sections))

    assert {chart.archive for chart in (AIRFLOW, KEDA) if chart.archive in found} == {
        chart.archive for chart in missing
    }
