"""Killed, interrupted and concurrent commands, and commands for a wrong cluster."""

import os
import shutil
import signal
import socket
import time

import pytest
import yaml

from tests.harness.checkout import SETTINGS
from tests.harness.processes import kill_session
from tests.harness.waiting import wait_for

ANSWER_SECONDS = 15


def _pending(cluster):
    return cluster.get("secrets", "-l", "owner=helm,status in (pending-upgrade,pending-install)")


def _deployed(cluster):
    return cluster.get("secrets", "-l", "owner=helm,status=deployed")


@pytest.mark.slow
def test_up_recovers_from_a_killed_up(settings, checkout, cluster):
    settings(workers={"grace_seconds": 31})
    process = checkout.start("up")
    wait_for("the upgrade", lambda: _pending(cluster))
    kill_session(process)
    process.communicate()

    output = checkout.up()

    assert "removed the stale lock of an interrupted command" in output
    assert "continuing from the unfinished Helm revision" in output
    assert not _pending(cluster)
    (worker,) = cluster.get("deployments", "-l", "component=worker")
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 31


@pytest.mark.slow
def test_a_corrected_setting_leaves_nothing_of_a_failed_up(settings, checkout, cluster):
    """The first two follow each other within the time for which Kubernetes keeps a finished Job."""
    settings(airflow={"env": {"STEP": "one"}})
    checkout.up()
    settings(airflow={"env": {"STEP": "two"}, "secret_env": {"WRONG": "missing/key"}})
    status, output = checkout.make("up")
    assert status != 0
    assert "immutable" not in output
    assert "so the update was stopped" in output
    assert 'secret "missing" not found' in output

    settings(airflow={"env": {"STEP": "three"}, "secret_env": {}})
    checkout.up()

    (worker,) = cluster.get("deployments", "-l", "component=worker")
    for container in worker["spec"]["template"]["spec"]["containers"]:
        env = {each["name"]: each.get("value") for each in container.get("env", [])}
        assert "WRONG" not in env
    (worker,) = (
        c for c in worker["spec"]["template"]["spec"]["containers"] if c["name"] == "worker"
    )
    assert {"name": "STEP", "value": "three"} in worker["env"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "interrupt",
    [
        pytest.param(lambda make: os.killpg(make, signal.SIGINT), id="terminal"),
        pytest.param(lambda make: os.kill(make, signal.SIGTERM), id="runner"),
    ],
)
def test_up_continues_after_an_interrupted_up(settings, checkout, cluster, interrupt):
    """A CI runner signals only the process that it started."""
    settings(workers={"grace_seconds": 32})
    process = checkout.start("up")
    wait_for("the upgrade", lambda: _pending(cluster))
    interrupt(process.pid)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "waiting for Pulumi to shut down" in output
    assert "Traceback" not in output

    checkout.up()

    (worker,) = cluster.get("deployments", "-l", "component=worker")
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 32


@pytest.mark.slow
def test_a_concurrent_up_is_refused(settings, checkout, cluster):
    settings(workers={"grace_seconds": 33})
    process = checkout.start("up")
    try:
        wait_for("the upgrade", lambda: _pending(cluster))
        status, output = checkout.make("up")
    finally:
        first, _ = process.communicate(timeout=600)

    assert status != 0
    assert "stack 'local' is locked by process " in output
    assert "Traceback" not in output
    assert process.returncode == 0, first


def test_a_namespace_of_another_stack_is_not_changed(installed, checkout, cluster):
    shutil.copy(checkout.file("local"), checkout.file("other"))
    before = _deployed(cluster)
    try:
        status, output = checkout.make("up", "other")
    finally:
        checkout.file("other").unlink()

    assert status != 0
    assert "belongs to stack 'local'; nothing was changed" in output
    assert _deployed(cluster) == before


def test_an_unknown_context_is_reported(installed, checkout):
    _other_stack_in_context(checkout, "nowhere")
    try:
        status, output = checkout.make("up", "other")
    finally:
        checkout.file("other").unlink()

    assert status != 0
    assert "context 'nowhere' is not in your kubeconfig, which has: " in output
    assert "Traceback" not in output


def test_an_unreachable_cluster_is_reported_in_time(checkout, tmp_path):
    _other_stack_in_context(checkout, "silent")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(_kubeconfig("silent", silent.getsockname()[1]))
        started = time.monotonic()
        try:
            status, output = checkout.make("up", "other", KUBECONFIG=str(kubeconfig))
        finally:
            checkout.file("other").unlink()
        seconds = time.monotonic() - started

    assert status != 0
    assert "the cluster of context 'silent' is unreachable" in output
    assert "Traceback" not in output
    assert seconds < ANSWER_SECONDS + 10, "beyond the startup of Python and `pulumi version`"


def _other_stack_in_context(checkout, context):
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
