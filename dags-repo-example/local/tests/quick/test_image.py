"""`make image`, with a docker that only writes down what it was asked."""

import json
import os

import pytest

from local import env_file, image
from local.problem import Problem

DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Fails for commands that contain the word of the environment variable FAIL."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    asked = tmp_path / "asked"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {asked}\n'
        'case "$*" in *"$FAIL"*) exit 1 ;; esac\n'
        'case "$*" in *RepoDigests*) echo "$DIGESTS" ;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAIL", "nothing fails")
    monkeypatch.setenv("DIGESTS", "null")
    for name in ("Dockerfile", "local"):
        (tmp_path / name).symlink_to(image.ROOT / name)
    monkeypatch.setattr(image, "ROOT", tmp_path)
    return asked


def test_it_is_built_then_tried_out_then_used(docker, tmp_path, capsys):
    image.make("registry.example.com/team/airflow", "")
    build, version, dags, _ = docker.read_text().splitlines()
    assert build == "build --tag registry.example.com/team/airflow:3.2.2 ."
    assert version.endswith(
        "--network none registry.example.com/team/airflow:3.2.2 airflow version"
    )
    assert dags.endswith("registry.example.com/team/airflow:3.2.2 python -")
    assert f"--volume={tmp_path}/dags:/opt/airflow/dags:ro" in dags
    named = env_file.parse((tmp_path / ".env").read_text())["AIRFLOW_IMAGE"]
    assert named == "registry.example.com/team/airflow:3.2.2"
    assert "docker push registry.example.com/team/airflow:3.2.2" in capsys.readouterr().out


def test_it_holds_bytecode_also_of_the_packages_that_it_adds():
    _, packages, bytecode = (image.ROOT / "Dockerfile").read_text().split("\nRUN ")
    assert "pip install" in packages
    assert bytecode.startswith("python -m compileall -q /home/airflow/.local/lib\n")


def test_its_digest_comes_as_lines_for_the_stack_file(docker, monkeypatch, capsys):
    names = [f"elsewhere/airflow@sha256:{'b' * 64}", f"registry.example.com/team/airflow@{DIGEST}"]
    monkeypatch.setenv("DIGESTS", json.dumps(names))
    image.make("registry.example.com/team/airflow", "")
    assert capsys.readouterr().out.endswith(
        f"    airflow:\n      image: registry.example.com/team/airflow\n      digest: {DIGEST}\n"
    )


def test_it_builds_on_exactly_the_image_that_was_named(docker):
    image.make("airflow-here", DIGEST)
    assert f"--build-arg AIRFLOW_DIGEST={DIGEST} " in docker.read_text()


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ("build", "The image was not built"),
        ("airflow version", "Airflow does not start in it"),
        ("python -", "Not every DAG imports"),
    ],
)
def test_an_image_that_fails_is_not_used(docker, tmp_path, monkeypatch, step, complaint):
    monkeypatch.setenv("FAIL", step)
    with pytest.raises(Problem, match=complaint):
        image.make("airflow-here", "")
    assert not (tmp_path / ".env").exists()


def test_what_env_holds_stays(docker, tmp_path):
    before = env_file.ensure(tmp_path)
    image.make("airflow-here", "")
    image.make("airflow-there", "")
    after = env_file.parse((tmp_path / ".env").read_text())
    assert after == before | {"AIRFLOW_IMAGE": "airflow-there:3.2.2"}


def test_a_machine_without_docker_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="docker is not installed"):
        image.make("airflow-here", "")
