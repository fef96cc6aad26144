from dataclasses import replace

import pulumi
import pytest

from components.kubernetes.postgres import DatabaseContainer, DatabaseContainerArgs
from settings.database import ContainerDatabaseSettings
from settings.versions import POSTGRES
from tests.unit.components.pods import container, environment, mounted, template
from tests.unit.conftest import secret_data

ARGS = DatabaseContainerArgs(
    namespace="airflow",
    password=None,
    password_rotation=1,
    keda_namespace=None,
    dump_prefix="local-3-3-2",
    settings=ContainerDatabaseSettings(kind="container", storage_gb=9, backup_days=0),
)


@pytest.fixture
def database(deploy):
    return lambda **args: deploy(lambda: DatabaseContainer("db", replace(ARGS, **args)))


def test_database_and_user_match_the_connection_strings(database):
    env = environment(database())

    assert (env["POSTGRES_USER"], env["POSTGRES_DB"]) == ("airflow", "airflow")


def test_the_pod_gets_the_password_from_a_secret(database):
    snapshot = database()

    assert secret_data(snapshot, "db-password") == {"password": "db-password-1"}
    assert environment(snapshot)["POSTGRES_PASSWORD"] == {
        "secretKeyRef": {"name": "db-password", "key": "password"}
    }


def test_network_connections_need_the_password(database):
    snapshot = database()

    rules = snapshot.one("kubernetes:core/v1:ConfigMap").inputs["data"]["pg_hba.conf"]
    assert [line.split() for line in rules.splitlines()] == [
        ["local", "all", "all", "trust"],
        ["host", "all", "all", "all", "scram-sha-256"],
    ]


def test_postgres_gets_access_rules_and_max_connections(database):
    snapshot = database()

    assert container(snapshot)["args"] == [
        "-c",
        "max_connections=200",
        "-c",
        "hba_file=/etc/postgres/pg_hba.conf",
    ]
    assert mounted(snapshot)["/etc/postgres"]["configMap"] == {"name": "db-access"}
    metadata = snapshot.one("kubernetes:core/v1:ConfigMap").inputs["metadata"]
    assert metadata == {"name": "db-access", "namespace": "airflow"}


def test_the_password_is_set_at_every_start(database):
    command = container(database())["lifecycle"]["postStart"]["exec"]["command"]

    assert command[:2] == ["bash", "-c"]
    wait, _, change = command[2].partition("done\n")
    assert "until pg_isready -q -h 127.0.0.1" in wait, "TCP opens only after the initial setup"
    assert r"\getenv password POSTGRES_PASSWORD" in change
    assert """ALTER ROLE :"user" PASSWORD :'password';""" in change
    assert "ON_ERROR_STOP=1" in change


def test_a_configured_password_is_set_on_the_server(deploy):
    def program():
        args = replace(ARGS, password=pulumi.Output.secret("configured"))
        database = DatabaseContainer("db", args)
        pulumi.export("password", database.password)
        pulumi.export("host", database.host)

    snapshot = deploy(program)
    assert secret_data(snapshot, "db-password") == {"password": "configured"}
    assert snapshot.exports["password"].value == "configured"
    assert snapshot.exports["host"] == "db.airflow", "KEDA connects from another namespace"
    assert not snapshot.all("random:index/randomPassword:RandomPassword")


def test_the_data_is_on_the_volume(database):
    snapshot = database()

    claim = snapshot.one("kubernetes:core/v1:PersistentVolumeClaim").inputs["spec"]
    assert claim["resources"]["requests"]["storage"] == "9Gi"
    data = "/var/lib/postgresql/data"
    assert {"name": "data", "mountPath": data} in container(snapshot)["volumeMounts"]
    inside = environment(snapshot)["PGDATA"]
    assert inside.startswith(f"{data}/"), "the root of a volume contains lost+found"


def test_postgres_is_ready_when_it_listens(database):
    snapshot = database()

    ready = container(snapshot)["readinessProbe"]["exec"]["command"]
    assert ready == ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "airflow"]


def test_postgres_has_the_version_of_rds_and_the_image_user(database):
    snapshot = database()

    assert container(snapshot)["image"].startswith(f"postgres:{POSTGRES}.")
    assert container(snapshot)["resources"]["limits"]["memory"] == "512Mi"
    security = template(snapshot)["spec"]["securityContext"]
    assert (security["runAsUser"], security["fsGroup"]) == (999, 999)
