"""Network isolation, Redis persistence and confidentiality of secrets on the running stack."""

from functools import partial

import pytest

OTHER_POD = """
apiVersion: v1
kind: Pod
metadata: {name: other-pod, namespace: default}
spec:
  restartPolicy: Never
  containers:
    - name: other-pod
      image: busybox:1.36
      imagePullPolicy: IfNotPresent
      command: [sleep, "600"]
"""
SERVERS = [("redis", 6379), ("database", 5432), ("dag-relay", 9418)]
# A message as the scheduler sends it, from code that reaches the broker, such as a task.
FORGED = """
import json, uuid
from airflow.providers.celery.executors.celery_executor_utils import app
call = {"path": "os.mkdir", "kwargs": {"path": "forged"}}
callback = {"id": str(uuid.uuid4()), "fetch_method": "import_path", "data": call}
bundle = {"name": "dags-folder", "version": None}
workload = {"type": "ExecuteCallback", "callback": callback, "bundle_info": bundle,
            "dag_rel_path": "a.py", "log_path": "forged", "token": "forged"}
sent = app.send_task("execute_workload", args=[json.dumps(workload)], queue="default")
print(sent.get(timeout=60, propagate=False))
"""
# Command lines of all processes of a container, without `ps`, which an image may lack.
PROCESSES = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"


@pytest.fixture(scope="module")
def other_pod(installed, cluster):
    """A pod in another namespace."""
    cluster.kubectl("apply", "-f", "-", stdin=OTHER_POD)
    try:
        cluster.kubectl(
            "-n", "default", "wait", "--for=condition=Ready", "pod/other-pod", "--timeout=120s"
        )
        yield "other-pod"
    finally:
        cluster.kubectl("-n", "default", "delete", "pod", "other-pod", "--now")


@pytest.mark.parametrize(("service", "port"), [*SERVERS, ("git-server", 9418)])
def test_pods_of_other_namespaces_reach_no_server(other_pod, cluster, service, port):
    script = f"nc -z -w 3 {service}.airflow {port} && echo open || echo closed"
    output = cluster.kubectl("-n", "default", "exec", other_pod, "--", "sh", "-c", script)

    assert output.strip() == "closed"


@pytest.mark.parametrize(("service", "port"), SERVERS)
def test_workers_reach_every_server(installed, cluster, service, port):
    (worker, *_) = cluster.ready("worker")
    script = f"import socket; socket.create_connection(('{service}', {port}), 5); print('open')"
    output = cluster.exec(worker, "worker", "python", "-c", script)

    assert output.strip() == "open", "a test of closed ports proves nothing without an open one"


def test_redis_keeps_its_queue_when_its_pod_is_deleted(cluster, api):
    redis = partial(cluster.exec, "redis-0", "redis", "redis-cli", "--user", "admin")
    # As kombu does: Redis replays a transaction with the rights of the user `default`, which is off.
    script = "printf 'MULTI\\nSET kept yes\\nEXEC\\n' | redis-cli --user admin"
    cluster.exec("redis-0", "redis", "sh", "-c", script)
    cluster.kubectl("-n", "airflow", "delete", "pod", "redis-0", "--wait=true")
    cluster.kubectl("-n", "airflow", "rollout", "status", "statefulset/redis", "--timeout=120s")

    assert redis("get", "kept").strip() == "yes"
    assert "noeviction" in redis("config", "get", "maxmemory-policy")
    redis("del", "kept")
    assert api.run("word_count")["state"] == "success", "workers did not reconnect to Redis"


@pytest.mark.parametrize("words", ["config get maxmemory", "flushall", "keys *", "eval return 0"])
def test_tasks_do_not_administer_redis(installed, cluster, words):
    password = cluster.secret("redis-config", "password")
    script = f"REDISCLI_AUTH={password} redis-cli --user airflow {words}"
    output = cluster.exec("redis-0", "redis", "sh", "-fc", script)

    assert output.startswith("NOPERM"), output


def test_redis_rejects_the_user_without_a_name(installed, cluster):
    password = cluster.secret("redis-config", "password")
    output = cluster.exec("redis-0", "redis", "sh", "-c", f"redis-cli -a {password} ping 2>&1")

    assert "WRONGPASS" in output
    assert "PONG" not in output


def test_airflow_needs_no_other_right_in_redis(cluster, api):
    redis = partial(cluster.exec, "redis-0", "redis", "redis-cli", "--user", "admin")
    redis("acl", "log", "reset")

    assert api.run("word_count")["state"] == "success"
    assert redis("acl", "log").strip() == "", "Redis refused a command of a scheduler or a worker"


def test_no_secret_is_in_a_command_line_or_in_helm_values(installed, cluster):
    known = {
        cluster.secret("airflow-admin", "password"),
        cluster.secret("redis-config", "password"),
        cluster.secret("redis-config", "admin-password"),
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
        output = cluster.exec(pod, container, "sh", "-c", PROCESSES)
        assert not [secret for secret in known if secret in output], pod
    (release, *_) = cluster.get("secrets", "-l", "owner=helm,status=deployed")
    manifest = cluster.helm_release(release)
    assert "airflow-metadata" in manifest, (
        "this is not the release of Airflow: this test proves nothing"
    )
    assert not [secret for secret in known if secret in manifest]


def test_workers_refuse_a_forged_callback(installed, cluster):
    (worker, *_) = cluster.ready("worker")

    output = cluster.exec(worker, "worker", "python", "-c", FORGED)

    assert "os.mkdir was not called" in output, output
    for name in cluster.ready("worker"):
        assert "forged" not in cluster.exec(name, "worker", "ls")
