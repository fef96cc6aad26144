"""A DAG behaves on its author's machine as it does on the platform: the options of Airflow are the same."""

import re
from pathlib import Path

import pytest
import yaml

from components.airflow.values import airflow_config
from settings.airflow import AirflowSettings
from settings.dags import DagSettings
from settings.versions import POSTGRES_IMAGE, REDIS_IMAGE
from settings.workers import DEFAULT_QUEUE, WorkerSettings

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "dags-repo-example"
VALUES = yaml.safe_load((ROOT / "values" / "airflow.yaml").read_text())
AIRFLOW = AirflowSettings()
REPOSITORY = DagSettings(repo="https://github.com/example/dags.git")
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def platform():
    """Options of the platform as `section.option`: what values/ and the settings decide."""
    derived = airflow_config(AIRFLOW, WorkerSettings(), REPOSITORY)
    return {
        f"{section}.{option}": str(value)
        for config in (VALUES["config"], derived)
        for section, options in config.items()
        for option, value in options.items()
    }


def option(variable):
    section, name = re.fullmatch(r"AIRFLOW__(\w+?)__(\w+)", variable).groups()
    return f"{section.lower()}.{name.lower()}"


def local():
    """Options that Compose and the processes share."""
    lines = (DAGS / "local" / "airflow.env").read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    return {option(name): value for name, value in pairs}


def different():
    """Options that the table of differences explains, with the reason."""
    rows = re.findall(
        r"^\| `([a-z_.]+)` \|.*\| (.+) \|$", (DAGS / "local" / "differences.md").read_text(), re.M
    )
    return dict(rows)


def test_what_the_platform_decides_holds_on_the_authors_machine():
    here, there, known = local(), platform(), different()

    assert len(there) > 15
    unexplained = {
        name: (here.get(name), there.get(name))
        for name in here.keys() | there.keys()
        if here.get(name) != there.get(name) and name not in known
    }
    assert unexplained == {}, (
        "{option: (local, platform)}: set the same value in dags-repo-example/local/airflow.env, or add "
        "a row with the reason to dags-repo-example/local/differences.md"
    )


def test_every_difference_is_one_and_has_its_reason():
    here, there = local(), platform()

    assert len(different()) > 5
    assert [name for name in different() if here.get(name) == there.get(name)] == [], (
        "these options are equal: delete their rows in dags-repo-example/local/differences.md"
    )
    assert all(len(reason) > 10 for reason in different().values())


def test_both_run_the_celery_executor():
    assert local()["core.executor"] == VALUES["executor"] == "CeleryExecutor"


def test_all_slots_of_the_workers_are_used():
    assert local()["core.parallelism"] == local()["celery.worker_concurrency"], "one worker"


def test_time_zone_serialization_and_secrets_are_airflows_defaults_on_both_sides():
    decides = re.compile(r"default_timezone|serial|^secrets\.|xcom_backend|allowed_deser")

    assert [name for name in {**local(), **platform()} if decides.search(name)] == [], (
        "remove these options from values/airflow.yaml and local/airflow.env: Airflow's defaults hold"
    )


@pytest.mark.parametrize("where", ["compose.yaml", "local/environment.py"])
def test_no_second_file_sets_an_option_that_decides(where):
    # Addresses, folders and keys are those of the place; nothing else may be.
    of_the_place = re.compile(
        r"_conn$|result_backend|broker_url|_key$|jwt_secret|_folder$|_url$|^api\.(host|port)$|health_check"
    )
    names = re.findall(r"AIRFLOW__[A-Z_]+", (DAGS / where).read_text())

    assert len(names) > 8
    others = sorted({option(name) for name in names if not name.startswith("AIRFLOW__CORE_CONN")})
    assert [name for name in others if not of_the_place.search(name)] == [], (
        f"move these options from {where} to local/airflow.env, which both ways to run Airflow share"
    )


def test_one_version_of_airflow():
    version = AIRFLOW.version
    image = f"{AIRFLOW.image}:{version}"

    common = yaml.safe_load((DAGS / "compose.yaml").read_text())["x-airflow-common"]
    assert common["image"] == f"${{AIRFLOW_IMAGE:-{image}}}"
    assert f"ARG AIRFLOW_VERSION={version}\n" in (DAGS / "Dockerfile").read_text()
    assert f"\nFROM {AIRFLOW.image}:" in (DAGS / "Dockerfile").read_text()
    for lock in ("requirements.lock", "local/requirements.lock"):
        assert f"\napache-airflow=={version} " in (DAGS / lock).read_text()
    assert local()["core.auth_manager"] == FAB
    assert local()["core.load_examples"] == "False"


def test_what_authors_are_told_of_the_platform_is_so():
    told = yaml.safe_load((DAGS / "platform.yaml").read_text())

    assert told == {
        "airflow": AIRFLOW.version,
        "image": f"{AIRFLOW.image}:{AIRFLOW.version}",
        "sub_path": REPOSITORY.sub_path,
        "queues": [DEFAULT_QUEUE],
        "pools": ["default_pool"],  # the one that Airflow makes itself
    }


def test_one_version_of_redis_and_of_postgresql():

    services = yaml.safe_load((DAGS / "compose.yaml").read_text())["services"]
    assert services["redis"]["image"] == REDIS_IMAGE
    assert services["postgres"]["image"] == POSTGRES_IMAGE
