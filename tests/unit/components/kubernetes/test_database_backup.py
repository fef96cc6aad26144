from dataclasses import replace

import pytest

from components.kubernetes.database_backup import SCRIPT
from components.kubernetes.postgres import DatabaseContainer, DatabaseContainerArgs
from settings.database import ContainerDatabaseSettings

CRON_JOB = "kubernetes:batch/v1:CronJob"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
OWN = {"app.kubernetes.io/name": "database-backup"}
ARGS = DatabaseContainerArgs(
    namespace="airflow",
    password=None,
    password_rotation=1,
    keda_namespace=None,
    dump_prefix="local-3-3-2",
    settings=ContainerDatabaseSettings(kind="container"),
)


@pytest.fixture
def database(deploy):
    def run(*, pull_secret=None, storage_class=None, **settings):
        args = replace(
            ARGS,
            pull_secret=pull_secret,
            storage_class=storage_class,
            settings=ContainerDatabaseSettings(kind="container", **settings),
        )
        return deploy(lambda: DatabaseContainer("db", args))

    return run


def job(snapshot):
    return snapshot.one(CRON_JOB).inputs["spec"]


def template(snapshot):
    return job(snapshot)["jobTemplate"]["spec"]["template"]


def container(snapshot):
    (found,) = template(snapshot)["spec"]["containers"]
    return found


def environment(snapshot):
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container(snapshot)["env"]}


def claim(snapshot):
    (found,) = [c for c in snapshot.all(CLAIM) if c.name == "database-backup-data"]
    return found


def policy(snapshot, name):
    (found,) = [p.inputs["spec"] for p in snapshot.all(POLICY) if p.name == name]
    return found


def test_a_dump_is_made_each_night_and_never_two_at_once(database):
    spec = job(database())

    assert (spec["schedule"], spec["timeZone"]) == ("0 2 * * *", "Etc/UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert "suspend" not in spec
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 24 * 3600, (
        "a job that hangs would keep the next ones from starting"
    )
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 2


def test_without_retention_there_is_no_dump_and_no_volume(database):
    snapshot = database(backup_days=0)

    assert snapshot.all(CRON_JOB) == []
    assert [c.name for c in snapshot.all(CLAIM)] == ["db-data"]
    (client,) = policy(snapshot, "db-clients")["ingress"][0]["from"]
    assert "database-backup" not in str(client)


def test_the_dumps_have_a_volume_of_their_own(database):
    snapshot = database(backup_storage_gb=9, storage_class="fast")

    found = claim(snapshot)
    assert found.inputs["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "9Gi"}},
        "storageClassName": "fast",
    }
    assert found.inputs["metadata"]["name"] == "database-backup"
    assert found.urn in snapshot.one(CRON_JOB).depends_on
    (volume,) = template(snapshot)["spec"]["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": "database-backup"}
    mounts = container(snapshot)["volumeMounts"]
    assert mounts == [{"name": volume["name"], "mountPath": "/backups"}]
    assert container(snapshot)["workingDir"] == "/backups", "the script writes there"


@pytest.mark.parametrize("protect", [True, False])
def test_protect_keeps_database_and_dumps(database, protect):
    kept = {c.name: c.protect for c in database(protect=protect).all(CLAIM)}

    assert kept == {"db-data": protect, "database-backup-data": protect}


def test_the_job_runs_the_script_in_the_image_of_the_database(database):
    image = "registry.example.com/postgres:16.1"
    snapshot = database(image=image, backup_days=3)

    assert container(snapshot)["image"] == image
    assert container(snapshot)["command"] == ["sh", "-c", SCRIPT.read_text()]
    env = environment(snapshot)
    assert (env["BACKUP_DAYS"], env["DUMP_PREFIX"]) == ("3", "local-3-3-2")
    assert (env["PGHOST"], env["PGUSER"], env["PGDATABASE"]) == ("db.airflow", *2 * ["airflow"])


def test_the_password_comes_from_the_secret_of_the_database(database):
    assert environment(database())["PGPASSWORD"] == {
        "secretKeyRef": {"name": "db-password", "key": "password"}
    }


def test_the_job_reaches_the_database_only(database):
    snapshot = database()

    assert policy(snapshot, "database-backup-egress") == {
        "podSelector": {"matchLabels": OWN},
        "policyTypes": ["Egress"],
        "egress": [
            {
                "to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "db"}}}],
                "ports": [{"port": 5432, "protocol": "TCP"}],
            },
            {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
        ],
    }
    assert OWN.items() <= template(snapshot)["metadata"]["labels"].items()
    (rule,) = policy(snapshot, "db-clients")["ingress"]
    assert {"podSelector": {"matchLabels": OWN}} in rule["from"]


def test_the_pod_is_restricted_and_writes_to_its_volume_only(database):
    snapshot = database(pull_secret="registry")

    spec = template(snapshot)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    security = spec["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (
        True,
        999,
        999,
    )
    assert container(snapshot)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container(snapshot)["resources"] == {
        "requests": {"cpu": "50m", "memory": "256Mi"},
        "limits": {"memory": "256Mi"},
    }
