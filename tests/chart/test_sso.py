"""The configuration of `airflow.sso` in the rendered pods."""

import json

import pytest

from components.airflow import sso

FILE = "/opt/airflow/webserver_config.py"


@pytest.mark.parametrize("name", ["sso", "sso-only"])
def test_only_api_servers_mount_the_configuration(render, name):
    airflow = render(name).airflow
    mounting = {
        pod.name
        for pod in airflow.pods
        for container in pod.containers
        for mount in container.get("volumeMounts", [])
        if mount["mountPath"] == FILE
    }

    assert mounting == {"airflow-api-server"}
    found = airflow.all("ConfigMap")["airflow-api-server-config"]["data"]["webserver_config.py"]
    assert found.strip() == sso.SCRIPT.read_text().strip(), "Helm changes nothing in it"


def test_a_group_reaches_the_pod_as_it_is_written(render):
    container = render("sso").airflow.pod("airflow-api-server").container("api-server")
    env = {e["name"]: e.get("value") for e in container["env"]}

    roles = {"data-platform": "Admin", "{{ analysts }}": "Viewer"}
    assert json.loads(env["AIRFLOW_SSO"])["roles"] == roles
    assert env["FORWARDED_ALLOW_IPS"] == "10.2.0.0/16"


def test_without_the_local_user_its_job_reads_no_password(render):
    rendered = render("sso-only")
    container = rendered.airflow.pod("airflow-create-user").container("create-user")

    assert "airflow users delete --email admin@localhost" in container["args"][-1]
    assert "airflow-admin" not in rendered.contents("Secret", "airflow")
    assert "ADMIN_PASSWORD" not in [e["name"] for e in container["env"]]
