"""Airflow has the same options on an author's machine as on the platform."""

import re
import subprocess
import sys
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
COMPOSE = yaml.safe_load((DAGS / "compose.yaml").read_text())
AIRFLOW = AirflowSettings()
REPOSITORY = DagSettings(repo="https://github.com/example/dags.git")
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def platform_options():
    """Options from values/ and the settings, by `section.option`."""
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


def local_options():
    """Options of both local environments: Compose and processes."""
    lines = (DAGS / "local" / "airflow.env").read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    return {option(name): value for name, value in pairs}


def documented_differences():
    """Options in the table of differences, with the reason."""
    text = (DAGS / "local" / "differences.md").read_text()
    return dict(re.findall(r"^\| `([a-z_.]+)` \|.*\| (.+) \|$", text, re.M))


def test_local_options_equal_those_of_the_platform():
    local, platform, known = local_options(), platform_options(), documented_differences()

    assert len(platform) > 15
    different = {
        name: (local.get(name), platform.get(name))
        for name in local.keys() | platform.keys()
        if local.get(name) != platform.get(name) and name not in known
    }
    assert different == {}, (
        "{option: (local, platform)}: set the same value in dags-repo-example/local/airflow.env, or add "
        "a row with the reason to dags-repo-example/local/differences.md"
    )


def test_every_documented_difference_exists_and_has_a_reason():
    local, platform, known = local_options(), platform_options(), documented_differences()

    assert len(known) > 5
    assert [name for name in known if local.get(name) == platform.get(name)] == [], (
        "these options are equal: delete their rows in dags-repo-example/local/differences.md"
    )
    assert all(len(reason) > 10 for reason in known.values())


def test_both_use_the_celery_executor():
    assert local_options()["core.executor"] == VALUES["executor"] == "CeleryExecutor"


def test_the_local_worker_uses_all_its_slots():
    local = local_options()
    assert local["core.parallelism"] == local["celery.worker_concurrency"], "there is one worker"


def test_time_zone_and_serialization_are_airflows_defaults():
    names = re.compile(r"default_timezone|serial|^secrets\.|xcom_backend|allowed_deser")

    assert [name for name in {**local_options(), **platform_options()} if names.search(name)] == []


@pytest.mark.parametrize("file", ["compose.yaml", "local/environment.py"])
def test_only_airflow_env_sets_shared_options(file):
    # These files set only addresses, folders and keys, and the class that reads the folder.
    own = re.compile(
        r"_conn$|result_backend|broker_url|_key$|jwt_secret|_folder$|_url$|^api\.(host|port)$|health_check"
        r"|dag_bundle_config_list$"
    )
    names = re.findall(r"AIRFLOW__[A-Z_]+", (DAGS / file).read_text())

    assert len(names) > 8
    options = sorted({option(name) for name in names if not name.startswith("AIRFLOW__CORE_CONN")})
    assert [name for name in options if not own.search(name)] == [], "move them to airflow.env"


def test_every_file_names_the_same_airflow():
    version = AIRFLOW.version
    image = f"{AIRFLOW.image}:{version}"

    used = COMPOSE["x-airflow-common"]["image"]
    assert used == f"${{AIRFLOW_IMAGE:-{image}}}", "edit dags-repo-example/compose.yaml"
    dockerfile = (DAGS / "Dockerfile").read_text().splitlines()
    assert f"ARG AIRFLOW_VERSION={version}" in dockerfile, "edit dags-repo-example/Dockerfile"
    assert any(line.startswith(f"FROM {AIRFLOW.image}:") for line in dockerfile)
    lines = (DAGS / "requirements.lock").read_text().splitlines()
    pins = [line.split()[0] for line in lines if line.startswith("apache-airflow==")]
    assert pins == [f"apache-airflow=={version}"], (
        "edit dags-repo-example/requirements.in, run `make -C dags-repo-example lock`"
    )
    assert local_options()["core.auth_manager"] == FAB
    assert local_options()["core.load_examples"] == "False"


def test_platform_yaml_describes_the_platform():
    described = yaml.safe_load((DAGS / "platform.yaml").read_text())
    assert described == {
        "airflow": AIRFLOW.version,
        "image": f"{AIRFLOW.image}:{AIRFLOW.version}",
        # https://github.com/apache/airflow/blob/main/docker-stack-docs/README.md
        "python": "3.12",
        "sub_path": REPOSITORY.sub_path,
        "queues": [DEFAULT_QUEUE],
        "pools": ["default_pool"],  # created by Airflow
        "max_mb": REPOSITORY.max_mb,
        "max_file_mb": REPOSITORY.max_file_mb,
        "max_files": REPOSITORY.max_files,
        "lfs": REPOSITORY.lfs,
    }, "edit dags-repo-example/platform.yaml"


def test_compose_uses_the_same_redis_and_postgresql():
    assert COMPOSE["services"]["redis"]["image"] == REDIS_IMAGE
    assert COMPOSE["services"]["postgres"]["image"] == POSTGRES_IMAGE


def test_the_lock_of_the_template_is_that_of_its_lists():
    """In a pipeline, `make check` refuses another one."""
    program = (
        "from local import packages; raise SystemExit(not packages.is_resolved(packages.ROOT))"
    )
    is_resolved = subprocess.run([sys.executable, "-c", program], cwd=DAGS, check=False)  # noqa: S603
    assert is_resolved.returncode == 0, (
        "run `make check` in dags-repo-example and commit requirements-image.lock"
    )
