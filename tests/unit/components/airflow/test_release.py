import ssl
from dataclasses import fields

import pulumi
import pytest
import yaml

from components.airflow.release import Airflow, AirflowArgs
from ops.plan.report import airflow_values
from ops.stack_files import ROOT
from policies.view import at
from settings import Secrets
from settings.airflow import AirflowSettings
from settings.charts import ChartSettings
from settings.dags import DagSettings
from settings.rds_ca import RDS_CA
from settings.rotation import RotationSettings
from settings.versions import AIRFLOW_CHART
from settings.workers import WorkerSettings, all_queues

RELEASE = "kubernetes:helm.sh/v3:Release"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
AIRFLOW_PODS = {"podSelector": {"matchLabels": {"tier": "airflow", "release": "airflow"}}}
INGRESS = {
    "host": "airflow.example.com",
    "certificate_arn": "arn:aws:acm:eu-west-1:111122223333:certificate/1",
    "allowed_cidrs": ["10.0.0.0/8"],
}
TOKEN = {"repo": "https://github.com/example/dags.git", "auth": {"kind": "token"}}


@pytest.fixture
def deployed(deploy):
    def make(
        *, airflow=None, workers=None, queues=None, dags=None, configured=None, on_aws=False, **args
    ):
        def program():
            secret = pulumi.Output.secret
            given = {f.name: None for f in fields(Secrets)}
            given |= {key: secret(value) for key, value in (configured or {}).items()}
            if on_aws:
                args["log_bucket"] = pulumi.Output.from_input("the-bucket")
                args["log_region"] = pulumi.Output.from_input("eu-west-1")
            everything = AirflowArgs(
                **{
                    "namespace": "airflow",
                    "value_files": ["airflow.yaml", "aws.yaml" if on_aws else "local.yaml"],
                    "database_host": "db.example",
                    "database_password": secret("pw"),
                    "redis_host": "redis.example",
                    "redis_password": secret("pw"),
                    "airflow": AirflowSettings(**airflow or {}),
                    "queues": all_queues(WorkerSettings(**workers or {}), queues or {}),
                    "dags": DagSettings(**dags or {"repo": "https://github.com/example/dags.git"}),
                    "charts": ChartSettings(),
                    "rotation": RotationSettings(),
                    "secrets": Secrets(**given),
                    **args,
                }
            )
            pulumi.export("url", Airflow("airflow", everything).url)

        return deploy(program)

    return make


@pytest.fixture
def values(deployed):
    """Chart values after Helm has merged all layers."""
    return lambda **given: airflow_values(deployed(**given))


def test_the_release_is_the_pinned_chart_with_a_fixed_name(deployed):
    release = deployed().one(RELEASE).inputs

    assert (release["name"], release["namespace"]) == ("airflow", "airflow")
    assert (release["chart"], release["version"]) == ("airflow", AIRFLOW_CHART.version)
    assert release["repositoryOpts"] == {"repo": "https://airflow.apache.org"}


def test_the_chart_comes_from_the_configured_mirror(deployed):
    charts = ChartSettings(source="oci://registry.example/charts")
    release = deployed(charts=charts).one(RELEASE).inputs

    assert release["chart"] == "oci://registry.example/charts/airflow"


def test_helm_waits_for_new_nodes_and_never_rolls_back(deployed):
    release = deployed().one(RELEASE).inputs

    assert release["timeout"] == 1200, "a new node, the image, the first migration"
    assert release["atomic"] is False, "old pods cannot use a migrated database"
    assert release["cleanupOnFail"] is True
    assert release["maxHistory"] == 10, "each revision is a Secret"


def test_a_replaced_release_is_deleted_first(deployed):
    assert deployed().one(RELEASE).delete_before_replace is True


@pytest.mark.parametrize("database_ca", ["PEM", None])
def test_the_release_depends_on_secrets_and_ca_bundle(deployed, database_ca):
    snapshot = deployed(database_ca=database_ca)

    needed = snapshot.all("kubernetes:core/v1:Secret")
    assert len(needed) == 7
    if database_ca:
        needed.append(snapshot.one(CONFIG_MAP, "airflow-database-ca"))
    assert {r.urn for r in needed} <= snapshot.waits_for(snapshot.one(RELEASE).urn)


def test_a_new_git_token_restarts_no_airflow_pod(values):
    old, new = (values(dags=TOKEN, configured={"git_token": token}) for token in ("old", "new"))

    assert old == new, "a restart would interrupt running tasks"


def test_replicas_follow_the_settings(values):
    replicas = {"scheduler": 2, "api_server": 3, "dag_processor": 4, "triggerer": 5}
    found = values(airflow={"replicas": replicas})

    kinds = ("scheduler", "apiServer", "dagProcessor", "triggerer")
    assert [found[kind]["replicas"] for kind in kinds] == [2, 3, 4, 5]


