"""KEDA's user: the Job that makes it, and what its script says to PostgreSQL."""

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
    def make(*, connection="of keda", image="apache/airflow:3.2.2", limit=5, database_ca=None):
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


def test_the_job_is_a_new_one_when_what_it_depends_on_changes_and_else_the_same(role):
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

    assert names[0] == names[1], "each `make up` would make it anew"
    assert len(set(names)) == 5
    assert all(name.startswith("role-") and len(name) == len("role-") + 10 for name in names)


def test_a_new_script_is_a_new_job(role, tmp_path, monkeypatch):
    before = role()["metadata"]["name"]
    changed = tmp_path / "script.py"
    changed.write_text("pass")
    monkeypatch.setattr(keda_role, "SCRIPT", changed)

    assert role()["metadata"]["name"] != before


def test_the_job_stays_when_it_is_done(role):
    spec = role()["spec"]

    assert "ttlSecondsAfterFinished" not in spec, "Pulumi would miss it"
    assert spec["activeDeadlineSeconds"] == 1200, "a node, the image, the first migration"
    assert pod(role())["restartPolicy"] == "Never", "the pod that failed has the log"


def test_the_database_admits_its_pod_and_no_policy_of_the_chart_takes_it_for_another(role):
    labels = role()["spec"]["template"]["metadata"]["labels"]

    assert labels.items() >= {"tier": "airflow", "release": "airflow"}.items()
    assert labels["component"] == "keda-role"
    assert "release" not in role()["metadata"]["labels"], "`make up` waits for Jobs of the release"


def test_its_pod_meets_pod_security_restricted_and_says_what_it_needs(role):
    security, own = pod(role())["securityContext"], container(role())["securityContext"]

    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 50000)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert pod(role())["automountServiceAccountToken"] is False
    resources = container(role())["resources"]
    assert resources == {
        "requests": {"cpu": "50m", "memory": "128Mi"},
        "limits": {"memory": "128Mi"},
    }


def test_passwords_come_from_secrets_alone(role):
    job = role(connection="hunter2")

    env = {e["name"]: e.get("valueFrom", e.get("value")) for e in container(job)["env"]}
    assert env == {
        "AIRFLOW_CONNECTION": {"secretKeyRef": {"name": "airflow-metadata", "key": "connection"}},
        "KEDA_CONNECTION": {"secretKeyRef": {"name": "airflow-keda", "key": "connection"}},
        "CONNECTION_LIMIT": "5",
    }
    assert "hunter2" not in str(job)
    assert container(job)["command"][:2] == ["python", "-c"]


def test_it_verifies_a_database_that_speaks_tls(role):
    job = role(database_ca="rds-ca")

    (volume,) = pod(job)["volumes"]
    (mount,) = container(job)["volumeMounts"]
    assert volume == {"name": mount["name"], "configMap": {"name": "rds-ca"}}
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/rds-ca", True)
    assert "volumes" not in pod(role(database_ca=None))


class Database:
    """PostgreSQL as the script sees it: `roles` that are there, and how often it asks for the table.

    It refuses the first `refused` connections.
    """

    def __init__(self, roles=(), asked_before_table=0, refused=0):
        self.roles = roles
        self.refused = refused
        self.without_table = asked_before_table
        self.said = []
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
    """Of psycopg2: `OperationalError`."""


class Connection:
    autocommit = False

    def __init__(self, database):
        self.database = database
        self.connection = self

    def cursor(self):
        return self

    def close(self):
        self.database.said.append("close")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def execute(self, statement, values=()):
        self.database.said.append(statement.replace("%s", "{!r}").format(*values))

    def fetchone(self):
        asked = self.database.said[-1]
        if "pg_roles" in asked:
            return (1,) if any(repr(role) in asked for role in self.database.roles) else None
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
        return database.said

    return script


ALTER = (
    "ALTER ROLE airflow_keda LOGIN CONNECTION LIMIT 10 PASSWORD "
    f"'scram-sha-256 of {PASSWORD} for airflow_keda'"
)
FIRST = "SELECT 1 FROM pg_roles WHERE rolname = 'airflow_keda'"
TABLE = "SELECT to_regclass('task_instance')"
REST = [
    ALTER,
    "ALTER ROLE airflow_keda SET statement_timeout = '10s'",
    TABLE,
    "REVOKE ALL ON task_instance FROM airflow_keda; "
    "GRANT SELECT (state, queue) ON task_instance TO airflow_keda",
    "close",
    "SELECT count(*) FROM task_instance WHERE state = 'running' AND queue = 'default'",
    "close",
]


def test_keda_may_log_in_and_read_what_it_counts_and_nothing_else(run):
    assert run(Database()) == [FIRST, "CREATE ROLE airflow_keda", *REST]


def test_a_role_that_is_there_gets_the_password_of_today(run):
    assert run(Database(roles=["airflow_keda"])) == [FIRST, *REST]


def test_it_waits_for_the_table_and_keda_can_log_in_meanwhile(run, capsys):
    said = run(Database(asked_before_table=3))

    assert said.count(TABLE) == 4
    assert said.index(ALTER) < said.index(TABLE)
    assert "waiting for the table task_instance" in capsys.readouterr().err


def test_in_the_end_it_logs_in_as_keda(run, capfd):
    database = Database()
    run(database)

    assert database.logins == [f"postgresql://airflow:pw@{AIRFLOW}", KEDA]
    assert PASSWORD not in "".join(capfd.readouterr())


def test_a_pod_that_no_policy_admits_yet_tries_for_a_minute(run):
    assert run(Database(refused=20)) == [FIRST, "CREATE ROLE airflow_keda", *REST]


def test_a_database_that_refuses_for_longer_fails_the_job(run):
    database = Database(refused=1000)

    with pytest.raises(Refused):
        run(database)

    assert 30 < len(database.logins) < 35, "every two seconds"
