"""The rehearsal of an upgrade: what migrates which database, and that nothing is left behind."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace

import pytest

from ops import backup, drift, rehearsal, update_watch
from ops.drill import Copy
from ops.kubernetes import Kubernetes
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from settings.versions import AIRFLOW

CLUSTER = Kubernetes(name="c", namespace="airflow", arguments=[])
SECRET = {"name": "SQL", "valueFrom": {"secretKeyRef": {"name": "metadata", "key": "connection"}}}
JOB = {
    "kind": "Job",
    "metadata": {
        "name": "airflow-run-airflow-migrations",
        "labels": {"component": "run-airflow-migrations", "release": "airflow"},
    },
    "spec": {
        "ttlSecondsAfterFinished": 60,
        "template": {
            "metadata": {"labels": {"component": "run-airflow-migrations", "tier": "airflow"}},
            "spec": {
                "restartPolicy": "OnFailure",
                "containers": [{"image": "apache/airflow:3.2.2", "args": ["x"], "env": [SECRET]}],
            },
        },
    },
}
OTHER_JOB = {"kind": "Job", "metadata": {"labels": {"component": "create-user-job"}}}
RESULT = {"seconds": 41, "before": 900, "after": 1100}


class Platform:
    def __init__(self, session):
        self.session = session
        self.steps, self.jobs, self.pods = [], [], []
        self.ended = "Complete"
        self.logs = f"INFO\nrehearsal: {json.dumps(RESULT)}\n"

    def rehearse(self):
        rehearsal.rehearse(self.session, CLUSTER, "3.2.2")

    @contextmanager
    def of_dump(self, cluster, dump):
        self.steps.append(f"copy {dump.name}")
        yield Copy(address={"database": "airflow_drill"}, made=datetime.now(UTC))
        self.steps.append("delete the copy")

    def items(self, kind, selector):
        assert selector == "component=airflow-rehearsal"
        if kind == "pods":
            return self.pods
        status = {"conditions": [{"type": self.ended, "status": "True"}]} if self.ended else {}
        return [{"status": status}]

    def kubectl(self, command, *, seconds, stdin=None):
        self.steps.append(" ".join(command[1:3]))
        if stdin:
            self.jobs.append(json.loads(stdin))
        return ""


@pytest.fixture
def platform(monkeypatch, tmp_path, stack):
    opened = Stack(name="local", file=tmp_path / "Pulumi.local.yaml", env=dict(os.environ))
    found = Platform(Session(settings=stack("local")[1], stack=opened, account=None))
    found.dump = tmp_path / "local.dump"

    def attempt(command, *, seconds):
        return subprocess.CompletedProcess(command, 0, found.logs, "")

    def make(session, cluster, version):
        found.steps.append(f"dump {version}")
        found.dump.touch()
        return str(found.dump)

    for target, name, replacement in (
        (rehearsal, "POLL_SECONDS", 0),
        (rehearsal, "of_dump", found.of_dump),
        (rehearsal, "output", found.kubectl),
        (rehearsal, "attempt", attempt),
        (update_watch, "PATIENCE_SECONDS", 0),
        (backup, "make", make),
        (drift, "release", lambda cluster: json.loads(json.dumps([OTHER_JOB, JOB]))),
        (Kubernetes, "items", lambda self, kind, selector: found.items(kind, selector)),
    ):
        monkeypatch.setattr(target, name, replacement)
    return found


DELETE = "delete job"
ALL = ["dump 3.2.2", "copy local.dump", DELETE, "apply --namespace", DELETE, "delete the copy"]


def test_a_copy_is_migrated_and_deleted(platform, capsys):
    platform.rehearse()

    assert platform.steps == ALL
    assert not platform.dump.exists(), "the backup is made during the pause"
    out = capsys.readouterr().out
    assert "Migration: 41 s. Database: 900 MB before, 1100 MB after" in out


def test_the_job_has_the_new_image_and_the_rights_of_the_release(platform):
    platform.rehearse()

    (job,) = platform.jobs
    pod = job["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["image"].rpartition(":")[2] == AIRFLOW
    assert container["env"] == [SECRET], "the password stays in its Secret"
    assert pod["metadata"]["labels"] == {"component": "airflow-rehearsal", "tier": "airflow"}
    assert job["metadata"]["name"] == "airflow-rehearsal"
    assert (job["spec"]["backoffLimit"], pod["spec"]["restartPolicy"]) == (0, "Never")
    assert job["spec"]["activeDeadlineSeconds"] == rehearsal.SECONDS


def test_a_failed_migration_stops_the_upgrade(platform):
    platform.ended = "Failed"
    platform.logs = "\n".join(f"line {number}" for number in range(12)) + "\nno space left"

    with pytest.raises(
        OperationError, match=r"nothing was changed:\nline 3\n(.*\n)*no space left$"
    ):
        platform.rehearse()
    assert platform.steps[-1] == DELETE


def test_an_image_that_cannot_be_pulled_ends_the_rehearsal(platform):
    platform.ended = None
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    container = {"name": "migrate", "image": "apache/airflow:9", "state": {"waiting": waiting}}
    platform.pods = [{"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}]

    with pytest.raises(OperationError, match=r"cannot start, .*apache/airflow:9: not found"):
        platform.rehearse()
    assert platform.steps[-1] == DELETE


@pytest.mark.parametrize("status", [0, 1])
def test_the_program_migrates_only_the_copy(platform, monkeypatch, capsys, status):
    class FakeUrl(str):
        def set(self, database):
            return FakeUrl(self.replace("/airflow?", f"/{database}?"))

        def render_as_string(self, *, hide_password):
            assert hide_password is False
            return str(self)

    sizes, migrated, checked = [7 * 2**20, 9 * 2**20], [], []
    connection = SimpleNamespace(scalar=lambda statement: sizes.pop(0))

    def migrate(command):
        if command == ["airflow", "db", "check", "--retry", "30", "--retry-delay", "2"]:
            assert not migrated, "a new pod may be admitted to the database after some seconds"
            checked.append(command)
            return 0
        assert command == ["airflow", "db", "migrate"]
        migrated.append(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
        return status

    sqlalchemy = ModuleType("sqlalchemy")
    sqlalchemy.create_engine = lambda url: SimpleNamespace(connect=lambda: nullcontext(connection))
    sqlalchemy.text = str
    sqlalchemy_engine = ModuleType("sqlalchemy.engine")
    sqlalchemy_engine.make_url = FakeUrl
    monkeypatch.setitem(sys.modules, "sqlalchemy", sqlalchemy)
    monkeypatch.setitem(sys.modules, "sqlalchemy.engine", sqlalchemy_engine)
    monkeypatch.setattr(subprocess, "call", migrate)
    for name in (
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
    ):
        monkeypatch.setenv(name, "postgresql://airflow:a@db/airflow?sslmode=disable")
    platform.rehearse()
    capsys.readouterr()

    (container,) = platform.jobs[0]["spec"]["template"]["spec"]["containers"]
    program = compile(container["args"][-1], "migration", "exec")
    if status:
        with pytest.raises(SystemExit):
            exec(program, {})  # noqa: S102
    else:
        exec(program, {})  # noqa: S102

    assert len(checked) == 1
    assert migrated == ["postgresql://airflow:a@db/airflow_drill?sslmode=disable"]
    assert os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] == migrated[0]
    found = capsys.readouterr().out.removeprefix(rehearsal.ANSWER)
    assert (json.loads(found) if found else None) == (
        None if status else {"seconds": 0, "before": 7, "after": 9}
    )
