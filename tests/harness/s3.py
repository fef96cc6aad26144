"""An S3-compatible service in the test cluster, and the Secret for it."""

import json
import re
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from settings.airflow import AirflowSettings
from tests.harness.cluster import Cluster

NAME = "s3"
PORT = 9000
URL = f"http://{NAME}.{NAME}.svc:{PORT}"
KEY_ID = "AKIATEST"
SECRET = "task-logs"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": "se/cr+et="}
SERVER = Path(__file__).with_name("s3_server.py")


def _manifest(image: str) -> list[dict[str, Any]]:
    metadata = {"name": NAME, "namespace": NAME, "labels": {"app": NAME}}
    server = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-u", "-c", SERVER.read_text(), KEY_ID, str(PORT)],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": NAME}, "ports": [{"port": PORT}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "serviceAccountName": NAME,
                "automountServiceAccountToken": False,
                "containers": [server],
            },
        },
    ]


@contextmanager
def installed(cluster: Cluster) -> Generator[None]:
    """The service, and the Secret with its credentials in Airflow's namespace."""
    remove = ("delete", "namespace", NAME, "--ignore-not-found")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": "airflow"},
        "stringData": CREDENTIALS,
    }
    items = [*_manifest(AirflowSettings().image_reference), secret]
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    try:
        cluster.kubectl("apply", "-f", "-", stdin=content)
        ready = ("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=120s")
        cluster.kubectl("-n", NAME, *ready)
        yield
    finally:
        cluster.kubectl(*remove)
        cluster.kubectl("-n", "airflow", "delete", "secret", SECRET, "--ignore-not-found")


def sizes(cluster: Cluster, bucket: str, prefix: str) -> dict[str, int]:
    """Objects of the bucket under the prefix, with their sizes."""
    with cluster.forward(f"pod/{NAME}", PORT, namespace=NAME) as port:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/{bucket}?list-type=2&prefix={prefix}",
            headers={"Authorization": f"Credential={KEY_ID}/"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            listed = answer.read().decode()
    found = re.findall(r"<Key>(.*?)</Key>.*?<Size>(\d+)</Size>", listed)
    return {key: int(size) for key, size in found}
