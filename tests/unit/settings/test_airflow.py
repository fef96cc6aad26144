import pytest

from settings.versions import AIRFLOW, AIRFLOW_VERSIONS
from tests.unit.settings.stacks import EKS, INGRESS, changed

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("airflow", "url"),
    [
        ({"ingress": INGRESS}, "https://a.example.com"),
        ({"ingress": INGRESS, "base_url": "https://b.example.com/ui"}, "https://b.example.com/ui"),
    ],
)
def test_the_url_is_base_url_or_the_ingress_host(load, airflow, url):
    assert load({**EKS, "airflow": airflow}).airflow.url == url


@pytest.mark.parametrize(
    ("airflow", "image"),
    [
        ({"version": "3.2.2"}, "apache/airflow:3.2.2"),
        ({"digest": DIGEST}, f"apache/airflow@{DIGEST}"),
    ],
)
def test_a_digest_takes_precedence_over_the_tag(load, airflow, image):
    assert load({**EKS, "airflow": airflow}).airflow.image_reference == image


def test_an_image_with_a_tag_is_refused(mistakes):
    (line,) = mistakes(changed(EKS, "airflow.image", "apache/airflow:3.3.2"))

    assert line.startswith("airflow.image: should have no tag: the tag is airflow.version")


@pytest.mark.parametrize("version", ["2.10.5", "3.2.0", "3.3.1", "3.4.0", "latest"])
def test_an_untested_airflow_version_is_refused(mistakes, version):
    assert mistakes(changed(EKS, "airflow.version", version)) == [
        "airflow.version: should be a tested version, 3.2.2 or 3.3.2, listed in "
        f"settings/versions.py, got {version!r}"
    ]


@pytest.mark.parametrize("version", AIRFLOW_VERSIONS)
def test_a_tested_airflow_version_is_accepted(load, version):
    assert load(changed(EKS, "airflow.version", version)).airflow.version == version


def test_the_default_version_was_tested_by_every_level():
    assert max(AIRFLOW_VERSIONS.values(), key=len) == AIRFLOW_VERSIONS[AIRFLOW]


def test_every_version_was_tested_on_a_cluster():
    assert all({"make chart-test", "make e2e"} <= {*suites} for suites in AIRFLOW_VERSIONS.values())


@pytest.mark.parametrize(
    ("airflow", "built"),
    [
        ({}, ("amd64", "arm64")),
        ({"image": "registry.example/airflow"}, ("amd64",)),
        ({"architectures": ["amd64"]}, ("amd64",)),
        ({"image": "r.example/a", "architectures": ["amd64", "arm64"]}, ("amd64", "arm64")),
    ],
)
def test_a_custom_image_is_amd64_by_default(load, airflow, built):
    assert load({**EKS, "airflow": airflow}).airflow.image_architectures == built


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("api.base_url", "is set by airflow.base_url"),
        ("celery.worker_concurrency", "is set by workers.concurrency"),
        ("core.executor", "is always CeleryExecutor"),
        ("core.parallelism", "is set by airflow.parallelism"),
        ("core.Parallelism", "is set by airflow.parallelism"),
        (
            "dag_processor.refresh_interval",
            "is fixed: DAG processors look for changes every second",
        ),
        ("dag_processor.dag_bundle_config_list", "is set by dags"),
        ("core.fernet_key", "is set by the Pulumi secret fernet_key"),
        ("core.FERNET_KEY", "is set by the Pulumi secret fernet_key"),
        ("api.secret_key", "is set by the Pulumi secret api_secret_key"),
        ("api_auth.jwt_secret", "is set by the Pulumi secret jwt_secret"),
        ("database.sql_alchemy_conn", "is always the database of the stack"),
        ("celery.broker_url", "is always the Redis of the stack"),
        ("celery.result_backend", "is always the database of the stack"),
        ("celery.worker_autoscale", "would replace workers.concurrency"),
        ("celery.worker_enable_remote_control", "is fixed: the liveness probe"),
        ("core.hostname_callable", "is fixed: liveness probes and links to log files"),
        ("core.dags_folder", "is set by dags"),
        ("api.port", "is fixed: the Service, the probes and the load balancer use 8080"),
        ("database.sql_alchemy_schema", "is fixed: probes, KEDA and the task keeper"),
        ("database.sql_alchemy_pool_enabled", "is fixed: settings/limits.py"),
        ("logging.base_log_folder", "is fixed: the chart mounts the volume"),
        ("logging.worker_log_server_port", "is fixed: the network policies open 8793"),
        ("logging.trigger_log_server_port", "is fixed: the network policies open 8794"),
        ("dag_processor.bundle_refresh_check_interval", "is fixed: one second"),
        (
            "logging.remote_base_log_folder",
            "is the log bucket of the stack on EKS, and set by logs.bucket on an existing cluster",
        ),
    ],
)
def test_an_option_that_the_program_sets_is_refused(mistakes, option, reason):
    (line,) = mistakes(changed(EKS, f"airflow.config.{option}", "hunter2"))

    assert "hunter2" not in line
    assert line.startswith(f"airflow: config.{option} {reason}")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("core.max_active_tasks_per_dag", 4),
        ("core.load_examples", False),
        ("core.sensitive_var_conn_names", "a,b"),
        ("scheduler.max_tis_per_query", 1.5),
        ("secrets.backend", "x"),
    ],
)
def test_any_other_option_is_accepted(load, option, value):
    section, _, name = option.partition(".")

    given = load(changed(EKS, f"airflow.config.{option}", value))
    assert given.airflow.config == {section: {name: value}}


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, ["hunter2"]])
def test_an_option_is_a_scalar(mistakes, value):
    assert mistakes(changed(EKS, "airflow.config.core.dag_concurrency", value)) == [
        "airflow.config.core.dag_concurrency: should be a string, a number, true or false"
    ]


def test_all_refused_options_are_reported_together(mistakes):
    options = {"core": {"executor": "x", "parallelism": 1, "fernet_key": "x"}}
    (line,) = mistakes(changed(EKS, "airflow.config", options))

    assert line.count("config.core.") == 3


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("host", "localhost"),
        ("host", "https://a.example.com"),
        ("certificate_arn", "arn:aws:iam::111122223333:role/x"),
        ("scheme", "public"),
    ],
)
def test_an_invalid_ingress_value_is_reported(mistakes, path, value):
    (line,) = mistakes(changed(EKS, "airflow.ingress", {**INGRESS, path: value}))

    assert line.startswith(f"airflow.ingress.{path}: ")
    assert line.endswith(f", got {value!r}")


def test_an_ingress_needs_allowed_networks(mistakes):
    (line,) = mistakes(changed(EKS, "airflow.ingress", {**INGRESS, "allowed_cidrs": []}))

    assert line.startswith("airflow.ingress.allowed_cidrs: ")
