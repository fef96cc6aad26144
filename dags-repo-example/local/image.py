"""python -m local.image --name REPOSITORY: build an image with requirements-image.txt."""

import argparse
import json
import re
import shutil
import subprocess
import sys

from checks import folders
from local import env_file, packages, platform_yaml
from local.env_file import ROOT
from local.errors import OperationError

DEFAULT_NAME = "airflow-with-packages"
FOLDERS = ("dags", "plugins", "include")


def airflow_version() -> str:
    """Airflow version of the base image; also the tag of the built image."""
    (version,) = re.findall(r"^ARG AIRFLOW_VERSION=(\S+)$", (ROOT / "Dockerfile").read_text(), re.M)
    return version


def docker(*words: str, stdin: str | None = None, error: str) -> None:
    if subprocess.run(["docker", *words], cwd=ROOT, input=stdin, text=True, check=False).returncode:
        raise OperationError(error)


def build_image(image: str, base_digest: str) -> None:
    arguments = ["--build-arg", f"AIRFLOW_DIGEST={base_digest}"] if base_digest else []
    docker(
        *("build", "--tag", image, *arguments, "."),
        error="docker build failed; the cause is printed above. On a version conflict, choose a version "
        "in requirements-image.txt that is compatible with the packages of the base image.",
    )


def verify_image(image: str) -> None:
    """Start Airflow in the image and import every DAG of this repository."""
    run = ["run", "--rm", "--network", "none"]
    docker(*run, image, "airflow", "version", error=f"{image}: Airflow does not start.")
    # The script prints import errors once; Airflow would log each of them twice more.
    quiet = ["--env", "AIRFLOW__LOGGING__LOGGING_LEVEL=CRITICAL"]
    mounts = [f"--volume={ROOT / name}:/opt/airflow/{name}:ro" for name in FOLDERS]
    docker(
        *run,
        *("--interactive", "--env", "AIRFLOW__CORE__LOAD_EXAMPLES=False", *quiet, *mounts, image),
        *("python", "-"),
        stdin=(ROOT / "local" / "import_dags.py").read_text(),
        error="A DAG fails to import in the image. Add missing packages to requirements-image.txt.",
    )


def use_in_compose(image: str) -> None:
    """Set AIRFLOW_IMAGE in `.env`."""
    env_file.ensure(ROOT)
    path = ROOT / ".env"
    lines = [x for x in path.read_text().splitlines() if not x.startswith("AIRFLOW_IMAGE=")]
    path.write_text("\n".join([*lines, f"AIRFLOW_IMAGE={image}"]) + "\n")


def pushed_digest(repository: str, image: str) -> str | None:
    """Digest of the image in its registry; None before the first push."""
    command = ["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = [name.split("@") for name in json.loads(text) or []]
    return next((digest for name, digest in names if name == repository), None)


def next_step(repository: str, image: str, digest: str | None) -> str:
    if digest is None:
        return (
            f"Docker Compose now uses it (AIRFLOW_IMAGE in .env). For the platform: docker push {image}, "
            "then run `make image` again to print the lines for the stack file."
        )
    return f"For the stack file:\n    airflow:\n      image: {repository}\n      digest: {digest}"


def require_docker() -> None:
    if shutil.which("docker") is None:
        raise OperationError(
            "docker is not installed; `make image` needs it: https://docs.docker.com/get-docker/"
        )


def create(repository: str, base_digest: str) -> None:
    require_docker()
    packages.update_lock(ROOT)
    image = f"{repository}:{airflow_version()}"
    build_image(image, base_digest)
    verify_image(image)
    use_in_compose(image)
    print(f"Built {image}.\n{next_step(repository, image, pushed_digest(repository, image))}")


def prepare_compose() -> None:
    """Build the image of Docker Compose if DAGs need packages; refuse a missing DAG folder."""
    folder = platform_yaml.scalar("sub_path", "dags", ROOT)
    if not folders.has_dag_files(ROOT, folder):
        missing = folders.no_dag_files(ROOT, folder)
        if not (ROOT / folder).is_dir():
            # Docker would create the folder, owned by root.
            raise OperationError(str(missing))
        print(f"No DAG was found: {missing}")
    used = env_file.ensure(ROOT).get("AIRFLOW_IMAGE", "")
    image = f"{DEFAULT_NAME}:{airflow_version()}"
    if (packages.update_lock(ROOT) and not used) or used == image:
        require_docker()
        build_image(image, "")
        use_in_compose(image)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.image", description=__doc__)
    parser.add_argument(
        "--name", default=DEFAULT_NAME, help="repository of the image: registry/team/airflow"
    )
    parser.add_argument("--for-compose", action="store_true", help="build it only if necessary")
    parser.add_argument("--base-digest", default="", help="sha256:... of the base image")
    arguments = parser.parse_args()
    try:
        if arguments.for_compose:
            prepare_compose()
        else:
            create(arguments.name, arguments.base_digest)
    except OperationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
