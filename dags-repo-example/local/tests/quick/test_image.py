"""`make image` with a fake docker that records its arguments."""

import json
import os

import pytest

from local import env_file, image
from local.errors import OperationError

PACKAGES = ("requirements.lock", "requirements-image.txt", "requirements-image.lock")
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A fake docker; commands that contain $FAIL fail."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    calls = tmp_path / "calls"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\n'
        'case "$*" in *"$FAIL"*) exit 1 ;; esac\n'
        'case "$*" in *RepoDigests*) echo "$DIGESTS" ;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAIL", "nothing fails")
    monkeypatch.setenv("DIGESTS", "null")
    for name in (*("Dockerfile", "local", "dags", "platform.yaml"), *PACKAGES):
        (tmp_path / name).symlink_to(image.ROOT / name)
    monkeypatch.setattr(image, "ROOT", tmp_path)
    return calls


def test_image_is_built_verified_and_used_by_compose(docker, tmp_path, capsys):
    image.create("registry.example.com/team/airflow", "")
    build, version, dags, _ = docker.read_text().splitlines()
    assert build == "build --tag registry.example.com/team/airflow:3.3.2 ."
    assert version.endswith(
        "--network none registry.example.com/team/airflow:3.3.2 airflow version"
    )
    assert dags.endswith("registry.example.com/team/airflow:3.3.2 python -")
    assert f"--volume={tmp_path}/dags:/opt/airflow/dags:ro" in dags
    used = env_file.parse((tmp_path / ".env").read_text())["AIRFLOW_IMAGE"]
    assert used == "registry.example.com/team/airflow:3.3.2"
    assert "docker push registry.example.com/team/airflow:3.3.2" in capsys.readouterr().out


def test_bytecode_includes_the_added_packages():
    _, packages, bytecode = (image.ROOT / "Dockerfile").read_text().split("\nRUN ")
    assert "pip install" in packages
    assert bytecode.startswith("python -m compileall -q /home/airflow/.local/lib\n")


def test_digest_is_printed_as_lines_for_the_stack_file(docker, monkeypatch, capsys):
    names = [
        f"other.example.com/airflow@sha256:{'b' * 64}",
        f"registry.example.com/team/airflow@{DIGEST}",
    ]
    monkeypatch.setenv("DIGESTS", json.dumps(names))
    image.create("registry.example.com/team/airflow", "")
    assert capsys.readouterr().out.endswith(
        f"    airflow:\n      image: registry.example.com/team/airflow\n      digest: {DIGEST}\n"
    )


def test_base_digest_is_passed_to_the_build(docker):
    image.create("airflow-first", DIGEST)
    assert f"--build-arg AIRFLOW_DIGEST={DIGEST} " in docker.read_text()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("build", "docker build failed"),
        ("airflow version", "Airflow does not start"),
        ("python -", "A DAG fails to import in the image"),
    ],
)
def test_failing_image_is_not_used_by_compose(docker, tmp_path, monkeypatch, step, message):
    monkeypatch.setenv("FAIL", step)
    with pytest.raises(OperationError, match=message):
        image.create("airflow-first", "")
    assert not (tmp_path / ".env").exists()


def test_other_variables_in_env_file_are_kept(docker, tmp_path):
    before = env_file.ensure(tmp_path)
    image.create("airflow-first", "")
    image.create("airflow-second", "")
    after = env_file.parse((tmp_path / ".env").read_text())
    assert after == before | {"AIRFLOW_IMAGE": "airflow-second:3.3.2"}


def add_package(folder):
    for name in PACKAGES[1:]:
        (folder / name).unlink()
    (folder / PACKAGES[1]).write_text("holidays==0.74\n")
    lock = image.packages.header(folder) + "holidays==0.74 \\\n    --hash=sha256:1\n"
    (folder / PACKAGES[2]).write_text(lock)


def test_compose_uses_the_official_image_without_packages(docker, tmp_path):
    image.prepare_compose()
    assert not docker.exists()
    assert "AIRFLOW_IMAGE" not in env_file.parse((tmp_path / ".env").read_text())


def test_compose_uses_an_image_with_the_packages_of_dags(docker, tmp_path):
    add_package(tmp_path)
    image.prepare_compose()
    assert docker.read_text() == "build --tag airflow-with-packages:3.3.2 .\n"
    used = env_file.parse((tmp_path / ".env").read_text())["AIRFLOW_IMAGE"]
    assert used == "airflow-with-packages:3.3.2"


def test_compose_keeps_an_image_that_the_author_chose(docker, tmp_path):
    add_package(tmp_path)
    (tmp_path / ".env").write_text("AIRFLOW_IMAGE=registry.example.com/airflow:3.3.2\n")
    image.prepare_compose()
    assert not docker.exists()


def test_compose_refuses_a_missing_dag_folder(docker, tmp_path):
    (tmp_path / "dags").rename(tmp_path / "dag")
    with pytest.raises(OperationError, match="rename dag/: `git mv dag dags`"):
        image.prepare_compose()


def test_compose_reports_that_there_is_no_dag(docker, tmp_path, capsys):
    (tmp_path / "dags").unlink()
    (tmp_path / "dags").mkdir()
    image.prepare_compose()
    assert "No DAG was found: dags/:1: " in capsys.readouterr().out


def test_missing_docker_is_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperationError, match="docker is not installed"):
        image.create("airflow-first", "")
