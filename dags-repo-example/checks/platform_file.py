"""Reads platform.yaml and compares its versions of Airflow and Python with those of .venv."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from checks import yaml_nodes
from checks.mistake import Mistake

FILE = "platform.yaml"
Name = Annotated[str, Field(min_length=1)]


class Platform(BaseModel):
    """The keys of platform.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    airflow: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+((b|rc)\d+)?$")]
    image: Name
    python: Annotated[str, Field(pattern=r"^\d+\.\d+$")] | None = None
    sub_path: Name
    queues: Annotated[list[Name], Field(min_length=1)]
    pools: Annotated[list[Name], Field(min_length=1)]
    max_mb: Annotated[int, Field(ge=1)]
    max_file_mb: Annotated[int, Field(ge=1)]
    max_files: Annotated[int, Field(ge=1)]
    lfs: bool = False


def read(root: Path) -> tuple[Platform | None, list[Mistake]]:
    """Return platform.yaml, or None if it is invalid, and its mistakes."""
    path = root / FILE
    if not path.is_file():
        text = "is missing; restore the file from Git, or ask the platform team"
        return None, [Mistake(FILE, 1, text)]
    node, mistakes = yaml_nodes.read(path)
    if node is None:
        return None, mistakes
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        platform = Platform.model_validate(values)
    except ValidationError as invalid:
        lines = {key: yaml_nodes.line(value) for key, value in yaml_nodes.entries(node).items()}
        return None, [explain(error, lines) for error in invalid.errors()]
    nodes = yaml_nodes.entries(node)
    mistakes = check_installed(platform, nodes["airflow"])
    return platform, [*mistakes, *check_python(platform, nodes.get("python"))]


def explain(error: dict, lines: dict[str, int]) -> Mistake:
    key = str(error["loc"][0])
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        text = f"{key} is missing; restore the file from Git, or ask the platform team"
    elif error["type"] == "extra_forbidden":
        known = ", ".join(Platform.model_fields)
        text = f"{key} is not a known key (known: {known}); remove it or correct its spelling"
    else:
        text = (
            f"{where}: {error['msg']} (found {error['input']!r}); correct the value, or ask the "
            "platform team"
        )
    return Mistake(FILE, lines.get(key, 1), text)


def check_installed(platform: Platform, node: yaml.Node) -> list[Mistake]:
    installed = version("apache-airflow")
    if installed == platform.airflow:
        return []
    text = (
        f"airflow: the platform runs {platform.airflow}, but `make check` uses another version "
        f"(found {installed} in .venv); set apache-airflow=={platform.airflow} in requirements.in "
        "and run `make lock`"
    )
    return [Mistake(FILE, yaml_nodes.line(node), text)]


def check_python(platform: Platform, node: yaml.Node | None) -> list[Mistake]:
    """Compare the Python of the image and of .venv; without it on this machine, only warn."""
    current = "{}.{}".format(*sys.version_info)
    if platform.python in (None, current):
        return []
    text = (
        f"python: the platform's image has {platform.python}, but `make check` uses another version "
        f"(found {current} in .venv); install Python {platform.python} and delete .venv"
    )
    if os.environ.get("CI"):
        return [Mistake(FILE, yaml_nodes.line(node), text)]
    print(f"warning: {Mistake(FILE, yaml_nodes.line(node), text)}")
    return []
