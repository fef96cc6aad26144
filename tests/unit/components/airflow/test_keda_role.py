"""KEDA's role: the Job that creates it, and the statements of its script."""

import runpy
import sys
from types import ModuleType, SimpleNamespace

import pulumi
import pytest

from components.airflow import keda_role
from components.airflow.keda_role import KedaRole, KedaRoleArgs
from components.support.named_secret import named_secret

JOB = "kubernetes:batch/v1:Job"
PASSWORD = "hunter2/of@keda"
KEDA = "postgresql://airflow_keda:hunter2%2Fof%40keda@db.example:5432/airflow?sslmode=verify-full"
AIRFLOW = "db.example:5432/airflow?sslmode=verify-full"


@pytest.fixture
def role(deploy):
    def make(*, connection="of keda", image="apache/airflow:3.3.2", limit=5, database_ca=None):
        def secret(name, value):
            return named_secret(
                name,
                name=name,
                namespace="airflow",
                data={"connection": pulumi.Output.secret(value)},
                opts=pulumi.ResourceOptions(),
            )

        def program():
            args = KedaRoleArgs(
                namespace="airflow",
                image=image,
                metadata=secret("airflow-metadata", "of airflow"),
                keda=secret("airflow-keda", connection),
                connection_limit=limit,
                database_ca=database_ca,
            )
            KedaRole("role", args)

        return deploy(program).one(JOB).inputs

    return make


def pod(job):
    return job["spec"]["template"]["spec"]


def container(job):
    (only,) = pod(job)["containers"]
    return only


def test_the_job_is_replaced_only_if_an_input_changes(role):
    names = [
        role(**different)["metadata"]["name"]
        for different in (
            {},
            {},
            {"connection": "another"},
            {"image": "apache/airflow:3.2.3"},
            {"limit": 10},
            {"database_ca": "rds-ca"},
        )
    ]

    assert names[0] == names[1], "each `make up` would replace it"
    assert len(set(names)) == 5
    assert all(name.startswith("role-") and len(name) == len("role-") + 10 for name in names)


def test_a_changed_pod_replaces_the_job(role, monkeypatch):
    before = role()["metadata"]["name"]
    monkeypatch.setattr(keda_role, "MEMORY_MB", 256)

    assert role()["metadata"]["name"] != before, "a Job is immutable"


def test_a_changed_script_replaces_the_job(role, tmp_path, monkeypatch):
    before = role()["metadata"]["name"]
    changed = tmp_path / "script.py"
    changed.write_text("pass")
    monkeypatch.setattr(keda_role, "SCRIPT", changed)

    assert role()["metadata"]["name"] != before


def test_a_finished_job_is_kept(role):
    spec = role()["spec"]

    assert "ttlSecondsAfterFinished" not in spec, "Pulumi would create it again"
    assert spec["activeDeadlineSeconds"] == 1200, "a node, the image, the first migration"
    assert pod(role())["restartPolicy"] == "Never", "the failed pod has the log"


def test_the_pod_has_the_network_access_of_airflow_only(role):
    labels = role()["spec"]["template"]["metadata"]["labels"]

    assert labels.items() >= {"tier": "airflow", "release": "airflow"}.items()
    assert labels["component"] == "keda-role"
    assert "release" not in role()["metadata"]["labels"], "`make up` waits for Jobs of the release"


def test_the_pod_has_the_user_of_the_image_and_no_token(role):
    assert pod(role())["securityContext"]["runAsUser"] == 50000
    assert pod(role())["automountServiceAccountToken"] is False


def test_passwords_come_from_secrets_only(role):
    job = role(connection="hunter2")

    env = {e["name"]: e.get("valueFrom", e.get("value")) for e in container(job)["env"]}
    assert env == {
        "AIRFLOW_CONNECTION": {"secretKeyRef": {"name": "airflow-metadata", "key": "connection"}},
        "KEDA_CONNECTION": {"secretKeyRef": {"name": "airflow-keda", "key": "connection"}},
        "CONNECTION_LIMIT": "5",
    }
    assert "hunter2" not in str(job)
    assert container(job)["command"][:2] == ["python", "-c"]


def test_the_ca_bundle_of_a_tls_database_is_mounted(role):
    job = role(database_ca="rds-ca")

    (volume,) = pod(job)["volumes"]
    (mount,) = container(job)["volumeMounts"]
    assert volume == {"name": mount["name"], "configMap": {"name": "rds-ca"}}
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/rds-ca", True)
    assert "volumes" not in pod(role(database_ca=None))


class Database:
    """Stand-in for PostgreSQL with `roles`, which refuses its first connections."""

    def __init__(self, roles=(), polls_before_table=0, refused=0, creates_roles=True):
        self.roles = roles
        self.creates_roles = creates_roles
        self.refused = refused
        self.without_table = polls_before_table
        self.statements = []
        self.logins = []

    def connect(self, url):
        self.logins.append(url)
        if len(self.logins) <= self.refused:
            raise Refused
        return Connection(self)

    def encrypt_password(self, password, user, scope, algorithm):
        assert isinstance(scope, Connection)
        return f"{algorithm} of {password} for {user}"


