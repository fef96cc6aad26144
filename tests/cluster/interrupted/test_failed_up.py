"""First updates that fail: each says why soon, and the corrected one succeeds."""

import time

import pytest
import yaml

pytestmark = pytest.mark.slow

# The timeouts of StatefulSets, the release and its Jobs are 10 and 20 minutes.
SOON_SECONDS = 240
MISSPELLED = "registry.k8s.io/git-sync/git-sync-misspelled"


@pytest.fixture(scope="module")
def stack(checkout, nothing_is_left):
    # KEDA's role: its Job waits for a table of the release.
    checkout.change("local", workers={"scaling": "queue"})
    yield checkout
    nothing_is_left(*checkout.make("down"))


@pytest.fixture
def failed_up(stack):
    """Output of a `make up` that fails soon."""

    def run():
        started = time.monotonic()
        status, output = stack.make("up")
        assert status != 0
        assert "Traceback" not in output
        assert time.monotonic() - started < SOON_SECONDS, output
        return output

    return run


def test_a_misspelled_image_ends_up_soon(stack, failed_up):
    stack.change("local", dags={"git_sync_image": f"{MISSPELLED}:v4.4.2"})

    assert f"image {MISSPELLED}:v4.4.2: " in failed_up()


def test_a_refused_object_ends_up_soon(stack, failed_up):
    """The relay gets its corrected image, although its pod was never ready."""
    content = yaml.safe_load(stack.file("local").read_text())
    del content["config"]["airflow-platform:settings"]["dags"]["git_sync_image"]
    stack.file("local").write_text(yaml.safe_dump(content))
    values = stack.folder / "values" / "local.yaml"
    before = values.read_text()
    wrong = {**yaml.safe_load(before), "labels": {"team": "not a label"}}
    values.write_text(yaml.safe_dump(wrong))
    try:
        output = failed_up()
    finally:
        values.write_text(before)

    assert "The Helm release failed, so the update was stopped" in output
    assert "not a label" in output, "the reason"


def test_the_corrected_up_succeeds(stack, cluster):
    assert "Airflow is healthy." in stack.up()
    (relay,) = cluster.get("pods", "-l", "app.kubernetes.io/name=dag-relay")
    images = [container["image"] for container in relay["spec"]["containers"]]
    assert not [image for image in images if MISSPELLED in image]


def test_a_change_that_is_taken_back_succeeds(stack, failed_up):
    """Also for Jobs: the one before the change has the name of the one after it."""
    before = stack.file("local").read_text()
    stack.change("local", airflow={"image": "apache/airflow-misspelled"})
    assert "apache/airflow-misspelled:" in failed_up()

    stack.file("local").write_text(before)
    assert "Airflow is healthy." in stack.up()
