"""What the platform offers: platform.yaml, and whether this repository tests with the same Airflow."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from checks import yaml_lines
from checks.mistake import Mistake

FILE = "platform.yaml"
Name = Annotated[str, Field(min_length=1)]


class Platform(BaseModel):
    """The keys of platform.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    airflow: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    image: Name
    sub_path: Name
    queues: Annotated[list[Name], Field(min_length=1)]
    pools: Annotated[list[Name], Field(min_length=1)]


def read(root: Path) -> tuple[Platform | None, list[Mistake]]:
    """Return platform.yaml, and what is wrong with it."""
    path = root / FILE
    if not path.is_file():
        return None, [
            Mistake(FILE, 1, "is missing; bring it back from Git, or ask the platform team")
        ]
    node, mistakes = yaml_lines.read(path)
    if node is None:
        return None, mistakes
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        platform = Platform.model_validate(given)
    except ValidationError as bad:
        lines = {key: yaml_lines.line(value) for key, value in yaml_lines.entries(node).items()}
        return None, [explain(error, lines) for error in bad.errors()]
    return platform, installed(platform, yaml_lines.entries(node)["airflow"])


def explain(error: dict, lines: dict[str, int]) -> Mistake:
    key = str(error["loc"][0])
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        text = f"{key} is missing; bring the file back from Git, or ask the platform team"
    elif error["type"] == "extra_forbidden":
        known = ", ".join(Platform.model_fields)
        text = f"{key} is not a known key (known: {known}); take it out or correct its spelling"
    else:
        text = f"{where}: {error['msg']} (found {error['input']!r}); correct it, or ask the platform team"
    return Mistake(FILE, lines.get(key, 1), text)


def installed(platform: Platform, node: yaml.Node) -> list[Mistake]:
    here = version("apache-airflow")
    if here == platform.airflow:
        return []
    text = (
        f"the platform runs Airflow {platform.airflow}, this repository tests with another "
        f"(found {here} in .venv); set apache-airflow=={platform.airflow} in requirements.in, `make lock`"
    )
    return [Mistake(FILE, yaml_lines.line(node), text)]
