from dataclasses import replace

import pulumi
import pytest

from components.kubernetes.postgres import DatabaseContainer, DatabaseContainerArgs
from settings.database import ContainerDatabaseSettings
from settings.versions import POSTGRES
from tests.unit.conftest import secret_data

SERVER = "kubernetes:apps/v1:StatefulSet"
ARGS = DatabaseContainerArgs(
    namespace="airflow",
    password=None,
    password_rotation=1,
    keda_namespace=None,
    settings=ContainerDatabaseSettings(kind="container", storage_gb=9),
)


@pytest.fixture
def database(deploy):
    return lambda **args: deploy(lambda: DatabaseContainer("db", replace(ARGS, **args)))


def pod(declaration):
    return declaration.one(SERVER).inputs["spec"]["template"]


def container(declaration):
    (only,) = pod(declaration)["spec"]["containers"]
    return only


def environment(declaration):
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container(declaration)["env"]}


def test_database_and_user_match_the_connection_strings(database):
    env = environment(database())

    assert (env["POSTGRES_USER"], env["POSTGRES_DB"]) == ("airflow", "airflow")


def test_the_password_is_not_in_the_pod_spec(database):
    declaration = database()

    assert secret_data(declaration, "db-password") == {"password": "db-password-1"}
    assert environment(declaration)["POSTGRES_PASSWORD"] == {
        "secretKeyRef": {"name": "db-password", "key": "password"}
    }
    assert "db-password-1" not in str(declaration.one(SERVER).inputs)
    assert "[secret]" not in str(declaration.one(SERVER).inputs)


def test_network_connections_need_the_password(database):
    declaration = database()

    rules = declaration.one("kubernetes:core/v1:ConfigMap").inputs["data"]["pg_hba.conf"]
    assert [line.split() for line in rules.splitlines()] == [
        ["local", "all", "all", "trust"],
        ["host", "all", "all", "all", "scram-sha-256"],
    ]


def test_postgres_gets_access_rules_and_max_connections(database):
    declaration = database()

    assert container(declaration)["args"] == [
        "-c",
        "max_connections=200",
        "-c",
        "hba_file=/etc/postgres/pg_hba.conf",
    ]
    (mount,) = [
        m for m in container(declaration)["volumeMounts"] if m["mountPath"] == "/etc/postgres"
    ]
    (rules,) = [v for v in pod(declaration)["spec"]["volumes"] if v["name"] == mount["name"]]
    assert rules["configMap"] == {"name": "db-access"}
    metadata = declaration.one("kubernetes:core/v1:ConfigMap").inputs["metadata"]
    assert metadata == {"name": "db-access", "namespace": "airflow"}


def test_the_password_is_set_at_every_start(database):
    command = container(database())["lifecycle"]["postStart"]["exec"]["command"]

    assert command[:2] == ["bash", "-c"]
    wait, _, change = command[2].partition("done\n")
    assert "until pg_isready -q -h 127.0.0.1" in wait, "TCP opens only after the initial setup"
    assert r"\getenv password POSTGRES_PASSWORD" in change
    assert """ALTER ROLE :"user" PASSWORD :'password';""" in change
    assert "ON_ERROR_STOP=1" in change


def test_a_new_password_restarts_postgres(database):
    old, new = (pod(database(password_rotation=g))["metadata"]["annotations"] for g in (1, 2))

    assert {key for key in new if new[key] != old.get(key)} == {"checksum/db-password"}


def test_a_configured_password_is_set_on_the_server(deploy):
    def program():
        args = replace(ARGS, password=pulumi.Output.secret("configured"))
        database = DatabaseContainer("db", args)
        pulumi.export("password", database.password)
        pulumi.export("host", database.host)

    declaration = deploy(program)
    assert secret_data(declaration, "db-password") == {"password": "configured"}
    assert declaration.exports["password"].value == "configured"
    assert declaration.exports["host"] == "db.airflow", "KEDA connects from another namespace"
    assert not declaration.all("random:index/randomPassword:RandomPassword")


def test_the_data_is_on_the_volume(database):
    declaration = database()

    claim = declaration.one("kubernetes:core/v1:PersistentVolumeClaim").inputs["spec"]
    assert claim["resources"]["requests"]["storage"] == "9Gi"
    data = "/var/lib/postgresql/data"
    assert {"name": "data", "mountPath": data} in container(declaration)["volumeMounts"]
    inside = environment(declaration)["PGDATA"]
    assert inside.startswith(f"{data}/"), "the root of a volume contains lost+found"


AIRFLOW = {"podSelector": {"matchLabels": {"tier": "airflow", "release": "airflow"}}}
KEDA = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda-system"}},
    "podSelector": {"matchLabels": {"app": "keda-operator"}},
}


@pytest.mark.parametrize(
    ("namespace", "clients"), [(None, [AIRFLOW]), ("keda-system", [AIRFLOW, KEDA])]
)
def test_only_airflow_and_keda_may_connect(database, namespace, clients):
    policy = database(keda_namespace=namespace).one("kubernetes:networking.k8s.io/v1:NetworkPolicy")

    (rule,) = policy.inputs["spec"]["ingress"]
    assert rule["from"] == clients
    assert rule["ports"] == [{"port": 5432, "protocol": "TCP"}]


def test_postgres_is_ready_when_it_listens(database):
    declaration = database()

    ready = container(declaration)["readinessProbe"]["exec"]["command"]
    assert ready == ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "airflow"]


def test_postgres_has_the_version_of_rds_and_the_image_user(database):
    declaration = database()

    assert container(declaration)["image"] == f"postgres:{POSTGRES}"
    assert container(declaration)["resources"]["limits"]["memory"] == "512Mi"
    security = pod(declaration)["spec"]["securityContext"]
    assert (security["runAsUser"], security["fsGroup"]) == (999, 999)
