"""The Job that checks `airflow.sso`."""

import pulumi
import pytest

from components.airflow import sso_check
from components.airflow.sso_check import SsoCheck, SsoCheckArgs
from components.support.named_secret import named_secret

JOB = "kubernetes:batch/v1:Job"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


@pytest.fixture
def check(deploy):
    def make(*, value="hunter2", image="apache/airflow:3.3.2", configuration="{}", ca=None):
        def program():
            client_secret = named_secret(
                "airflow-sso",
                name="airflow-sso",
                namespace="airflow",
                data={"client-secret": pulumi.Output.secret(value)},
                opts=pulumi.ResourceOptions(),
            )
            args = SsoCheckArgs(
                namespace="airflow",
                image=image,
                configuration=configuration,
                client_secret=client_secret,
                ca=ca,
            )
            SsoCheck("check", args)

        return deploy(program)

    return make


def test_the_check_runs_again_only_if_an_input_changes(check, tmp_path, monkeypatch):
    def name(**given):
        return check(**given).one(JOB).inputs["metadata"]["name"]

    names = [
        name(**different)
        for different in (
            {},
            {},
            {"value": "another"},
            {"image": "apache/airflow:3.2.3"},
            {"configuration": '{"issuer": "https://i"}'},
            {"ca": "PEM"},
            {"ca": "another PEM"},
        )
    ]
    changed = tmp_path / "script.py"
    changed.write_text("pass")
    monkeypatch.setattr(sso_check, "SCRIPT", changed)
    names.append(name())

    assert names[0] == names[1], "each `make up` would replace it"
    assert len(set(names)) == 7


def test_a_failed_check_fails_the_update_at_once(check):
    spec = check().one(JOB).inputs["spec"]

    assert spec["backoffLimit"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 600, "a new node, and the image"


def test_the_check_is_a_restricted_pod_of_the_image(check):
    pod = check().one(JOB).inputs["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsUser"] == 50000
    assert pod["automountServiceAccountToken"] is False
    assert container["image"] == "apache/airflow:3.3.2"
    env = {e["name"]: e.get("valueFrom", e.get("value")) for e in container["env"]}
    assert env == {
        "AIRFLOW_SSO": "{}",
        "AIRFLOW_SSO_CLIENT_SECRET": {
            "secretKeyRef": {"name": "airflow-sso", "key": "client-secret"}
        },
    }


def test_a_private_ca_is_mounted(check):
    snapshot = check(ca="PEM")
    pod = snapshot.one(JOB).inputs["spec"]["template"]["spec"]

    config = snapshot.one(CONFIG_MAP)
    assert config.inputs["data"] == {"ca.pem": "PEM"}
    assert pod["volumes"] == [{"name": "ca", "configMap": {"name": "sso-ca"}}]
    (mount,) = pod["containers"][0]["volumeMounts"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/sso-ca", True)
    assert config.urn in snapshot.waits_for(snapshot.one(JOB).urn)
