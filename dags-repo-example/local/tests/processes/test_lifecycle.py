"""Start, restart and stop of `make airflow`."""

import re
import socket
import subprocess
import sys

import psutil
import pytest

from local.tests.client import wait_for
from local.tests.local_airflow import STOPPED_SECONDS, LocalAirflow

GIBIBYTE = 2**30


@pytest.fixture(scope="module")
def running(copy_repository):
    airflow = LocalAirflow(copy_repository())
    try:
        airflow.wait_healthy()
        yield airflow
    finally:
        airflow.stop()


@pytest.fixture
def start(copy_repository):
    """Start Airflow in one folder, any number of times."""
    folder = copy_repository()
    started = []

    def start_airflow() -> LocalAirflow:
        started.append(LocalAirflow(folder))
        return started[-1]

    yield start_airflow
    for airflow in started:
        airflow.stop()


def make_airflow(folder, port=""):
    return subprocess.run(
        ["make", "airflow", f"PORT={port}", f"PYTHON={sys.executable}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_memory_use_is_at_most_two_gibibytes(running):
    used = sum(process.memory_full_info().pss for process in running.processes())
    print(f"{used / GIBIBYTE:.2f} GiB in {len(running.processes())} processes")
    assert 0.3 * GIBIBYTE < used <= 2 * GIBIBYTE


def test_all_processes_listen_on_loopback_only(running):
    listening = [
        connection.laddr.ip
        for process in running.processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_no_secret_appears_in_output_or_command_lines(running):
    secrets = [
        line.partition("=")[2]
        for line in (running.folder / ".env").read_text().splitlines()
        if "=" in line and not line.startswith(("AIRFLOW_UID", "#"))
    ]
    shown = running.output + " ".join(
        word for process in running.processes() for word in process.info["cmdline"] or ()
    )
    assert len(secrets) == 6
    assert [secret for secret in secrets if secret in shown] == []


def test_second_start_reports_the_url_of_the_first(running):
    second = make_airflow(running.folder)
    url = next(line.split()[1] for line in running.output.splitlines() if "  UI " in line)
    assert second.returncode
    assert f"{running.folder} is in use: Airflow runs at {url}" in second.stderr


def test_port_in_use_is_refused(copy_repository):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        result = make_airflow(copy_repository(), str(port))
    assert result.returncode
    assert f"PORT={port} is in use by another program." in result.stderr


def test_killed_component_is_restarted_and_its_log_printed(running):
    def scheduler():
        return next(
            (p for p in running.processes() if (p.info["cmdline"] or [])[-1:] == ["scheduler"]),
            None,
        )

    first = wait_for("a running scheduler", scheduler, 30)
    first.kill()
    second = wait_for("a restarted scheduler", lambda: (p := scheduler()) != first and p, 30)
    assert second.pid != first.pid
    wait_for("the report", lambda: "scheduler exited, restarting." in running.output, 10)
    assert f"{running.folder}/.airflow/logs/services/scheduler.log" in running.output


def test_ctrl_c_stops_all_processes_and_keeps_the_data(start):
    first = start()
    run = first.wait_healthy().run("word_count")
    assert len(first.processes()) > 10
    first.press_ctrl_c()
    assert first.processes() == []
    assert "stopped; data is kept in .airflow/" in first.output

    second = start().wait_healthy()
    assert second.state("word_count", run) == "success"
    assert "Top 10 words" in second.log("word_count", run, "print_top")


def test_changed_passwords_are_applied_or_refused(start):
    first = start()
    first.wait_healthy()
    first.press_ctrl_c()
    env = first.folder / ".env"
    text = env.read_text()

    env.write_text(re.sub("POSTGRES_PASSWORD=.*", "POSTGRES_PASSWORD=changed", text))
    result = make_airflow(first.folder)
    assert result.returncode
    assert f"{env}: POSTGRES_PASSWORD does not match the database in " in result.stderr
    assert "`make airflow-reset`" in result.stderr
    assert first.processes() == []

    env.write_text(re.sub("ADMIN_PASSWORD=.*", "ADMIN_PASSWORD=changed-password", text))
    # The client logs in with the password in .env.
    assert start().wait_healthy().dag_ids()


def test_sigterm_to_make_stops_all_processes(start):
    first = start()
    first.wait_healthy()
    first.make.terminate()
    first.make.wait(STOPPED_SECONDS)
    wait_for("all processes to exit", lambda: first.processes() == [], STOPPED_SECONDS)


def test_start_terminates_orphans_of_a_killed_start(start):
    first = start()
    first.wait_healthy()
    supervisord = int((first.folder / ".airflow" / "supervisord.pid").read_text())
    for process in first.processes():
        if process.pid == supervisord or (process.info["cmdline"] or [])[1:3] == ["-m", "local"]:
            process.kill()
    first.make.wait(STOPPED_SECONDS)
    orphans = first.processes()
    assert len(orphans) > 5

    second = start()
    second.wait_healthy()
    assert "orphaned processes of a killed `make airflow`" in second.output
    assert not any(process.is_running() for process in orphans)
