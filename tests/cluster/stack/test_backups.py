"""The nightly dumps of the database: made, kept, listed, and usable."""

import json
import re

import pytest

from tests.harness.processes import kill_session
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow

CRON_JOB = "database-backup"
DUMP = re.compile(r"local-\d+-\d+-\d+-\d{8}-\d{6}\.dump")
OLD = "local-3-3-2-20200101-020000.dump"
# Of CoreDNS, which no NetworkPolicy protects.
READY_PORT = 8181


@pytest.fixture(scope="module")
def night(installed, cluster):
    """Runs the job of a night. Returns the name of its dump."""
    in_airflow = ("-n", cluster.namespace)
    names = []

    def run(name):
        cluster.kubectl(*in_airflow, "create", "job", name, f"--from=cronjob/{CRON_JOB}")
        names.append(name)

        def ended():
            (job,) = cluster.get("jobs", f"--field-selector=metadata.name={name}")
            conditions = job["status"].get("conditions", ())
            return [c["type"] for c in conditions if c["status"] == "True"]

        conditions = wait_for("the nightly job", ended, seconds=180)
        log = cluster.kubectl(*in_airflow, "logs", f"job/{name}")
        assert "Complete" in conditions, log
        return DUMP.search(log.splitlines()[-1])[0]

    yield run
    cluster.kubectl(*in_airflow, "delete", "jobs", *names)


@pytest.fixture(scope="module")
def dump(night):
    return night("first-night")


@pytest.fixture(scope="module")
def inside(dump, cluster):
    """Runs a script in a pod of the nightly job, which waits instead of making a dump."""
    in_airflow = ("-n", cluster.namespace)
    (cron_job,) = cluster.get("cronjobs", f"--field-selector=metadata.name={CRON_JOB}")
    template = cron_job["spec"]["jobTemplate"]["spec"]["template"]
    template["spec"]["containers"][0]["command"] = ["sleep", "900"]
    template["spec"]["terminationGracePeriodSeconds"] = 1
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "look", "namespace": cluster.namespace},
        "spec": {"template": template},
    }
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(job))
    try:
        ready = "--for=jsonpath={.status.ready}=1"
        cluster.kubectl(*in_airflow, "wait", "job/look", ready, "--timeout=120s")
        yield lambda script: cluster.exec("job/look", "dump", "bash", "-c", script)
    finally:
        cluster.kubectl(*in_airflow, "delete", "job", "look")


def listed(checkout):
    """Names of the dumps on the volume, as `make backups` lists them."""
    lines = [line.split() for line in checkout.done("backups").splitlines()]
    return [words[0] for words in lines if words[1:2] == ["volume"]]


def test_a_nightly_dump_is_listed(dump, checkout):
    assert dump in listed(checkout)


def test_kubernetes_knows_the_time_of_the_last_success(dump, cluster):
    """The alert of docs/runbooks/backup.md reads it."""

    def succeeded():
        (cron_job,) = cluster.get("cronjobs", f"--field-selector=metadata.name={CRON_JOB}")
        return cron_job["status"].get("lastSuccessfulTime")

    wait_for("the time of the last success", succeeded, seconds=60)


def test_the_job_reaches_the_database_and_nothing_else(inside, cluster):
    (dns, *_) = cluster.get("pods", "-l", "k8s-app=kube-dns", namespace="kube-system")
    address = dns["status"]["podIP"]
    (worker, *_) = cluster.ready("worker")
    connect = f"import socket; socket.create_connection(('{address}', {READY_PORT}), 5)"
    cluster.exec(worker, "worker", "python", "-c", connect)

    script = f"timeout 5 bash -c '</dev/tcp/{address}/{READY_PORT}' && echo open || echo closed"
    assert inside(script).strip() == "closed"
    assert "accepting connections" in inside("pg_isready --timeout 5")


def test_the_job_writes_to_its_volume_only(inside):
    assert "Read-only file system" in inside("touch /tmp/x 2>&1 || true")
    assert inside("touch here && rm here && pwd").strip() == "/backups"


def test_an_old_dump_is_deleted_and_newer_ones_are_kept(dump, night, inside, checkout):
    inside(f"touch -d '30 days ago' {OLD}; echo half > killed.part")

    newer = night("second-night")

    assert listed(checkout)[:2] == [newer, dump]
    assert OLD not in listed(checkout)
    assert "killed.part" not in inside("ls")


def test_a_drill_takes_the_newest_nightly_dump(dump, checkout):
    (newest, *_) = listed(checkout)

    output = checkout.done("drill")

    assert f"restore {newest} as the database" in output
    assert "is usable:" in output


def test_of_two_drills_one_is_refused(dump, checkout):
    drills = [checkout.start("drill") for _ in range(2)]

    outputs = [process.communicate(timeout=300)[0] for process in drills]

    (done, refused) = sorted(zip(drills, outputs, strict=True), key=lambda each: each[0].returncode)
    assert "is usable:" in done[1]
    assert "`make drill` on " in refused[1]
    assert "Nothing was changed: run the command again when that one has ended" in refused[1]


def test_a_drill_continues_after_a_killed_one(dump, checkout, cluster):
    with checkout.start("drill") as killed:
        next(line for line in killed.stdout if line.startswith("== check the copy"))
        kill_session(killed)

    output = checkout.done("drill")

    assert "no renewal: the command was killed" in output
    assert "is usable:" in output
    assert cluster.get("leases") == []


def test_a_restore_takes_a_nightly_dump_by_its_name(dump, checkout):
    try:
        output = checkout.done("restore", f"SNAPSHOT={dump}", "YES=1")
        assert f"The database is that of {dump}" in output
        copy = checkout.folder / ".state" / "backups" / dump
        assert copy.stat().st_mode & 0o777 == 0o600
    finally:
        checkout.done("resume")


def test_the_commands_leave_no_pod(dump, checkout, cluster):
    listed(checkout)

    def gone():
        names = [pod["metadata"]["name"] for pod in cluster.get("pods")]
        return not any(name.startswith(f"{CRON_JOB}-read-") for name in names)

    wait_for("the end of the pod", gone, seconds=60)
