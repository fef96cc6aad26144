"""Secrets: encrypted in the state, and the pods that a rotation restarts."""

import pytest

from ops.plan.mock_engine import Secret
from ops.plan.report import airflow_values
from policies.view import at
from tests.unit.stacks.committed import every_stack

EVERY_POD = {"workers", "scheduler", "dagProcessor", "triggerer", "apiServer"}


def secrets_in(value):
    if isinstance(value, Secret):
        yield value.value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from secrets_in(inner)


@every_stack
def test_only_secrets_and_the_database_contain_secrets(snapshot, name):
    found = snapshot(name)

    types = {r.type for r in found.resources.values() if list(secrets_in(r.inputs))}
    assert types <= {"kubernetes:core/v1:Secret", "aws:rds/instance:Instance"}
    assert list(secrets_in(found.exports)) == []


@every_stack
def test_no_secret_is_in_plain_text(snapshot, name):
    found = snapshot(name)

    known = {s for r in found.resources.values() for s in secrets_in(r.inputs)}
    assert len(known) > 8
    for resource in found.resources.values():
        plain = str(resource.inputs)
        assert [s for s in known if s in plain] == [], resource.name
    assert [s for s in known if s in str(found.exports)] == []


@every_stack
def test_no_resource_id_is_a_secret(snapshot, name):
    types = {r.type for r in snapshot(name).resources.values()}

    assert "random:index/randomBytes:RandomBytes" not in types, "the state has IDs in plain text"


def checksums(snapshot):
    """Checksum annotations of each pod template, and names of jobs."""
    values = airflow_values(snapshot)
    found = {
        kind: values[kind]["podAnnotations"]
        for kind in ("scheduler", "dagProcessor", "triggerer", "apiServer")
    }
    found["workers"] = values["workers"]["celery"]["sets"][0]["podAnnotations"]
    found["createUserJob"] = values["createUserJob"]["jobAnnotations"]
    for server in snapshot.all("kubernetes:apps/v1:StatefulSet"):
        found[server.name] = at(server.inputs, "spec.template.metadata.annotations")
    for job in snapshot.all("kubernetes:batch/v1:Job"):
        found[job.name] = {"name": job.inputs["metadata"]["name"]}
    return found


def every_pod(secret, *more):
    return {*((pod, secret) for pod in EVERY_POD), *more}


@pytest.mark.parametrize(
    ("number", "restarted"),
    [
        ("fernet", every_pod("airflow-fernet")),
        ("api", every_pod("airflow-api")),
        ("jwt", {("scheduler", "airflow-jwt"), ("apiServer", "airflow-jwt")}),
        ("admin", {("createUserJob", "airflow-admin")}),
        ("database", every_pod("airflow-metadata", ("database-server", "database-password"))),
        ("redis", every_pod("airflow-broker", ("redis-server", "redis-config"))),
        ("webhook", {("dag-relay-server", "dag-relay-webhook")}),
        ("keda", {("airflow-keda-role-job", "name")}),
    ],
)
def test_a_rotation_restarts_only_pods_that_use_the_secret(program, number, restarted):
    given = {"dags": {"webhook": True}, "workers": {"scaling": "queue"}}
    old = checksums(program("local", **given))
    new = checksums(program("local", **given, rotation={number: 2}))

    changed = {
        (pod, key.removeprefix("checksum/"))
        for pod, annotations in new.items()
        for key in annotations
        if annotations[key] != old[pod][key]
    }
    assert changed == restarted
    assert {pod: set(a) for pod, a in new.items()} == {pod: set(a) for pod, a in old.items()}
