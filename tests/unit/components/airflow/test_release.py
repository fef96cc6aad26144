import json
import ssl
from dataclasses import fields

import pulumi
import pytest
import yaml

from components.airflow.release import Airflow, AirflowArgs
from components.support.database_login import DatabaseLogin
from ops.plan.report import airflow_values
from ops.stack_files import ROOT
from policies.view import at
from settings import Secrets, versions
from settings.airflow import AirflowSettings
from settings.charts import ChartSettings
from settings.dags import DagSettings
from settings.logs import LogSettings
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
        *,
        airflow=None,
        workers=None,
        queues=None,
        dags=None,
        configured=None,
        on_aws=False,
        ca=None,
        **args,
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
                    "database": DatabaseLogin(host="db.example", password=secret("pw"), ca=ca),
                    "redis_host": "redis.example",
                    "redis_password": secret("pw"),
                    "airflow": AirflowSettings(**airflow or {}),
                    "queues": all_queues(WorkerSettings(**workers or {}), queues or {}),
                    "task_namespace": "airflow-tasks",
                    "dags": DagSettings(**dags or {"repo": "https://github.com/example/dags.git"}),
                    "logs": LogSettings(),
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


def env(found, component):
    return {variable["name"]: variable for variable in found[component]["env"]}


@pytest.mark.parametrize("component", ["scheduler", "apiServer"])
def test_pods_that_use_tokens_have_all_valid_keys(values, component):
    found = values()
    variables, part = env(found, component), found[component]

    (volume,), (mount,) = part["extraVolumes"], part["extraVolumeMounts"]
    assert volume == {
        "name": mount["name"],
        "secret": {"secretName": "airflow-jwt", "items": [{"key": "jwks", "path": "jwks.json"}]},
    }
    assert mount["readOnly"] is True
    url = variables["AIRFLOW__API_AUTH__TRUSTED_JWKS_URL"]["value"]
    assert url == f"{mount['mountPath']}/jwks.json"
    key_id = variables["AIRFLOW__API_AUTH__JWT_KID"]["valueFrom"]["secretKeyRef"]
    assert key_id == {"name": "airflow-jwt", "key": "jwt-kid"}


@pytest.mark.parametrize(
    ("workers", "airflow", "seconds"),
    [
        ({"max": 11}, {}, None),
        ({"max": 12}, {}, "2"),
        ({"max": 12}, {"config": {"api": {"workers": 2}}}, None),
        ({"max": 12}, {"config": {"workers": {"min_heartbeat_interval": 1}}}, None),
    ],
    ids=["89 tasks", "97 tasks", "two processes", "chosen"],
)
def test_the_heartbeat_interval_follows_the_size(values, workers, airflow, seconds):
    queues = {"etl": WorkerSettings(max=1, concurrency=1)}

    found = values(workers=workers, airflow=airflow, queues=queues)

    intervals = {
        variable["value"]
        for each in at(found, "workers.celery.sets")
        for variable in each.get("env", [])
        if variable["name"] == "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"
    }
    assert intervals == ({seconds} if seconds else set())


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


@pytest.mark.parametrize("ca", ["PEM", None])
def test_the_release_depends_on_secrets_and_ca_bundle(deployed, ca):
    snapshot = deployed(ca=ca)

    needed = snapshot.all("kubernetes:core/v1:Secret")
    assert len(needed) == 7
    if ca:
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
    found = values(airflow={"image": "registry.example/airflow", "version": "3.3.2"})

    assert found["defaultAirflowRepository"] == "registry.example/airflow"
    assert found["airflowVersion"] == found["defaultAirflowTag"] == "3.3.2"
    assert "defaultAirflowDigest" not in found


def test_the_chart_gets_a_semantic_version(values, monkeypatch):
    """`semverCompare` of the chart ends with an error at 3.4.0b2."""
    monkeypatch.setitem(versions.AIRFLOW_VERSIONS, "3.4.0b2", ())
    found = values(airflow={"version": "3.4.0b2"})

    assert (found["airflowVersion"], found["defaultAirflowTag"]) == ("3.4.0", "3.4.0b2")


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
    assert env(found, "scheduler")["AIRFLOW__CORE__PARALLELISM"]["value"] == "15"


def test_another_branch_restarts_no_airflow_pod(values):
    repo = "https://github.com/example/dags.git"
    old, new = (values(dags={"repo": repo, "branch": branch}) for branch in ("main", "release"))

    assert old == new, "a changed value restarts every pod with DAGs"


