import re
from pathlib import Path

import pytest
import yaml

from local import env_file
from local.services import DAG_BUNDLE

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "compose.yaml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]
COMPONENTS = {
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "airflow-worker",
}
AIRFLOW = {**{name: SERVICES[name] for name in COMPONENTS}, "init": SERVICES["airflow-init"]}

for_every_service = pytest.mark.parametrize("service", AIRFLOW.values(), ids=AIRFLOW)


def test_each_airflow_component_has_a_service():
    assert set(SERVICES) == COMPONENTS | {"airflow-init", "postgres", "redis"}


@for_every_service
def test_airflow_services_share_image_user_options_and_mounts(service):
    common = yaml.safe_load(TEXT)["x-airflow-common"]
    for key in ("image", "user", "env_file", "volumes"):
        assert service[key] == common[key]
    assert service["environment"].items() >= common["environment"].items()
    assert common["user"] == "${AIRFLOW_UID:-50000}:0"
    assert common["env_file"] == ["local/airflow.env", {"path": ".env", "required": False}]


@for_every_service
def test_repository_folders_are_mounted_where_airflow_reads_them(service):
    mounts = [volume.split(":") for volume in service["volumes"]]
    assert {mount[0]: mount[1] for mount in mounts} == {
        f"./{name}": f"/opt/airflow/{name}"
        for name in ("dags", "plugins", "include", "logs", "local", "platform.yaml")
    }
    assert [mount[0] for mount in mounts if mount[2:] != ["ro"]] == ["./logs"]
    assert all((ROOT / name).is_dir() for name in ("dags", "plugins", "include"))


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"airflow-init"}))
def test_services_have_a_health_check_and_restart_on_exit(name):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_components_start_after_the_migration(name):
    assert SERVICES[name]["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
        "airflow-init": {"condition": "service_completed_successfully"},
    }


def test_only_the_api_server_is_published_and_on_loopback():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:${AIRFLOW_PORT:-8080}:8080"]


def test_secrets_come_from_env_file_or_fail_with_advice():
    required = re.findall(r"\$\{([A-Z_]+)(?::\?(.*?))?\}", re.sub(r"\$\{\w+:-[^}]*\}", "", TEXT))
    advice = dict(required)
    # Set by Docker Compose.
    assert advice.pop("COMPOSE_PROJECT_NAME") == ""
    assert advice.keys() == env_file.VARIABLES.keys() - {"AIRFLOW_UID"}
    assert set(advice.values()) == {"run make env"}


def test_no_secret_is_hard_coded():
    secret_name = re.compile("PASSWORD|SECRET|KEY|AUTH|CONN|BACKEND|BROKER_URL")
    values = [
        value
        for service in SERVICES.values()
        for name, value in service["environment"].items()
        if secret_name.search(name)
    ]
    assert len(values) > 30
    assert [value for value in values if not re.search(r"\$\{[A-Z_]+:\?", value)] == []


def test_connection_strings_match_the_database_service():
    environment = AIRFLOW["init"]["environment"]
    database = SERVICES["postgres"]["environment"]
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__RESULT_BACKEND"):
        user = database["POSTGRES_USER"]
        assert environment[name].endswith(
            f"postgresql+psycopg2://{user}:{database['POSTGRES_PASSWORD']}@postgres/{database['POSTGRES_DB']}"
        )


def imported(file):
    """A module of local/, and those that it imports."""
    yield file
    for name in re.findall(r"^from local import (\w+)$", (ROOT / file).read_text(), re.MULTILINE):
        yield from imported(f"local/{name}.py")


def test_the_dag_processor_follows_changed_modules():
    name = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
    assert SERVICES["airflow-dag-processor"]["environment"][name] == DAG_BUNDLE
    files = yaml.safe_load(TEXT)["configs"]
    # /opt/airflow/config is on the import path.
    mounted = {
        config["target"].removeprefix("/opt/airflow/config/"): files[config["source"]]["file"]
        for config in SERVICES["airflow-dag-processor"]["configs"]
    }
    assert mounted == {file: file for file in imported("local/dag_folder.py")}


def test_stopping_worker_finishes_its_tasks():
    assert SERVICES["airflow-worker"]["environment"]["DUMB_INIT_SETSID"] == "0"


def test_the_ui_has_a_host_name_per_project():
    url = AIRFLOW["init"]["environment"]["AIRFLOW__API__BASE_URL"]
    assert url == "http://${COMPOSE_PROJECT_NAME}.localhost:${AIRFLOW_PORT:-8080}", (
        "browsers send a cookie to every port of a host"
    )


def test_the_worker_serves_the_queues_of_the_platform():
    _, _, command = SERVICES["airflow-worker"]["command"]
    assert command == (
        'exec airflow celery worker --queues "$$(python -P /opt/airflow/local/platform_yaml.py queues)"'
    )


def test_the_pools_of_the_platform_are_created():
    script = SERVICES["airflow-init"]["command"][-1]
    assert "platform_yaml.py pools" in script
    assert "python -P /opt/airflow/local/create_pools.py" in script
