import socket

import pytest

from local import __main__ as commands
from local import environment
from local.environment import Ports, choose_ports, requested_port
from local.errors import OperationError

SECRET = {
    "POSTGRES_PASSWORD": "database-password",
    "REDIS_PASSWORD": "redis-password",
    "FERNET_KEY": "f",
    "API_SECRET_KEY": "a",
    "JWT_SECRET": "j",
}
PORTS = Ports(api=8080, postgres=5001, redis=5002)


@pytest.fixture
def used_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "STATE", tmp_path)
    monkeypatch.setattr(commands, "LOCK_FILE", tmp_path / "lock")
    return tmp_path


def test_used_port_is_refused_with_advice(used_port):
    with pytest.raises(
        OperationError, match=rf"PORT={used_port} is in use by another program\. Stop"
    ):
        requested_port(str(used_port))


@pytest.mark.parametrize("text", ["http", "80", "70000", "-1", "²"])
def test_invalid_or_privileged_port_is_refused(text):
    with pytest.raises(OperationError, match=f"PORT={text} is not a port from 1024 to 65535"):
        requested_port(text)


def test_free_ports_are_chosen_by_default(monkeypatch, used_port):
    assert requested_port("") is None
    monkeypatch.setattr(environment, "DEFAULT_PORT", used_port)
    ports = choose_ports(None)
    assert len({ports.api, ports.postgres, ports.redis, used_port}) == 4


def test_requested_port_is_used():
    assert choose_ports(8123).api == 8123


def test_airflow_options_of_the_shell_are_ignored(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgres://shop")
    env = environment.environment(SECRET, PORTS)
    assert env["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert "AIRFLOW_CONN_SHOP" not in env


def test_components_connect_without_a_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "example.com")
    env = environment.environment(SECRET, PORTS)
    assert env["NO_PROXY"] == env["no_proxy"] == "example.com,127.0.0.1,localhost"


def test_connection_strings_contain_password_and_port():
    env = environment.environment(SECRET, PORTS)
    database = f"postgresql+psycopg2://airflow:{SECRET['POSTGRES_PASSWORD']}@127.0.0.1:5001/airflow"
    assert env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == database
    assert env["AIRFLOW__CELERY__RESULT_BACKEND"] == f"db+{database}"
    assert (
        env["AIRFLOW__CELERY__BROKER_URL"]
        == f"redis://:{SECRET['REDIS_PASSWORD']}@127.0.0.1:5002/0"
    )


def test_root_is_refused_with_advice(monkeypatch, state):
    monkeypatch.setattr(commands.os, "geteuid", lambda: 0)
    with pytest.raises(OperationError, match="ordinary user, or use containers: `make compose`"):
        commands.check("")


def test_one_folder_runs_one_airflow(monkeypatch, state):
    monkeypatch.setattr(commands.os, "geteuid", lambda: 1000)
    with (
        commands.folder_lock("Airflow runs at http://127.0.0.1:8080"),
        pytest.raises(OperationError, match=r"is in use: Airflow runs at http://127\.0\.0\.1:8080"),
    ):
        commands.check("")
    commands.check("")


def test_reset_deletes_all_data_unless_airflow_runs(state):
    (state / "postgres").mkdir()
    (state / "admin-password-set").touch()
    with commands.folder_lock("Airflow runs"), pytest.raises(OperationError, match="is in use"):
        commands.reset("")
    assert (state / "postgres").exists()
    commands.reset("")
    assert [path.name for path in state.iterdir()] == ["lock"]