def test_every_queue_has_workers_and_scheduler_slots(values):
    etl = WorkerSettings(max=2, concurrency=3)
    found = values(workers={"max": 3, "concurrency": 5}, queues={"etl": etl})

    assert [each["queue"] for each in at(found, "workers.celery.sets")] == ["default", "etl"]
    assert env(found, "scheduler")["AIRFLOW__CORE__PARALLELISM"]["value"] == "21"


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
    assert "FORWARDED_ALLOW_IPS" not in env(found, "apiServer")


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
    assert "extraEnv" not in found


def own_bucket(**given):
    return LogSettings(bucket="the-bucket/airflow", **given)


def connection(variables):
    (value,) = [v["value"] for v in variables if v["name"] == "AIRFLOW_CONN_REMOTE_LOGS"]
    return json.loads(value)


def test_task_logs_are_written_to_a_bucket_of_the_user(values):
    more = {"config": {"logging": {"encrypt_s3_logs": True}}}
    found = values(logs=own_bucket(region="eu-west-1"), airflow=more)

    assert found["config"]["logging"] == {
        "remote_logging": "True",
        "remote_base_log_folder": "s3://the-bucket/airflow",
        "remote_log_conn_id": "remote_logs",
        "encrypt_s3_logs": "true",
        "delete_local_logs": "True",
    }
    variables = yaml.safe_load(found["extraEnv"])
    assert connection(variables) == {"conn_type": "aws", "extra": {"region_name": "eu-west-1"}}
    assert len(variables) == 1, "without a Secret, the role of the pods applies"


def test_a_compatible_service_gets_its_credentials_by_name(values):
    logs = own_bucket(endpoint_url="https://minio.example:9000", credentials_secret="minio")
    found = values(logs=logs)

    assert "{{" not in found["extraEnv"], "Helm would evaluate it"
    *credentials, _ = variables = yaml.safe_load(found["extraEnv"])
    assert credentials == [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": "minio", "key": key}}}
        for name, key in (
            ("REMOTE_LOGS_KEY_ID", "AWS_ACCESS_KEY_ID"),
            ("REMOTE_LOGS_KEY", "AWS_SECRET_ACCESS_KEY"),
        )
    ], "before the connection: Kubernetes inserts only variables that it already knows"
    given = connection(variables)
    assert (given["login"], given["password"]) == ("$(REMOTE_LOGS_KEY_ID)", "$(REMOTE_LOGS_KEY)")
    assert given["extra"]["endpoint_url"] == "https://minio.example:9000"
    assert set(given["extra"]["config_kwargs"].values()) == {"when_required"}


def test_the_async_connection_verifies_the_database():
    found = yaml.safe_load((ROOT / "values" / "database-tls.yaml").read_text())
    option = found["config"]["database"]["sql_alchemy_connect_args_async"]
    code = found["airflowLocalSettings"]
    assert option == "airflow_local_settings.connect_args_async"
    assert code.count("/etc/rds-ca/ca.pem") == 1

    settings = {}
    exec(code.replace("/etc/rds-ca/ca.pem", str(RDS_CA)), settings)  # noqa: S102 - our own code
    context = settings["connect_args_async"]["ssl"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) > 0


SSO = {"issuer": "https://i.example", "client_id": "airflow", "roles": {"ops": "Admin"}}


def test_the_release_waits_for_the_check_of_sso(deployed):
    snapshot = deployed(airflow={"sso": SSO}, configured={"sso_client_secret": "hunter2"})

    (job,) = [job for job in snapshot.all("kubernetes:batch/v1:Job") if "sso-check" in job.name]
    assert job.urn in snapshot.waits_for(snapshot.one(RELEASE).urn)


@pytest.mark.parametrize("on_aws", [True, False])
def test_only_the_api_server_has_the_configuration_of_sso(values, on_aws):
    given = {"sso": {**SSO, "session_hours": 2}}
    if on_aws:
        given["ingress"] = INGRESS
    found = values(
        airflow=given,
        configured={"sso_client_secret": "hunter2"},
        on_aws=on_aws,
        load_balancer_cidrs=["10.2.0.0/16"] if on_aws else [],
    )

    api_server = found["apiServer"]
    env = {e["name"]: e.get("valueFrom", e.get("value")) for e in api_server["env"]}
    assert env["AIRFLOW__FAB__SESSION_LIFETIME_MINUTES"] == "120"
    assert env["AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME"] == "7200"
    secret = {"secretKeyRef": {"name": "airflow-sso", "key": "client-secret"}}
    assert env["AIRFLOW_SSO_CLIENT_SECRET"] == secret
    assert ("FORWARDED_ALLOW_IPS" in env) == on_aws, "the redirect URI starts with https://"
    assert "AUTH_OAUTH" in api_server["apiServerConfig"]
    assert "checksum/airflow-sso" in api_server["podAnnotations"]
    assert "checksum/airflow-jwt" in api_server["podAnnotations"]
    for component in ("scheduler", "dagProcessor", "triggerer"):
        assert "checksum/airflow-sso" not in found[component]["podAnnotations"]
    assert "hunter2" not in str(found)


