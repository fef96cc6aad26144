from configparser import RawConfigParser
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from local.environment import Ports
from local.health import ask, missing
from local.services import AIRFLOW, postgres_program, redis_config, supervisor_config, valkey_server
from local.start import news
from local.supervised import Process

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
    moments = dict.fromkeys(["scheduler", "triggerer", "dag_processor"], NOW) | heartbeats
    return {
        "metadatabase": {"status": "healthy"},
        **{
            part: {"status": "healthy", f"latest_{part}_heartbeat": moment.isoformat()}
            for part, moment in moments.items()
        },
    }


def test_every_process_is_started_again_when_it_ends(config):
    assert len(programs(config)) == 7
    assert {each["autorestart"] for each in programs(config).values()} == {"true"}


def test_a_process_is_asked_alone_and_killed_with_all_its_children(config):
    for each in programs(config).values():
        assert "stopasgroup" not in each, "the tasks of a worker would die at once"
        assert each["killasgroup"] == "true"


def test_servers_stop_after_what_uses_them(config):
    assert int(config["group:servers"]["priority"]) < int(config["group:airflow"]["priority"])
    assert config["group:airflow"]["programs"] == ",".join(AIRFLOW)
    assert config["program:postgres"]["stopsignal"] == "INT", "TERM waits for all clients to leave"


def test_who_has_something_to_finish_gets_the_time_for_it(config):
    seconds = {name: int(each["stopwaitsecs"]) for name, each in programs(config).items()}
    patient = {name for name in seconds if seconds[name] == max(seconds.values())}
    assert patient == {"program:postgres", "program:redis", "program:worker"}


def test_no_secret_is_in_the_configuration_of_the_processes(config):
    commands = " ".join(each["command"] for each in programs(config).values())
    assert "password" not in commands
    assert "environment" not in config["supervisord"]


def test_the_queue_asks_for_a_password_and_keeps_what_it_holds():
    lines = redis_config("secret", PORTS).splitlines()
    assert {"bind 127.0.0.1", "requirepass secret", "appendonly yes"} <= set(lines)


def test_the_programs_of_postgresql_and_valkey_are_installed():
    for program in (postgres_program("postgres"), postgres_program("initdb"), valkey_server()):
        assert program.is_file()


def test_airflow_is_healthy_when_all_parts_are():
    assert missing(health(), NOW - timedelta(seconds=1)) == []


def test_a_heartbeat_of_the_last_start_does_not_count():
    late = health(scheduler=NOW - timedelta(seconds=2))
    assert missing(late, NOW - timedelta(seconds=1)) == ["scheduler"]


def test_who_is_missing_is_named():
    sick = health()
    sick["triggerer"] = {"status": "unhealthy", "latest_triggerer_heartbeat": None}
    assert missing(sick, NOW - timedelta(seconds=1)) == ["triggerer"]
    assert missing(None, NOW) == ["api-server"]


def test_health_is_asked_for_without_a_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.handle_request).start()
        assert ask(Ports(api=server.server_port, postgres=1, redis=2)) == {}


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        """Not on the screen."""


RUNNING = Process("scheduler", "RUNNING", 100)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (RUNNING, None),
        (Process("scheduler", "EXITED", 0), "scheduler ended, starting it again"),
        (Process("scheduler", "STARTING", 101), "scheduler ended, starting it again"),
        (Process("scheduler", "FATAL", 0), "scheduler does not stay up, gave up"),
    ],
)
def test_it_is_said_when_a_process_ends(now, text):
    assert news(RUNNING, now) == text


def test_it_is_said_once():
    again = Process("scheduler", "STARTING", 101)
    assert news(Process("scheduler", "EXITED", 0), again) is None
    assert news(again, Process("scheduler", "RUNNING", 101)) is None
    fatal = Process("scheduler", "FATAL", 0)
    assert news(fatal, fatal) is None
