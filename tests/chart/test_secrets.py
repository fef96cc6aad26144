"""Each Secret is used under the name and key that the program gives it, and rotates alone."""

import re
import shlex

import pytest


def _of_env(container):
    """(Secret, key) of each environment variable."""
    sources = [e.get("valueFrom", {}).get("secretKeyRef") for e in container.get("env", [])]
    return {(s["name"], s["key"]) for s in sources if s}


def _of_volumes(pod):
    """(Secret, key) of each mount."""
    secrets = {
        volume["name"]: volume["secret"]["secretName"]
        for volume in pod.spec.get("volumes", [])
        if "secret" in volume
    }
    mounts = [m for c in pod.containers for m in c.get("volumeMounts", [])]
    return {(secrets[m["name"]], m.get("subPath")) for m in mounts if m["name"] in secrets}


def _used(pod):
    return _of_volumes(pod).union(*map(_of_env, pod.containers))


def _wired_checksums(pod):
    """Secrets whose checksum stands on the pod. The chart adds that of its own ConfigMap."""
    keys = {key.removeprefix("checksum/") for key in pod.annotations if "/airflow-" in key}
    return keys - {"airflow-config"}


def _files(pod, container, config_maps):
    """The files that a container finds in mounted ConfigMaps of the program."""
    sources = {
        volume["name"]: config_maps[volume["configMap"]["name"]]
        for volume in pod.spec.get("volumes", [])
        if volume.get("configMap", {}).get("name") in config_maps
    }
    mounts = [m for m in container.get("volumeMounts", []) if m["name"] in sources]
    return {f"{m['mountPath']}/{key}" for m in mounts for key in sources[m["name"]]}


def test_pods_use_exactly_the_secrets_that_the_program_declares(any_stack):
    declared = {
        (name, key)
        for name, content in any_stack.declared("Secret", "airflow").items()
        if name.startswith("airflow-") and name != "airflow-git"  # the relay's alone
        for key in content
    }

    assert set().union(*map(_used, any_stack.airflow.pods)) == declared


def test_no_reference_to_a_secret_is_optional(any_stack):
    """Kubernetes then says what is missing, instead of Airflow making a key of its own."""
    assert "optional: true" not in any_stack.airflow.text
    assert "secretRef" not in any_stack.airflow.text


def test_a_new_secret_restarts_exactly_the_pods_that_use_it(any_stack):
    # Workers carry that of KEDA, which reads it anew when it cannot log in; no worker does.
    for pod in any_stack.airflow.pods:
        if pod.kind == "Deployment":
            used = {name for name, _ in _used(pod)} - {"airflow-keda"}
            assert _wired_checksums(pod) == used, pod.name


def test_a_new_signing_key_restarts_the_api_server_and_the_scheduler_only(of):
    before = of("dev").airflow.all("Deployment")
    after = of("new-signing-key").airflow.all("Deployment")

    changed = {name for name, deployment in after.items() if deployment != before[name]}

    assert changed == {"airflow-api-server", "airflow-scheduler"}


def test_the_pods_of_jobs_carry_no_checksum(any_stack):
    jobs = [pod for pod in any_stack.airflow.pods if pod.kind == "Job"]

    assert [_wired_checksums(pod) for pod in jobs] == [set(), set()], (
        "the pod of a Job cannot change: the next upgrade would fail"
    )


def test_a_new_password_runs_the_job_that_sets_it(any_stack):
    job = any_stack.airflow.all("Job")["airflow-create-user"]

    assert "checksum/airflow-admin" in job["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("name", "containers"), [("local", []), ("fixed", []), ("prod", ["airflow-worker worker"])]
)
def test_the_metadata_database_is_a_connection_for_nobody_but_keda(of, name, containers):
    """KEDA looks in the environment of the worker; a DAG can use it wherever it stands."""
    found = [
        f"{pod.name} {container['name']}"
        for pod in of(name).airflow.pods
        for container in pod.containers
        if "AIRFLOW_CONN_AIRFLOW_DB" in [e["name"] for e in container.get("env", [])]
    ]

    assert found == containers
    for secret in filter(None, [of(name).declared("Secret", "airflow").get("airflow-keda")]):
        assert secret["connection"].value.startswith("postgresql://airflow_keda:")


def test_no_secret_stands_in_a_manifest(any_stack):
    for name, content in any_stack.declared("Secret", "airflow").items():
        for key, secret in content.items():
            # The user that a token belongs to is no secret.
            if not key.endswith("USERNAME"):
                assert secret.value not in any_stack.airflow.text, f"{name} {key}"


def test_the_password_of_the_admin_is_on_no_command_line(any_stack):
    container = any_stack.airflow.pod("airflow-create-user").container("create-user")
    words = [word for arg in container["args"] for word in shlex.split(arg)]

    assert ("airflow-admin", "password") in _of_env(container)
    assert not {"-p", "--password", "--use-random-password"} & set(words)


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_whoever_connects_to_rds_has_the_certificates_that_its_url_names(of, name):
    rendered = of(name)
    urls = rendered.declared("Secret", "airflow")
    config_maps = rendered.declared("ConfigMap", "airflow")
    connected = [
        (pod, container)
        for pod in rendered.airflow.pods
        for container in pod.containers
        if ("airflow-metadata", "connection") in _of_env(container)
    ]

    assert "airflow-scheduler" in {pod.name for pod, _ in connected}
    for pod, container in connected:
        files = _files(pod, container, config_maps)
        for secret, key in _of_env(container):
            for path in re.findall(r"sslrootcert=(\S+)", urls[secret][key].value):
                assert path in files, f"{pod.name} {container['name']}: {secret}"
        assert _cafile(rendered) in files, f"{pod.name} {container['name']}: asyncpg"


def _cafile(rendered):
    code = rendered.airflow.all("ConfigMap")["airflow-config"]["data"]["airflow_local_settings.py"]
    (path,) = re.findall(r'cafile="(.+?)"', code)
    return path


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_the_urls_of_rds_demand_a_verified_certificate(of, name):
    declared = of(name).declared("Secret", "airflow")

    for secret in ("airflow-metadata", "airflow-keda"):
        assert "sslmode=verify-full" in declared[secret]["connection"].value


def test_every_config_map_that_a_pod_mounts_is_there(any_stack):
    mounted = {
        volume["configMap"]["name"]
        for pod in any_stack.airflow.pods
        for volume in pod.spec.get("volumes", [])
        if "configMap" in volume
    }
    declared = any_stack.declared("ConfigMap", "airflow")

    assert mounted - any_stack.airflow.all("ConfigMap").keys() == declared.keys() & {
        "rds-ca",
        "dag-relay",
    }