def test_a_private_ca_of_the_provider_is_mounted(values, tmp_path):
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----")
    given = {"sso": {**SSO, "ca_file": str(pem)}}
    api_server = values(airflow=given, configured={"sso_client_secret": "hunter2"})["apiServer"]

    (_, volume) = api_server["extraVolumes"]
    assert volume == {"name": "sso-ca", "configMap": {"name": "sso-ca"}}
    (of_tokens, mount) = api_server["extraVolumeMounts"]
    assert of_tokens["name"] == "token-keys"
    assert mount == {"name": "sso-ca", "mountPath": "/etc/sso-ca", "readOnly": True}
    assert "checksum/sso-ca" in api_server["podAnnotations"], "a new CA restarts API servers"


def test_without_the_local_user_the_job_deletes_it(values):
    given = {"sso": SSO, "admin_user": False}
    job = values(airflow=given, configured={"sso_client_secret": "hunter2"})["createUserJob"]

    assert "airflow users delete --email admin@localhost" in job["args"][2]
    assert "users create" not in job["args"][2]
    assert job["env"] == [], "the Secret of its password does not exist"


OTHER_MANAGER = {"config": {"core": {"auth_manager": "a.b.OtherAuthManager"}}}


@pytest.mark.parametrize(
    ("given", "secrets"),
    [
        ({}, {}),
        ({"sso": SSO, "admin_user": False}, {"sso_client_secret": "hunter2"}),
        (OTHER_MANAGER, {}),
    ],
)
def test_every_release_encrypts_again_after_a_rotation(values, given, secrets):
    script = values(airflow=given, configured=secrets)["createUserJob"]["args"][2]

    assert script.endswith("airflow rotate-fernet-key ;; esac\n")
    assert ("airflow users" in script) is ("config" not in given), "FAB's command fails elsewhere"


def test_the_check_of_sso_logs_in_to_the_private_registry(deployed):
    found = deployed(
        airflow={"sso": SSO},
        configured={"sso_client_secret": "hunter2"},
        pull_secret="registry",
    )

    (job,) = [job for job in found.all("kubernetes:batch/v1:Job") if "sso-check" in job.name]
    spec = job.inputs["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]


def test_without_sso_nothing_changes(deployed, values):
    api_server = values()["apiServer"]

    assert "apiServerConfig" not in api_server
    assert "AIRFLOW_SSO" not in str(api_server)
    names = [job.name for job in deployed().all("kubernetes:batch/v1:Job")]
    assert not [name for name in names if "sso" in name]


XCOMS = {"image": "me/airflow", "xcom_bucket": True}
BACKEND = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"


def xcom_options(found):
    config = found["config"]
    return {**config.get("common.io", {}), "backend": config.get("core", {}).get("xcom_backend")}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"on_aws": True}, "s3://aws_default@the-bucket/xcom"),
        ({"logs": own_bucket()}, "s3://remote_logs@the-bucket/airflow/xcom"),
    ],
)
def test_large_xcoms_go_to_the_bucket_of_the_task_logs(values, given, path):
    assert xcom_options(values(airflow=XCOMS, **given)) == {
        "backend": BACKEND,
        "xcom_objectstorage_path": path,
        "xcom_objectstorage_threshold": "1048576",
    }
    without = xcom_options(values(**given))
    assert without == {"backend": None}


def test_options_of_the_stack_file_apply_to_large_xcoms(values):
    own = {"common.io": {"xcom_objectstorage_threshold": 4096}, "core": {"parallelism_x": 1}}
    found = values(airflow={**XCOMS, "config": own}, on_aws=True)

    assert xcom_options(found)["xcom_objectstorage_threshold"] == "4096"
    assert found["config"]["core"]["parallelism_x"] == "1"
    assert found["config"]["core"]["plugins_folder"], "options of the program stay"


def test_the_release_waits_for_the_check_of_the_image(deployed):
    snapshot = deployed(airflow=XCOMS, on_aws=True, pull_secret="registry")

    (job,) = [job for job in snapshot.all("kubernetes:batch/v1:Job") if "xcom-check" in job.name]
    assert job.urn in snapshot.waits_for(snapshot.one(RELEASE).urn)
    pod = job.inputs["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"].startswith("me/airflow:")
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert not [j for j in deployed().all("kubernetes:batch/v1:Job") if "xcom" in j.name]
