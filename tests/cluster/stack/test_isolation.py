"""Who reaches what, and where secrets stand, on the running stack."""

import pytest

STRANGER = """
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: default}
spec:
  restartPolicy: Never
  containers:
    - name: stranger
      image: busybox:1.36
      imagePullPolicy: IfNotPresent
      command: [sleep, "600"]
"""
SERVERS = [("redis", 6379), ("database", 5432), ("dag-relay", 9418)]
# Every process of a container: /proc of the pod, without tools that the image may lack.
PROCESSES = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"


@pytest.fixture(scope="module")
def stranger(installed, cluster):
    """A pod of another namespace."""
    cluster.kubectl("apply", "-f", "-", stdin=STRANGER)
    try:
        cluster.kubectl(
            "-n", "default", "wait", "--for=condition=Ready", "pod/stranger", "--timeout=120s"
        )
        yield "stranger"
    finally:
        cluster.kubectl("-n", "default", "delete", "pod", "stranger", "--now")


@pytest.mark.parametrize(("service", "port"), [*SERVERS, ("git-server", 9418)])
def test_strangers_reach_no_server(stranger, cluster, service, port):
    script = f"nc -z -w 3 {service}.airflow {port} && echo open || echo closed"
    said = cluster.kubectl("-n", "default", "exec", stranger, "--", "sh", "-c", script)

    assert said.strip() == "closed"


@pytest.mark.parametrize(("service", "port"), SERVERS)
def test_workers_reach_every_server(installed, cluster, service, port):
    (worker, *_) = cluster.ready("worker")
    script = f"import socket; socket.create_connection(('{service}', {port}), 5); print('open')"
    said = cluster.kubectl(
        "-n", "airflow", "exec", worker, "-c", "worker", "--", "python", "-c", script
    )

    assert said.strip() == "open", "otherwise the test of strangers shows nothing"


def test_redis_remembers_its_queue_after_its_pod_is_gone_and_work_goes_on(cluster, api):
    redis = ("-n", "airflow", "exec", "redis-0", "--", "redis-cli")
    cluster.kubectl(*redis, "set", "kept", "yes")
    cluster.kubectl("-n", "airflow", "delete", "pod", "redis-0", "--wait=true")
    cluster.kubectl("-n", "airflow", "rollout", "status", "statefulset/redis", "--timeout=120s")

    assert cluster.kubectl(*redis, "get", "kept").strip() == "yes"
    assert "noeviction" in cluster.kubectl(*redis, "config", "get", "maxmemory-policy")
    cluster.kubectl(*redis, "del", "kept")
    assert api.run("word_count")["state"] == "success", "workers find their queue again"


def test_no_secret_is_on_a_command_line_or_in_helm_values(installed, cluster):
    known = {
        cluster.secret("airflow-admin", "password"),
        cluster.secret("redis-config", "password"),
        cluster.secret("database-password", "password"),
        cluster.secret("airflow-fernet", "fernet-key"),
        cluster.secret("airflow-api", "api-secret-key"),
        cluster.secret("airflow-jwt", "jwt-secret"),
    }
    places = {"redis-0": "redis", "database-0": "database"}
    places |= {
        name: component
        for component in ("worker", "scheduler")
        for name in cluster.ready(component)
    }
    for pod, container in places.items():
        said = cluster.kubectl(
            "-n", "airflow", "exec", pod, "-c", container, "--", "sh", "-c", PROCESSES
        )
        assert not [secret for secret in known if secret in said], pod
    (release, *_) = cluster.get("secrets", "-l", "owner=helm,status=deployed")
    manifest = cluster.helm_release(release)
    assert "airflow-metadata" in manifest, "otherwise this looked at nothing"
    assert not [secret for secret in known if secret in manifest]
