"""python -m local.image [--name REPOSITORY]: an image with the packages of requirements-image.txt."""

import argparse
import json
import re
import shutil
import subprocess
import sys

from local import env_file
from local.env_file import ROOT
from local.problem import Problem

FOLDERS = ("dags", "plugins", "include")


def version() -> str:
    """The Airflow that the image is built on, and its tag."""
    (found,) = re.findall(r"^ARG AIRFLOW_VERSION=(\S+)$", (ROOT / "Dockerfile").read_text(), re.M)
    return found


def docker(*words: str, stdin: str | None = None, failed: str) -> None:
    if subprocess.run(["docker", *words], cwd=ROOT, input=stdin, text=True, check=False).returncode:
        raise Problem(failed)


def build(image: str, digest: str) -> None:
    arguments = ["--build-arg", f"AIRFLOW_DIGEST={digest}"] if digest else []
    docker(
        *("build", "--tag", image, *arguments, "."),
        failed="The image was not built; the lines above say why. A conflict of versions: choose "
        "another version in requirements-image.txt, one that goes with what Airflow came with.",
    )


def try_out(image: str) -> None:
    """Its Airflow starts, and every DAG of this repository imports in it."""
    run = ["run", "--rm", "--network", "none"]
    docker(*run, image, "airflow", "version", failed=f"{image}: Airflow does not start in it.")
    # What is wrong is printed once, by the script; Airflow would log it twice more.
    quiet = ["--env", "AIRFLOW__LOGGING__LOGGING_LEVEL=CRITICAL"]
    mounts = [f"--volume={ROOT / name}:/opt/airflow/{name}:ro" for name in FOLDERS]
    docker(
        *run,
        *("--interactive", "--env", "AIRFLOW__CORE__LOAD_EXAMPLES=False", *quiet, *mounts, image),
        *("python", "-"),
        stdin=(ROOT / "local" / "import_dags.py").read_text(),
        failed="Not every DAG imports in the image. Does requirements-image.txt lack a package?",
    )


def use_in_compose(image: str) -> None:
    """Let `.env` name the image; whatever else it holds stays."""
    env_file.ensure(ROOT)
    path = ROOT / ".env"
    lines = [x for x in path.read_text().splitlines() if not x.startswith("AIRFLOW_IMAGE=")]
    path.write_text("\n".join([*lines, f"AIRFLOW_IMAGE={image}"]) + "\n")


def pushed_digest(repository: str, image: str) -> str | None:
    """The digest under which a registry has the image. None: it has not been pushed."""
    command = ["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = [name.split("@") for name in json.loads(text) or []]
    return next((digest for name, digest in names if name == repository), None)


def next_step(repository: str, image: str, digest: str | None) -> str:
    if digest is None:
        return (
            f"Compose uses it from now on (AIRFLOW_IMAGE in .env). For the platform: docker push {image}, "
            "then `make image` again, which prints the lines for the stack file."
        )
    return f"For the stack file:\n    airflow:\n      image: {repository}\n      digest: {digest}"


def make(repository: str, base_digest: str) -> None:
    if shutil.which("docker") is None:
        raise Problem(
            "docker is not installed, and only Docker builds images: https://docs.docker.com"
        )
    image = f"{repository}:{version()}"
    build(image, base_digest)
    try_out(image)
    use_in_compose(image)
    print(f"Built {image}.\n{next_step(repository, image, pushed_digest(repository, image))}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.image", description=__doc__)
    parser.add_argument("--name", required=True, help="repository, such as registry/team/airflow")
    parser.add_argument(
        "--base-digest", default="", help="sha256:... of the image that it builds on"
    )
    arguments = parser.parse_args()
    try:
        make(arguments.name, arguments.base_digest)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
