import ssl
from dataclasses import fields
from pathlib import Path

import pulumi
import pytest
import yaml

from components.airflow.release import Airflow, AirflowArgs
from components.platforms import RDS_CA
from ops.plan.values import at, of_airflow
from ops.stack_files import ROOT
from settings import Secrets
from settings.airflow import AirflowSettings
from settings.charts import ChartSettings
from settings.dags import DagSettings
from settings.rotation import RotationSettings
from settings.versions import AIRFLOW_CHART
from settings.workers import WorkerSettings, all_queues
from tests.unit.conftest import secret_data

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
    return lambda **given: of_airflow(deployed(**given))


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


def test_later_value_files_override_earlier_ones(deployed):
    assets = deployed(value_files=["airflow.yaml", "local.yaml"]).one(RELEASE).inputs

    names = [Path(asset["path"]).name for asset in assets["valueYamlFiles"]]
    assert names == ["airflow.yaml", "local.yaml"]


@pytest.mark.parametrize("database_ca", ["PEM", None])
def test_the_release_depends_on_secrets_and_ca_bundle(deployed, database_ca):
    snapshot = deployed(database_ca=database_ca)

    needed = snapshot.all("kubernetes:core/v1:Secret")
    assert len(needed) == 7
    if database_ca:
        needed.append(snapshot.one(CONFIG_MAP, "airflow-database-ca"))
    assert {r.urn for r in needed} <= snapshot.waits_for(snapshot.one(RELEASE).urn)


@pytest.mark.parametrize("job", ["migrateDatabaseJob", "createUserJob"])
def test_jobs_are_not_helm_hooks(values, job):
    assert values()[job]["useHelmHooks"] is False, (
        "a hook would wait for pods that wait for the job"
    )


@pytest.mark.parametrize(
    ("path", "secret", "key"),
    [
        ("data.metadataSecretName", "airflow-metadata", "connection"),
        ("data.brokerUrlSecretName", "airflow-broker", "connection"),
        ("fernetKeySecretName", "airflow-fernet", "fernet-key"),
        ("apiSecretKeySecretName", "airflow-api", "api-secret-key"),
        ("jwtSecretName", "airflow-jwt", "jwt-secret"),
    ],
)
def test_the_chart_generates_no_keys(deployed, path, secret, key):
    snapshot = deployed()

    assert at(of_airflow(snapshot), path) == secret
    assert key in secret_data(snapshot, secret)


def test_the_admin_password_comes_from_its_secret(deployed):
    snapshot = deployed()

    job = of_airflow(snapshot)["createUserJob"]
    (env,) = job["env"]
    reference = env["valueFrom"]["secretKeyRef"]
    assert reference["key"] in secret_data(snapshot, reference["name"])
    assert f'"${env["name"]}"' in job["args"][-1]


def test_the_async_connection_comes_from_its_secret(deployed):
    snapshot = deployed()

    (env,) = of_airflow(snapshot)["secret"]
    assert env["envName"] == "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"
    assert env["secretKey"] in secret_data(snapshot, env["secretName"])


def checksums(values):
    """Secrets that restart a pod, by kind of pod."""
    pods = {
        "workers": values["workers"]["celery"]["sets"][0]["podAnnotations"],
        "scheduler": values["scheduler"]["podAnnotations"],
        "dagProcessor": values["dagProcessor"]["podAnnotations"],
        "triggerer": values["triggerer"]["podAnnotations"],
        "apiServer": values["apiServer"]["podAnnotations"],
        "createUserJob": values["createUserJob"]["jobAnnotations"],
    }
    return {
        kind: {k: v for k, v in found.items() if k.startswith("checksum/")}
        for kind, found in pods.items()
    }


@pytest.mark.parametrize(
    ("kind", "secrets"),
    [
        ("workers", {"metadata", "broker", "fernet", "api"}),
        ("scheduler", {"metadata", "broker", "fernet", "api", "jwt"}),
        ("dagProcessor", {"metadata", "broker", "fernet", "api"}),
        ("triggerer", {"metadata", "broker", "fernet", "api"}),
        ("apiServer", {"metadata", "broker", "fernet", "api", "jwt"}),
        ("createUserJob", {"admin"}),
    ],
)
def test_a_changed_secret_restarts_the_pods_that_use_it(values, kind, secrets):
    found = checksums(values(dags=TOKEN, configured={"git_token": "t"}))[kind]

    assert set(found) == {f"checksum/airflow-{name}" for name in secrets}


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


def test_an_image_digest_reaches_the_chart(values):
    digest = f"sha256:{'0' * 64}"

    assert values(airflow={"digest": digest})["defaultAirflowDigest"] == digest


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


def test_bundle_mode_replaces_git_sync(values):
    dags = {"repo": "https://github.com/example/dags.git", "mode": "bundle"}
    found = values(dags=dags)

    assert at(found, "dags.gitSync.enabled") is False
    (bundle,) = at(found, "dagProcessor.dagBundleConfigList")
    assert bundle["kwargs"]["repo_url"] == "git://dag-relay:9418/dags.git"
    assert at(found, "dagProcessor.replicas") == 1


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


