"""No generated or configured secret is stored or printed in plain text."""

import base64
import json
import urllib.parse

import pytest

from tests.engine.scenarios.airflow.conftest import CONFIGURED

pytestmark = pytest.mark.slow
GENERATED = "random:index/randomPassword:RandomPassword"


@pytest.fixture(scope="module")
def secrets(dev, cluster):
    """Every secret value of the stack, also Base64 and URL encoded."""
    shown = json.loads(dev.pulumi("stack", "export", "--show-secrets"))["deployment"]
    generated = {
        json.loads(resource["outputs"]["result"]["plaintext"])
        for resource in shown["resources"]
        if resource["type"] == GENERATED
    }
    fernet = cluster.secret("airflow-fernet", "fernet-key").split(",")
    known = {CONFIGURED, *generated, *fernet}
    assert len(known) >= 7, "database, Redis, admin, three keys of Airflow and the seed of one"
    forms = set()
    for secret in known:
        forms |= {
            secret,
            base64.b64encode(secret.encode()).decode().rstrip("="),
            urllib.parse.quote(secret, safe=""),
        }
    return forms


def _in(text, secrets):
    return [f"{secret[:3]}..." for secret in secrets if secret in text]


def test_no_secret_is_in_the_state_or_its_history(dev, secrets):
    files = [path for path in dev.backend.rglob("*") if path.is_file()]
    assert any("history" in path.parts for path in files), "nothing was searched"
    for path in files:
        assert not _in(path.read_text(errors="replace"), secrets), path.name


def test_no_secret_is_in_the_output_of_commands(dev, secrets):
    _, plan = dev.make("plan")
    assert "Exports" in plan
    _, preview = dev.make("preview")
    assert not _in(plan + preview, secrets)
    assert dev.log.is_file()
    assert not _in(dev.log.read_text(), secrets)


def test_no_secret_is_on_a_command_line(command_lines, secrets):
    seen = set(command_lines.seen)
    assert any("pulumi" in line for line in seen), "nothing was searched"
    assert not [line[:60] for line in seen if _in(line, secrets)]


def test_no_secret_is_in_helm_values_or_manifests(cluster, secrets):
    for namespace in ("airflow", "keda"):
        releases = cluster.get("secrets", "-l", "owner=helm", namespace=namespace)
        assert releases
        for release in releases:
            assert not _in(cluster.helm_release(release), secrets), namespace


def test_no_secret_is_in_the_logs_of_pods(cluster, secrets):
    for name in cluster.pods():
        logs = cluster.kubectl("-n", "airflow", "logs", name, "--all-containers", check=False)
        assert not _in(logs, secrets), name
