from configparser import RawConfigParser
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from supervisor.datatypes import dict_of_key_value_pairs

from local import services
from local.environment import Ports
from local.health import fetch, unhealthy_components
from local.services import (
    COMPONENTS,
    DAG_BUNDLE,
    postgres_program,
    redis_config,
    supervisor_config,
    valkey_server,
)
from local.start import exit_report
from local.supervisord import Process

PORTS = Ports(api=8080, postgres=5001, redis=5002)
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture
def config():
    parser = RawConfigParser()
    parser.read_string(supervisor_config(PORTS, Path("/run/s.sock")))
    return parser


def programs(config):
    return {name: config[name] for name in config.sections() if name.startswith("program:")}


def health(**heartbeats):
    times = dict.fromkeys(["scheduler", "triggerer", "dag_processor"], NOW) | heartbeats
    return {
        "metadatabase": {"status": "healthy"},
        **{
            name: {"status": "healthy", f"latest_{name}_heartbeat": time.isoformat()}
            for name, time in times.items()
        },
    }


def test_every_process_is_restarted_on_exit(config):
    assert len(programs(config)) == 7
    assert {each["autorestart"] for each in programs(config).values()} == {"true"}


def test_only_the_dag_processor_has_a_bundle_of_its_own(config):
    given = {name: each.get("environment") for name, each in programs(config).items()}
    environment = given.pop("program:dag-processor")
    assert dict_of_key_value_pairs(environment) == {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": DAG_BUNDLE
    }
    own = [value for value in given.values() if value and "AIRFLOW" in value]
    assert own == []


def test_only_sigkill_is_sent_to_the_process_group(config):
    for each in programs(config).values():
        assert "stopasgroup" not in each, "SIGTERM would reach the running tasks of a worker"
        assert each["killasgroup"] == "true"


def test_servers_stop_after_airflow(config):
    assert int(config["group:servers"]["priority"]) < int(config["group:airflow"]["priority"])
    assert config["group:airflow"]["programs"] == ",".join(COMPONENTS)
    assert config["program:postgres"]["stopsignal"] == "INT", (
        "SIGTERM waits until all clients disconnect"
    )


def test_stateful_processes_have_a_longer_grace_period(config):
    seconds = {name: int(each["stopwaitsecs"]) for name, each in programs(config).items()}
    longest = {name for name in seconds if seconds[name] == max(seconds.values())}
    assert longest == {"program:postgres", "program:redis", "program:worker"}


def test_supervisord_configuration_contains_no_secret(config):
    commands = " ".join(each["command"] for each in programs(config).values())
    assert "password" not in commands
    assert "environment" not in config["supervisord"]


def test_worker_serves_the_queues_of_the_platform(config, monkeypatch):
    monkeypatch.setattr(services.platform_yaml, "names", lambda _: ["default", "etl"])
    worker = services._commands(PORTS)["worker"]
    assert worker[-2:] == ["--queues", "default,etl"]


def test_postgresql_starts_without_a_locale(config):
    assert 'LC_ALL="C"' in config["program:postgres"]["environment"], "macOS has none"


def test_redis_requires_a_password_and_persists_data():
    lines = redis_config("secret", PORTS).splitlines()
    assert {"bind 127.0.0.1", "requirepass secret", "appendonly yes"} <= set(lines)


def test_postgresql_and_valkey_programs_are_installed():
    for program in (postgres_program("postgres"), postgres_program("initdb"), valkey_server()):
        assert program.is_file()


def test_airflow_is_healthy_when_all_components_are():
    assert unhealthy_components(health(), NOW - timedelta(seconds=1)) == []


def test_heartbeat_of_the_previous_start_does_not_count():
    stale = health(scheduler=NOW - timedelta(seconds=2))
    assert unhealthy_components(stale, NOW - timedelta(seconds=1)) == ["scheduler"]


def test_unhealthy_components_are_named():
    unhealthy = health()
    unhealthy["triggerer"] = {"status": "unhealthy", "latest_triggerer_heartbeat": None}
    assert unhealthy_components(unhealthy, NOW - timedelta(seconds=1)) == ["triggerer"]
    assert unhealthy_components(None, NOW) == ["api-server"]


def test_health_is_fetched_without_a_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.handle_request).start()
        assert fetch(Ports(api=server.server_port, postgres=1, redis=2)) == {}


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        """Keep the output of pytest clean."""


RUNNING = Process("scheduler", "RUNNING", 100)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (RUNNING, None),
        (Process("scheduler", "EXITED", 0), "scheduler exited, restarting"),
        (Process("scheduler", "STARTING", 101), "scheduler exited, restarting"),
        (Process("scheduler", "FATAL", 0), "scheduler keeps exiting, not restarted"),
    ],
)
def test_exit_of_a_process_is_reported(now, text):
    assert exit_report(RUNNING, now) == text


def test_exit_of_a_process_is_reported_once():
    restarted = Process("scheduler", "STARTING", 101)
    assert exit_report(Process("scheduler", "EXITED", 0), restarted) is None
    assert exit_report(restarted, Process("scheduler", "RUNNING", 101)) is None
    fatal = Process("scheduler", "FATAL", 0)
    assert exit_report(fatal, fatal) is None
