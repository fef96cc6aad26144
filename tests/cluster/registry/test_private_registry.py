"""Images of a registry that asks for a login: refused soon, or pulled with a pull secret."""

import json
import time
from pathlib import Path

import pytest

from settings.versions import AIRFLOW, REDIS_IMAGE
from tests.harness.waiting import wait_for

PORT = 30500
# On the loopback of the node: container runtimes pull from it without TLS.
REGISTRY = f"127.0.0.1:{PORT}"
IMAGE = f"{REGISTRY}/{REDIS_IMAGE}"
PASSWORD = "hunter2-of-the-registry"
COPY = "tar -cf /image/layer.tar --one-file-system --exclude=./image --exclude=./data -C / ."
SERVER = Path(__file__).with_name("server.py")
# Until the kubelet has tried four times; Pulumi would wait for ten minutes.
SOON_SECONDS = 300

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registry(cluster):
    """A registry with the files of the image of Redis."""
    name = "private-registry"
    volume = {"name": "image", "mountPath": "/image"}
    env = {
        "LOGIN": f"robot:{PASSWORD}",
        "PORT": str(PORT),
        "IMAGE_PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    same = {"imagePullPolicy": "IfNotPresent", "volumeMounts": [volume]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsUser": 0},
            "volumes": [{"name": "image", "emptyDir": {}}],
            "initContainers": [
                {"name": "copy", "image": REDIS_IMAGE, "command": ["sh", "-c", COPY], **same}
            ],
            "containers": [
                {
                    "name": "serve",
                    "image": f"apache/airflow:{AIRFLOW}",
                    "command": ["python", "-u", "-c", SERVER.read_text()],
                    "env": [{"name": key, "value": value} for key, value in env.items()],
                    **same,
                }
            ],
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    try:
        where = ("-n", "default")
        cluster.kubectl(*where, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")
        check = f"import socket; socket.create_connection(('127.0.0.1', {PORT}), 2)"
        wait_for(
            "the registry",
            lambda: (
                "Error"
                not in cluster.kubectl(
                    *where, "exec", name, "--", "python", "-c", check, check=False
                )
            ),
        )
        yield
    finally:
        cluster.kubectl("-n", "default", "delete", "pod", name, "--now")


@pytest.fixture(scope="module")
def stack(checkout, registry, nothing_is_left):
    checkout.change("local", redis={"image": IMAGE})
    yield checkout
    nothing_is_left(*checkout.make("down"))


def test_a_login_that_is_missing_ends_up_soon(stack, cluster):
    started = time.monotonic()
    status, output = stack.make("up")

    assert status != 0
    assert time.monotonic() - started < SOON_SECONDS
    assert f"pod redis-0, container redis, image {IMAGE}: " in output
    assert "401 Unauthorized" in output
    assert "set images.pull_secret if the registry needs a login" in output
    assert "Traceback" not in output


def test_the_next_up_logs_in_with_the_pull_secret(stack, cluster):
    """The StatefulSet still has the pod that waits for its image."""
    stack.change("local", images={"pull_secret": "registry"})
    login = {"username": "robot", "password": PASSWORD}
    stack.configure("local", image_pull_credentials=json.dumps({"auths": {REGISTRY: login}}))

    output = stack.up()

    assert "Airflow is healthy." in output
    assert PASSWORD not in output
    (redis,) = cluster.get("pods", "-l", "app.kubernetes.io/name=redis")
    assert redis["spec"]["containers"][0]["image"] == IMAGE
    for pod in cluster.get("pods"):
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}], pod["metadata"]["name"]