def test_the_image_follows_the_settings(values):
    found = values(airflow={"image": "registry.example/airflow", "version": "3.2.5"})

    assert found["defaultAirflowRepository"] == "registry.example/airflow"
    assert found["airflowVersion"] == found["defaultAirflowTag"] == "3.2.5"
    assert "defaultAirflowDigest" not in found


def test_settings_become_chart_values(values):
    found = values(
        workers={"max": 3, "concurrency": 5, "scaling": "cpu", "grace_seconds": 99},
        dags={"repo": "https://github.com/example/other.git", "sub_path": "team/dags"},
        airflow={"config": {"email": {"from_email": "a@b.example"}}},
    )

    (workers,) = at(found, "workers.celery.sets")
    assert workers["hpa"]["maxReplicaCount"] == 3
    assert workers["terminationGracePeriodSeconds"] == 99
    assert at(found, "workers.celery.enableDefault") is False, (
        "the default set would be a second one"
    )
    assert at(found, "dags.gitSync.subPath") == "team/dags"
    assert at(found, "config.celery.worker_concurrency") == 5
    assert at(found, "config.email.from_email") == "a@b.example"
    assert at(found, "scheduler.env") == [{"name": "AIRFLOW__CORE__PARALLELISM", "value": "15"}]


def test_another_branch_restarts_no_airflow_pod(values):
    repo = "https://github.com/example/dags.git"
    old, new = (values(dags={"repo": repo, "branch": branch}) for branch in ("main", "release"))

    assert old == new, "a changed value restarts every pod with DAGs"


def test_every_queue_has_workers_and_scheduler_slots(values):
    etl = WorkerSettings(max=2, concurrency=3)
    found = values(workers={"max": 3, "concurrency": 5}, queues={"etl": etl})

    assert [each["queue"] for each in at(found, "workers.celery.sets")] == ["default", "etl"]
    assert at(found, "scheduler.env") == [{"name": "AIRFLOW__CORE__PARALLELISM", "value": "21"}]


def test_keda_password_rotation_restarts_no_worker(values):
    old, new = (values(rotation=RotationSettings(keda=number)) for number in (1, 2))

    assert old == new, "workers only refer to the Secret, which KEDA reads itself"


@pytest.mark.parametrize("own_nodes", [True, False])
def test_workers_use_dedicated_nodes_if_available(values, own_nodes):
    (workers,) = at(values(own_nodes=own_nodes), "workers.celery.sets")

    assert ("nodeSelector" in workers) is ("tolerations" in workers) is own_nodes


def test_one_queue_with_queue_scaling_needs_keda(deployed):
    snapshot = deployed(workers={"scaling": "cpu"}, queues={"etl": WorkerSettings()})

    names = {s.inputs["metadata"]["name"] for s in snapshot.all("kubernetes:core/v1:Secret")}
    assert "airflow-keda" in names


@pytest.mark.parametrize(
    ("airflow", "cidr"), [({}, "10.2.0.0/16"), ({"ingress": INGRESS}, "")], ids=["ui", "network"]
)
def test_an_incomplete_load_balancer_opens_no_access(values, airflow, cidr):
    found = values(airflow=airflow, load_balancer_cidrs=[cidr] if cidr else [])

    assert at(found, "apiServer.networkPolicy.ingress.from") == [AIRFLOW_PODS]
    assert "ingress" not in found
    assert "env" not in found["apiServer"]


def test_task_logs_are_written_to_the_bucket(values):
    more = {"config": {"logging": {"logging_level": "WARNING"}}}
    found = values(on_aws=True, airflow=more)

    assert found["config"]["logging"] == {
        "remote_logging": "True",
        "remote_base_log_folder": "s3://the-bucket",
        "remote_log_conn_id": "aws_default",
        "encrypt_s3_logs": "False",
        "delete_local_logs": "True",
        "logging_level": "WARNING",
    }
    assert found["env"] == [
        {"name": "AIRFLOW_CONN_AWS_DEFAULT", "value": "aws://?region_name=eu-west-1"}
    ]


def test_task_logs_stay_in_the_pods_without_a_bucket(values):
    found = values()

    assert "logging" not in found["config"]
    assert found["env"] == []


@pytest.fixture
def aws_values():
    return yaml.safe_load((ROOT / "values" / "aws.yaml").read_text())


def test_the_async_connection_verifies_the_database(aws_values):
    option = aws_values["config"]["database"]["sql_alchemy_connect_args_async"]
    code = aws_values["airflowLocalSettings"]
    assert option == "airflow_local_settings.connect_args_async"
    assert code.count("/etc/rds-ca/ca.pem") == 1

    settings = {}
    exec(code.replace("/etc/rds-ca/ca.pem", str(RDS_CA)), settings)  # noqa: S102 - our own code
    context = settings["connect_args_async"]["ssl"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) > 0
