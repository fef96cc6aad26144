"""Pods reference the program's Secrets by name and key, and restart when they rotate."""

import re
import shlex

import pytest


def _from_env(container):
    """(Secret, key) of each environment variable."""
    sources = [e.get("valueFrom", {}).get("secretKeyRef") for e in container.get("env", [])]
    return {(s["name"], s["key"]) for s in sources if s}


def _from_volumes(pod):
    """(Secret, key) of each mount."""
    secrets = {v["name"]: v["secret"] for v in pod.spec.get("volumes", []) if "secret" in v}
    mounts = [m for c in pod.containers for m in c.get("volumeMounts", [])]
    return {
        (secret["secretName"], key)
        for mount in mounts
        if (secret := secrets.get(mount["name"]))
        for key in [item["key"] for item in secret.get("items", [])] or [mount.get("subPath")]
    }


def _used(pod):
    """(Secret, key) of the Secrets that this program declares, not of the user's own."""
    found = _from_volumes(pod).union(*map(_from_env, pod.containers))
    return {(name, key) for name, key in found if name.startswith("airflow-")}


def _wired_checksums(pod):
    """Secrets with a checksum annotation on the pod, without the chart's own ConfigMap."""
    keys = {key.removeprefix("checksum/") for key in pod.annotations if "/airflow-" in key}
    return keys - {"airflow-config"}


def _files(pod, container, config_maps):
    """Files in a container from the program's ConfigMaps."""
    sources = {
        volume["name"]: config_maps[volume["configMap"]["name"]]
        for volume in pod.spec.get("volumes", [])
        if volume.get("configMap", {}).get("name") in config_maps
    }
    mounts = [m for m in container.get("volumeMounts", []) if m["name"] in sources]
    return {f"{m['mountPath']}/{key}" for m in mounts for key in sources[m["name"]]}


def test_pods_use_exactly_the_secrets_of_the_program(any_stack):
    declared = {
        (name, key)
        for name, content in any_stack.contents(
            "Secret", any_stack.settings.cluster.namespace
        ).items()
        if name.startswith("airflow-") and name != "airflow-git"  # the relay's alone
        for key in content
    }

    assert set().union(*map(_used, any_stack.airflow.pods)) == declared


def test_no_reference_to_a_secret_is_optional(any_stack):
    """Kubernetes then reports a missing Secret; otherwise Airflow generates a key."""
    assert "optional: true" not in any_stack.airflow.text
    assert "secretRef" not in any_stack.airflow.text


def test_a_rotated_secret_restarts_exactly_its_users(any_stack):
    # Workers have KEDA's connection in their environment. Only KEDA uses it, and reloads it.
    for pod in any_stack.airflow.pods:
        if pod.kind == "Deployment":
            used = {name for name, _ in _used(pod)} - {"airflow-keda"}
            assert _wired_checksums(pod) == used, pod.name


def test_pods_of_jobs_have_no_checksum(any_stack):
    jobs = [pod for pod in any_stack.airflow.pods if pod.kind == "Job"]

    assert [_wired_checksums(pod) for pod in jobs] == [set(), set()], (
        "a Job's pod template is immutable: remove the annotation in components/airflow/release.py"
    )


def test_a_rotated_password_reruns_its_job(any_stack):
    job = any_stack.airflow.all("Job")["airflow-create-user"]

    found = "checksum/airflow-admin" in (job["metadata"].get("annotations") or {})
    assert found == any_stack.settings.airflow.admin_user


@pytest.mark.parametrize(
    ("name", "containers"), [("local", []), ("fixed", []), ("prod", ["airflow-worker worker"])]
)
def test_only_workers_with_keda_have_a_database_connection(render, name, containers):
    """KEDA reads the connection from the worker's environment, where a DAG could use it too."""
    found = [
        f"{pod.name} {container['name']}"
        for pod in render(name).airflow.pods
        for container in pod.containers
        if "AIRFLOW_CONN_AIRFLOW_DB" in [e["name"] for e in container.get("env", [])]
    ]

    assert found == containers
    for secret in filter(None, [render(name).contents("Secret", "airflow").get("airflow-keda")]):
        assert secret["connection"].value.startswith("postgresql://airflow_keda:")


def test_no_manifest_contains_a_secret(any_stack):
    for name, content in any_stack.contents("Secret", any_stack.settings.cluster.namespace).items():
        for key, secret in content.items():
            # The user name of a token is not secret.
            if not key.endswith("USERNAME"):
                assert secret.value not in any_stack.airflow.text, f"{name} {key}"


def test_the_admin_password_is_in_no_command_line(any_stack):
    container = any_stack.airflow.pod("airflow-create-user").container("create-user")
    words = [word for arg in container["args"] for word in shlex.split(arg)]

    found = ("airflow-admin", "password") in _from_env(container)
    assert found == any_stack.settings.airflow.admin_user
    assert not {"-p", "--password", "--use-random-password"} & set(words)


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_clients_of_rds_mount_the_certificates_of_their_url(render, name):
    rendered = render(name)
    urls = rendered.contents("Secret", "airflow")
    config_maps = rendered.contents("ConfigMap", "airflow")
    connected = [
        (pod, container)
        for pod in rendered.airflow.pods
        for container in pod.containers
        if ("airflow-metadata", "connection") in _from_env(container)
    ]

    assert "airflow-scheduler" in {pod.name for pod, _ in connected}
    for pod, container in connected:
        files = _files(pod, container, config_maps)
        for secret, key in _from_env(container):
            for path in re.findall(r"sslrootcert=(\S+)", urls[secret][key].value):
                assert path in files, f"{pod.name} {container['name']}: {secret}"
        assert _cafile(rendered) in files, f"{pod.name} {container['name']}: asyncpg"


def _cafile(rendered):
    code = rendered.airflow.all("ConfigMap")["airflow-config"]["data"]["airflow_local_settings.py"]
    (path,) = re.findall(r'cafile="(.+?)"', code)
    return path


def test_every_mounted_config_map_exists(any_stack):
    mounted = {
        volume["configMap"]["name"]
        for pod in any_stack.airflow.pods
        for volume in pod.spec.get("volumes", [])
        if "configMap" in volume
    }
    declared = any_stack.contents("ConfigMap", any_stack.settings.cluster.namespace)

    assert mounted - any_stack.airflow.all("ConfigMap").keys() == declared.keys() & {
        "rds-ca",
        "dag-relay",
    }