def test_the_keda_secret_exists_only_with_queue_scaling(deployed):
    names = [
        {s.inputs["metadata"]["name"] for s in deployed(workers=w).all("kubernetes:core/v1:Secret")}
        for w in ({"scaling": "queue"}, {"scaling": "cpu"})
    ]

    assert ["airflow-keda" in found for found in names] == [True, False]


def test_only_airflow_pods_may_connect_to_the_api_server(values):
    found = values()

    assert found["networkPolicies"]["enabled"] is True
    assert at(found, "apiServer.networkPolicy.ingress.from") == [AIRFLOW_PODS]
    assert at(found, "ingress.apiServer") is None


def test_the_load_balancer_may_connect_to_the_api_server(values):
    found = values(airflow={"ingress": INGRESS}, load_balancer_cidr="10.2.0.0/16")

    source = {"ipBlock": {"cidr": "10.2.0.0/16"}}
    assert at(found, "apiServer.networkPolicy.ingress.from") == [AIRFLOW_PODS, source]
    assert at(found, "ingress.apiServer.hosts") == [{"name": "airflow.example.com"}]
    assert found["apiServer"]["env"] == [{"name": "FORWARDED_ALLOW_IPS", "value": "10.2.0.0/16"}]
    assert "--proxy-headers" in found["apiServer"]["args"][-1]


@pytest.mark.parametrize("webhook", [False, True])
def test_the_ingress_routes_to_the_webhook_only_if_enabled(values, webhook):
    dags = {"repo": "https://github.com/example/dags.git", "webhook": webhook}
    found = values(airflow={"ingress": INGRESS}, load_balancer_cidr="10.2.0.0/16", dags=dags)

    assert ("precedingPaths" in found["ingress"]["apiServer"]) is webhook


@pytest.mark.parametrize(
    ("airflow", "cidr"), [({}, "10.2.0.0/16"), ({"ingress": INGRESS}, None)], ids=["ui", "network"]
)
def test_an_incomplete_load_balancer_opens_no_access(values, airflow, cidr):
    found = values(airflow=airflow, load_balancer_cidr=cidr)

    assert at(found, "apiServer.networkPolicy.ingress.from") == [AIRFLOW_PODS]
    assert "ingress" not in found
    assert "env" not in found["apiServer"]


@pytest.mark.parametrize(
    ("airflow", "url"),
    [({"ingress": INGRESS}, "https://airflow.example.com"), ({}, "http://localhost:8080")],
    ids=["ingress", "none"],
)
def test_the_url_of_the_ui_is_exported(deployed, airflow, url):
    assert deployed(airflow=airflow).exports["url"] == url


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
    assert "env" not in found


@pytest.fixture
def aws_values():
    return yaml.safe_load((ROOT / "values" / "aws.yaml").read_text())


def test_the_ca_bundle_is_a_config_map(deployed):
    snapshot = deployed(database_ca=RDS_CA.read_text())
    ca = snapshot.one(CONFIG_MAP, "airflow-database-ca").inputs

    assert ca["metadata"] == {"name": "rds-ca", "namespace": "airflow"}
    assert ca["data"] == {"ca.pem": RDS_CA.read_text()}


def test_the_ca_bundle_is_mounted_at_the_configured_path(deployed, aws_values):
    snapshot = deployed(database_ca="PEM", on_aws=True)

    (volume,) = [v for v in aws_values["volumes"] if v["configMap"]["name"] == "rds-ca"]
    (mount,) = aws_values["volumeMounts"]
    assert mount == {"name": volume["name"], "mountPath": "/etc/rds-ca", "readOnly": True}
    connection = secret_data(snapshot, "airflow-metadata")["connection"]
    assert connection.endswith("?sslmode=verify-full&sslrootcert=/etc/rds-ca/ca.pem")


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


def test_without_a_ca_bundle_tls_is_off(deployed):
    snapshot = deployed(database_ca=None)

    names = {one.inputs["metadata"]["name"] for one in snapshot.all(CONFIG_MAP)}
    assert "rds-ca" not in names
    assert "sslmode" not in secret_data(snapshot, "airflow-metadata")["connection"]


def test_dags_get_no_connection_to_the_metadata_database(values):
    builtin = values(workers={"scaling": "cpu"})["enableBuiltInSecretEnvVars"]

    assert builtin["AIRFLOW_CONN_AIRFLOW_DB"] is False


@pytest.mark.parametrize(
    "path",
    [
        "securityContexts.containers",
        "dags.gitSync.securityContexts.container",
        "statsd.securityContexts.container",
    ],
)
def test_airflow_containers_cannot_gain_privileges(values, path):
    security = at(values(), path)

    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("path", ["securityContexts.pod", "statsd.securityContexts.pod"])
def test_airflow_pods_do_not_run_as_root(values, path):
    security = at(values(), path)

    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
