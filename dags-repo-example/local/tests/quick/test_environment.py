import re
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


def test_variables_of_env_file_reach_airflow(tmp_path):
    connection = '{"conn_type": "postgres", "password": "a$b"}'
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "airflow.env").write_text("AIRFLOW__CORE__PARALLELISM=4\n")
    (tmp_path / ".env").write_text(
        f"ADMIN_PASSWORD=secret-password\nAIRFLOW_PORT=8081\nAIRFLOW_CONN_SHOP='{connection}'\n"
        'AIRFLOW_VAR_GREETING="good day"  # comment\nAIRFLOW__CORE__PARALLELISM=8\n'
    )
    env = environment.environment(SECRET, PORTS, tmp_path)
    assert env["AIRFLOW_CONN_SHOP"] == connection
    assert env["AIRFLOW_VAR_GREETING"] == "good day"
    assert env["AIRFLOW__CORE__PARALLELISM"] == "8"
    assert "ADMIN_PASSWORD" not in env
    assert "AIRFLOW_PORT" not in env


def test_each_checkout_has_its_own_host_for_cookies(tmp_path):
    names = [environment.host_name(tmp_path / path) for path in ("a/My_DAGs", "b/My_DAGs")]
    assert len(set(names)) == 2, "browsers send a cookie to every port of a host"
    assert all(re.fullmatch(r"my-dags-[0-9a-f]{4}\.localhost", name) for name in names)
    assert environment.environment(SECRET, PORTS)["AIRFLOW__API__BASE_URL"] == PORTS.ui


def test_components_use_an_address_that_every_system_resolves():
    env = environment.environment(SECRET, PORTS)
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8080/execution/"


def test_dag_folder_is_the_one_of_the_platform(tmp_path):
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "airflow.env").touch()
    (tmp_path / "platform.yaml").write_text('sub_path: "flows" # folder\n')
    env = environment.environment(SECRET, PORTS, tmp_path)
    assert env["AIRFLOW__CORE__DAGS_FOLDER"] == str(tmp_path / "flows")


@pytest.mark.parametrize(("system", "command"), [("darwin", "lsof -nP -iTCP:"), ("linux", "ss ")])
def test_advice_names_a_command_of_the_operating_system(monkeypatch, used_port, system, command):
    monkeypatch.setattr(environment.sys, "platform", system)
    with pytest.raises(OperationError, match=rf"\(`{command}"):
        requested_port(str(used_port))


@pytest.mark.parametrize(("system", "expected"), [("darwin", "YES"), ("linux", None)])
def test_worker_may_fork_on_macos(monkeypatch, system, expected):
    monkeypatch.setattr(environment.sys, "platform", system)
    env = environment.environment(SECRET, PORTS)
    assert env.get("OBJC_DISABLE_INITIALIZE_FORK_SAFETY") == expected


def test_ports_are_those_of_a_running_airflow(state, monkeypatch):
    monkeypatch.setattr(environment, "LOCK_FILE", state / "lock")
    monkeypatch.setattr(environment, "PORTS_FILE", state / "ports.json")
    assert environment.running_ports() is None
    (state / "ports.json").write_text('{"api": 8080, "postgres": 5001, "redis": 5002}')
    with commands.folder_lock("Airflow runs"):
        assert environment.running_ports() == PORTS
    assert environment.running_ports() is None, "a killed process leaves the file"


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
