"""`make airflow` from start to stop."""

import re
import socket
import subprocess
import sys

import psutil
import pytest

from local.tests.client import wait_for
from local.tests.starting import STOPPED_SECONDS, Started

GIBIBYTE = 2**30


@pytest.fixture(scope="module")
def running(copy_of_the_repository):
    started = Started(copy_of_the_repository())
    try:
        started.wait_healthy()
        yield started
    finally:
        started.end()


@pytest.fixture
def start(copy_of_the_repository):
    """Start it, several times if need be, in one folder."""
    folder = copy_of_the_repository()
    all_started = []

    def again() -> Started:
        all_started.append(Started(folder))
        return all_started[-1]

    yield again
    for started in all_started:
        started.end()


def make_airflow(folder, port=""):
    return subprocess.run(
        ["make", "airflow", f"PORT={port}", f"PYTHON={sys.executable}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_two_gibibytes_of_memory_are_enough(running):
    used = sum(process.memory_full_info().pss for process in running.processes())
    print(f"{used / GIBIBYTE:.2f} GiB in {len(running.processes())} processes")
    assert 0.3 * GIBIBYTE < used <= 2 * GIBIBYTE


def test_nothing_listens_beyond_this_machine(running):
    listening = [
        connection.laddr.ip
        for process in running.processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_no_password_is_on_a_command_line_or_on_the_screen(running):
    secrets = [
        line.partition("=")[2]
        for line in (running.folder / ".env").read_text().splitlines()
        if "=" in line and not line.startswith("AIRFLOW_UID")
    ]
    shown = running.output + " ".join(
        word for process in running.processes() for word in process.info["cmdline"] or ()
    )
    assert len(secrets) == 6
    assert [secret for secret in secrets if secret in shown] == []


def test_a_second_start_says_where_the_first_one_runs(running):
    second = make_airflow(running.folder)
    url = next(line.split()[1] for line in running.output.splitlines() if "  UI " in line)
    assert second.returncode
    assert f"runs already: {url}" in second.stderr


def test_a_port_that_somebody_else_has_is_named(copy_of_the_repository):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = make_airflow(copy_of_the_repository(), str(port))
    assert refused.returncode
    assert f"PORT={port}: another program listens there." in refused.stderr


def test_a_component_that_dies_is_started_again_and_its_log_is_shown(running):
    def scheduler():
        return next(
            (p for p in running.processes() if (p.info["cmdline"] or [])[-1:] == ["scheduler"]),
            None,
        )

    first = wait_for("a scheduler", scheduler, 30)
    first.kill()
    second = wait_for("another scheduler", lambda: (p := scheduler()) != first and p, 30)
    assert second.pid != first.pid
    wait_for("a word about it", lambda: "scheduler ended, starting it again." in running.output, 10)
    assert f"{running.folder}/.airflow/logs/services/scheduler.log" in running.output


def test_ctrl_c_leaves_no_process_and_the_next_start_finds_its_data(start):
    first = start()
    run = first.wait_healthy().run("word_count")
    assert len(first.processes()) > 10
    first.press_ctrl_c()
    assert first.processes() == []
    assert "stopped; its data stays in .airflow/" in first.output

    second = start().wait_healthy()
    assert second.state("word_count", run) == "success"
    assert "Top 10 words" in second.log("word_count", run, "print_top")


def test_a_changed_password_of_admin_holds_and_one_of_the_database_is_told(start):
    first = start()
    first.wait_healthy()
    first.press_ctrl_c()
    env = first.folder / ".env"
    text = env.read_text()

    env.write_text(re.sub("POSTGRES_PASSWORD=.*", "POSTGRES_PASSWORD=another", text))
    refused = make_airflow(first.folder)
    assert refused.returncode
    assert f"{env}: POSTGRES_PASSWORD is not the one" in refused.stderr
    assert "`make airflow-reset`" in refused.stderr
    assert first.processes() == []

    env.write_text(re.sub("ADMIN_PASSWORD=.*", "ADMIN_PASSWORD=quite-another", text))
    # The client logs in with what .env says.
    assert start().wait_healthy().dag_ids()


def test_a_stop_signal_to_make_alone_stops_everything(start):
    first = start()
    first.wait_healthy()
    first.make.terminate()
    first.make.wait(STOPPED_SECONDS)
    wait_for("the end", lambda: first.processes() == [], STOPPED_SECONDS)


def test_a_start_ends_what_a_killed_one_left(start):
    first = start()
    first.wait_healthy()
    supervisord = int((first.folder / ".airflow" / "supervisord.pid").read_text())
    for process in first.processes():
        if process.pid == supervisord or (process.info["cmdline"] or [])[1:3] == ["-m", "local"]:
            process.kill()
    first.make.wait(STOPPED_SECONDS)
    left = first.processes()
    assert len(left) > 5

    second = start()
    second.wait_healthy()
    assert "that a killed `make airflow` had left" in second.output
    assert not any(process.is_running() for process in left)
