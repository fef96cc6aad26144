"""Commands that were killed, came twice, or lead to the wrong place."""

import os
import shutil
import signal
import socket
import time

import pytest
import yaml

from tests.harness.checkout import SETTINGS
from tests.harness.waiting import wait_for

ANSWER_SECONDS = 15


def _pending(cluster):
    return cluster.get("secrets", "-l", "owner=helm,status in (pending-upgrade,pending-install)")


def _deployed(cluster):
    return cluster.get("secrets", "-l", "owner=helm,status=deployed")


def test_the_next_up_repairs_what_a_killed_one_left(settings, checkout, cluster):
    settings(workers={"grace_seconds": 31})
    process = checkout.start("up")
    wait_for("the upgrade", lambda: _pending(cluster))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    said = checkout.up()

    assert "removed the lock of a command that was killed" in said
    assert "forgot the Helm revision" in said
    assert not _pending(cluster)
    (worker,) = cluster.get("deployments", "-l", "component=worker")
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 31


@pytest.mark.slow
def test_an_up_that_was_interrupted_winds_up_and_the_next_one_goes_on(settings, checkout, cluster):
    settings(workers={"grace_seconds": 32})
    process = checkout.start("up")
    wait_for("the upgrade", lambda: _pending(cluster))
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in said

    checkout.up()

    (worker,) = cluster.get("deployments", "-l", "component=worker")
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 32


@pytest.mark.slow
def test_a_second_up_at_the_same_time_is_refused(settings, checkout, cluster):
    settings(workers={"grace_seconds": 33})
    process = checkout.start("up")
    try:
        wait_for("the upgrade", lambda: _pending(cluster))
        status, said = checkout.make("up")
    finally:
        first, _ = process.communicate(timeout=600)

    assert status != 0
    assert "another command works on stack 'local'" in said
    assert "Traceback" not in said
    assert process.returncode == 0, first


def test_a_namespace_of_another_stack_is_left_alone(installed, checkout, cluster):
    shutil.copy(checkout.file("local"), checkout.file("other"))
    before = _deployed(cluster)
    try:
        status, said = checkout.make("up", "other")
    finally:
        checkout.file("other").unlink()

    assert status != 0
    assert "belongs to stack 'local'; nothing was changed" in said
    assert _deployed(cluster) == before


def test_a_context_that_does_not_exist_is_named(installed, checkout):
    _point_other_at(checkout, "nowhere")
    try:
        status, said = checkout.make("up", "other")
    finally:
        checkout.file("other").unlink()

    assert status != 0
    assert "context 'nowhere' is not in your kubeconfig; it has: " in said
    assert "Traceback" not in said


def test_a_cluster_that_does_not_answer_is_named_in_time(checkout, tmp_path):
    _point_other_at(checkout, "silent")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(_kubeconfig("silent", silent.getsockname()[1]))
        started = time.monotonic()
        try:
            status, said = checkout.make("up", "other", KUBECONFIG=str(kubeconfig))
        finally:
            checkout.file("other").unlink()
        seconds = time.monotonic() - started

    assert status != 0
    assert "the cluster of context 'silent' does not answer" in said
    assert "Traceback" not in said
    assert seconds < ANSWER_SECONDS + 10, "the rest is Python and `pulumi version`"


def _point_other_at(checkout, context):
    content = yaml.safe_load(checkout.file("local").read_text())
    content["config"][SETTINGS]["cluster"]["context"] = context
    checkout.file("other").write_text(yaml.safe_dump(content))


def _kubeconfig(name, port):
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": f"https://127.0.0.1:{port}"}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": {}}],
        }
    )
