"""What a task of a queue with `pod_operator` may do in the cluster, with the token of its worker."""

import json

import pytest

from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow

CALL = """
import json, ssl, sys, urllib.error, urllib.request
method, path, body = sys.argv[1], sys.argv[2], sys.argv[3].encode() or None
account = "/var/run/secrets/kubernetes.io/serviceaccount/"
request = urllib.request.Request("https://kubernetes.default.svc" + path, body, method=method)
request.add_header("Authorization", "Bearer " + open(account + "token").read())
request.add_header("Content-Type", "application/json")
trust = ssl.create_default_context(cafile=account + "ca.crt")
try:
    answer = urllib.request.urlopen(request, context=trust, timeout=10)
    print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as refused:
    print(json.dumps([refused.code, refused.read().decode()]))
"""
PODS = "/api/v1/namespaces/airflow-tasks/pods"
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(name, security, command=("echo", "hello"), **resources):
    container = {
        "name": "base",
        "image": "busybox:1.36",
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "securityContext": security,
        "resources": resources,
    }
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {"metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def call(installed, checkout, cluster):
    """A request to the Kubernetes API from a worker: its status and body."""
    before = checkout.file("local").read_text()
    checkout.change(
        "local",
        workers={"pod_operator": True},
        task_pods={"max": 2, "memory_mb": 1024},
        images={"pull_secret": "registry"},
    )
    login = {"auths": {"registry.example.com": {"username": "robot", "password": "hunter2"}}}
    checkout.configure("local", image_pull_credentials=json.dumps(login))
    checkout.up()

    def request(method, path, body=None):
        (worker, *_) = cluster.ready("worker")
        words = [method, path, json.dumps(body) if body else ""]
        status, text = json.loads(cluster.exec(worker, "worker", "python", "-c", CALL, *words))
        return status, text

    yield request
    checkout.file("local").write_text(before)
    checkout.up()


def test_a_task_runs_a_pod_and_reads_its_log(call, cluster):
    assert call("POST", PODS, pod("hello", RESTRICTED))[0] == 201
    (started,) = cluster.get("pods", namespace="airflow-tasks")
    assert started["spec"]["imagePullSecrets"] == [{"name": "registry"}]

    def phase():
        return json.loads(call("GET", f"{PODS}/hello")[1])["status"]["phase"] == "Succeeded"

    wait_for("its end", phase, seconds=60)
    assert call("GET", f"{PODS}/hello/log") == (200, "hello\n")
    assert call("DELETE", f"{PODS}/hello")[0] == 200


def test_a_task_reads_no_secret_and_starts_no_pod_of_airflow(call):
    assert call("GET", "/api/v1/namespaces/airflow/secrets")[0] == 403
    assert call("GET", "/api/v1/namespaces/airflow-tasks/secrets")[0] == 403
    assert call("POST", "/api/v1/namespaces/airflow/pods", pod("no", RESTRICTED))[0] == 403


def test_a_privileged_pod_is_refused(call):
    status, text = call("POST", PODS, pod("root", {"privileged": True}))

    assert status == 403
    assert 'violates PodSecurity \\"restricted' in text


def test_pods_beyond_the_quota_are_refused_with_the_reason(call):
    large = pod("large", RESTRICTED, limits={"memory": "2Gi"}, requests={"cpu": "10m"})

    status, text = call("POST", PODS, large)

    assert status == 403
    assert "exceeded quota: task-pods" in text
