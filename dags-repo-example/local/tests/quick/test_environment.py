import socket

import pytest

from local import __main__ as commands
from local import environment
from local.environment import Ports, asked_port, choose_ports
from local.problem import Problem

SECRET = {
    "POSTGRES_PASSWORD": "database-password",
    "REDIS_PASSWORD": "redis-password",
    "FERNET_KEY": "f",
    "API_SECRET_KEY": "a",
    "JWT_SECRET": "j",
}
PORTS = Ports(api=8080, postgres=5001, redis=5002)


@pytest.fixture
def busy():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "STATE", tmp_path)
    monkeypatch.setattr(commands, "RUNNING", tmp_path / "running")
    return tmp_path


def test_a_busy_port_is_named_with_what_to_do(busy):
    with pytest.raises(Problem, match=rf"PORT={busy}: another program listens there\. Stop it"):
        asked_port(str(busy))


@pytest.mark.parametrize("text", ["http", "80", "70000", "-1", "²"])
def test_what_is_no_port_for_an_ordinary_user_is_refused(text):
    with pytest.raises(Problem, match=f"PORT={text}: a port is a number from 1024 to 65535"):
        asked_port(text)


def test_a_port_that_nobody_named_is_chosen(monkeypatch, busy):
    assert asked_port("") is None
    monkeypatch.setattr(environment, "USUAL_PORT", busy)
    ports = choose_ports(None)
    assert len({ports.api, ports.postgres, ports.redis, busy}) == 4


def test_the_port_that_was_asked_for_is_taken():
    assert choose_ports(8123).api == 8123


def test_options_of_the_shell_do_not_leak_in(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgres://shop")
    env = environment.environment(SECRET, PORTS)
    assert env["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert "AIRFLOW_CONN_SHOP" not in env


def test_no_proxy_stands_between_the_components(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "example.com")
    env = environment.environment(SECRET, PORTS)
    assert env["NO_PROXY"] == env["no_proxy"] == "example.com,127.0.0.1,localhost"


def test_airflow_finds_its_database_and_its_queue():
    env = environment.environment(SECRET, PORTS)
    database = f"postgresql+psycopg2://airflow:{SECRET['POSTGRES_PASSWORD']}@127.0.0.1:5001/airflow"
    assert env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == database
    assert env["AIRFLOW__CELERY__RESULT_BACKEND"] == f"db+{database}"
    assert (
        env["AIRFLOW__CELERY__BROKER_URL"]
        == f"redis://:{SECRET['REDIS_PASSWORD']}@127.0.0.1:5002/0"
    )


def test_root_is_refused_and_told_what_to_do(monkeypatch, state):
    monkeypatch.setattr(commands.os, "geteuid", lambda: 0)
    with pytest.raises(Problem, match="ordinary user, or use containers: `make compose`"):
        commands.check("")


def test_one_folder_runs_one_airflow(monkeypatch, state):
    monkeypatch.setattr(commands.os, "geteuid", lambda: 1000)
    with (
        commands.alone("http://127.0.0.1:8080"),
        pytest.raises(Problem, match=r"runs already: http://127\.0\.0\.1:8080"),
    ):
        commands.check("")
    commands.check("")


def test_a_reset_deletes_all_data_but_not_under_a_running_airflow(state):
    (state / "postgres").mkdir()
    (state / "admin-made").touch()
    with commands.alone("http://127.0.0.1:8080"), pytest.raises(Problem, match="runs already"):
        commands.reset("")
    assert (state / "postgres").exists()
    commands.reset("")
    assert [path.name for path in state.iterdir()] == ["running"]