class Refused(Exception):
    """Stands in for psycopg2.OperationalError."""


class Connection:
    autocommit = False

    def __init__(self, database):
        self.database = database
        self.connection = self

    def cursor(self):
        return self

    def close(self):
        self.database.statements.append("close")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def execute(self, statement, values=()):
        self.database.statements.append(statement.replace("%s", "{!r}").format(*values))

    def fetchone(self):
        statement = self.database.statements[-1]
        if "current_user" in statement:
            return (1,) if self.database.creates_roles else None
        if "pg_roles" in statement:
            return (1,) if any(repr(role) in statement for role in self.database.roles) else None
        self.database.without_table -= 1
        return (None,) if self.database.without_table >= 0 else ("task_instance",)


@pytest.fixture
def run(monkeypatch):
    def script(database):
        extensions = ModuleType("psycopg2.extensions")
        extensions.encrypt_password = database.encrypt_password
        psycopg2 = ModuleType("psycopg2")
        psycopg2.connect, psycopg2.extensions = database.connect, extensions
        psycopg2.OperationalError = Refused
        slept = []
        clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: sum(slept))
        monkeypatch.setitem(sys.modules, "psycopg2", psycopg2)
        monkeypatch.setitem(sys.modules, "psycopg2.extensions", extensions)
        monkeypatch.setitem(sys.modules, "time", clock)
        monkeypatch.setenv("AIRFLOW_CONNECTION", f"postgresql+psycopg2://airflow:pw@{AIRFLOW}")
        monkeypatch.setenv("KEDA_CONNECTION", KEDA)
        monkeypatch.setenv("CONNECTION_LIMIT", "10")
        runpy.run_path(str(keda_role.SCRIPT), run_name="__main__")
        return database.statements

    return script


ALTER = (
    'ALTER ROLE "airflow_keda" LOGIN CONNECTION LIMIT 10 PASSWORD '
    f"'scram-sha-256 of {PASSWORD} for airflow_keda'"
)
MAY = "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolcreaterole OR rolsuper)"
EXISTS = "SELECT 1 FROM pg_roles WHERE rolname = 'airflow_keda'"
CREATE = 'CREATE ROLE "airflow_keda"'
TABLE = "SELECT to_regclass('task_instance')"
GRANT_AND_VERIFY = [
    TABLE,
    'REVOKE ALL ON task_instance FROM "airflow_keda"; '
    'GRANT SELECT (state, queue) ON task_instance TO "airflow_keda"',
    "close",
    "SELECT count(*) FROM task_instance WHERE state = 'running' AND queue = 'default'",
    "close",
]
REST = [
    ALTER,
    "ALTER ROLE \"airflow_keda\" SET statement_timeout = '10s'",
    *GRANT_AND_VERIFY,
]


def test_the_role_may_only_read_what_keda_counts(run):
    assert run(Database()) == [MAY, EXISTS, CREATE, *REST]


def test_an_existing_role_gets_the_current_password(run):
    assert run(Database(roles=["airflow_keda"])) == [MAY, EXISTS, *REST]


def test_keda_can_log_in_while_the_job_waits_for_the_table(run, capsys):
    statements = run(Database(polls_before_table=3))

    assert statements.count(TABLE) == 4
    assert statements.index(ALTER) < statements.index(TABLE)
    assert "waiting for the table task_instance" in capsys.readouterr().err


def test_the_job_verifies_the_login_of_keda(run, capfd):
    database = Database()
    run(database)

    assert database.logins == [f"postgresql://airflow:pw@{AIRFLOW}", KEDA]
    assert PASSWORD not in "".join(capfd.readouterr())


def test_refused_connections_are_retried_for_a_minute(run):
    assert run(Database(refused=20)) == [MAY, EXISTS, CREATE, *REST]


def test_a_longer_refusal_fails_the_job(run):
    database = Database(refused=1000)

    with pytest.raises(Refused):
        run(database)

    assert 30 < len(database.logins) < 35, "one attempt every two seconds"


def test_without_createrole_the_given_role_is_used(run):
    """Its password is the administrator's: only the grants are the job's."""
    database = Database(roles=["airflow_keda"], creates_roles=False)

    assert run(database) == [MAY, EXISTS, *GRANT_AND_VERIFY]
    assert database.logins[-1] == KEDA


def test_without_createrole_a_missing_role_is_named(run):
    with pytest.raises(SystemExit) as ended:
        run(Database(creates_roles=False))

    assert 'CREATE ROLE "airflow_keda" LOGIN CONNECTION LIMIT 10 PASSWORD' in str(ended.value)
    assert PASSWORD not in str(ended.value)
