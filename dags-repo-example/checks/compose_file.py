"""Reads compose.yaml and .env as Docker Compose does; both files are optional."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from checks import variables
from checks.mistake import Mistake
from checks.variables import Value
from checks.yaml_nodes import entries, items, line
from checks.yaml_nodes import read as read_yaml

# In Docker Compose's order of precedence.
FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


@dataclass(frozen=True)
class Mount:
    """A bind mount of a service."""

    source: str
    target: str
    line: int


@dataclass
class Service:
    """The keys of a service that the rules read."""

    name: str
    line: int
    image: Value | None = None
    user: Value | None = None
    environment: dict[str, Value] = field(default_factory=dict)
    mounts: list[Mount] = field(default_factory=list)

    @property
    def is_airflow(self) -> bool:
        image = self.image.text if self.image else ""
        return "airflow" in image or any(name.startswith("AIRFLOW__") for name in self.environment)

    @property
    def is_postgres(self) -> bool:
        image = self.image.text if self.image else ""
        name = image.rpartition("/")[2].partition(":")[0]
        return name == "postgres" or "POSTGRES_PASSWORD" in self.environment


@dataclass
class ComposeProject:
    """The services of the Compose file and the variables of .env."""

    path: str = FILES[0]
    services: list[Service] = field(default_factory=list)
    variables: dict[str, Value] = field(default_factory=dict)


def read(root: Path) -> tuple[ComposeProject, list[Mistake]]:
    """Return the project, and the syntax errors of its two files."""
    env, mistakes = variables.read(root / ".env")
    project = ComposeProject(variables=env)
    path = next((root / name for name in FILES if (root / name).is_file()), None)
    if path is None:
        return project, mistakes
    project.path = path.name
    node, yaml_mistakes = read_yaml(path)
    services = entries(entries(node).get("services"))
    reader = ServiceReader(root, path.name, env)
    project.services = [reader.service(name, service) for name, service in services.items()]
    return project, [*mistakes, *yaml_mistakes]


class ServiceReader:
    """Reads services and interpolates the variables of .env."""

    def __init__(self, root: Path, path: str, env: dict[str, Value]) -> None:
        self._root = root
        self._path = path
        self._variables = env

    def service(self, name: str, node: yaml.Node) -> Service:
        keys = entries(node)
        return Service(
            name,
            line(node),
            image=self._value(keys.get("image")),
            user=self._value(keys.get("user")),
            environment=self._environment(keys),
            mounts=[mount for item in items(keys.get("volumes")) for mount in self._mount(item)],
        )

    def _value(self, node: yaml.Node | None) -> Value | None:
        if not isinstance(node, yaml.ScalarNode):
            return None
        return variables.resolve(node.value, self._variables, self._path, line(node))

    def _environment(self, keys: dict[str, yaml.Node]) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for item in items(keys.get("env_file")):
            path = self._value(entries(item).get("path", item))
            if path:
                # Syntax errors are reported for .env only.
                result |= variables.read(self._root / path.text)[0]
        environment = keys.get("environment")
        if isinstance(environment, yaml.SequenceNode):
            for item in environment.value:
                value = self._value(item)
                if value and "=" in value.text:
                    name, _, text = value.text.partition("=")
                    result[name] = Value(text, value.path, value.line, value.origins)
            return result
        for name, node in entries(environment).items():
            value = self._value(node)
            if value and node.tag != "tag:yaml.org,2002:null":
                result[name] = value
        return result

    def _mount(self, node: yaml.Node) -> list[Mount]:
        if isinstance(node, yaml.MappingNode):
            keys = {key: self._value(value) for key, value in entries(node).items()}
            source, target = keys.get("source"), keys.get("target")
            if source and target and is_host_path(source.text):
                return [Mount(source.text, target.text, line(node))]
            return []
        value = self._value(node)
        source, _, rest = value.text.partition(":") if value else ("", "", "")
        if not rest or not is_host_path(source):
            return []
        return [Mount(source, rest.partition(":")[0], line(node))]


def is_host_path(source: str) -> bool:
    """Tell a bind mount from a named volume."""
    return source.startswith((".", "/", "~"))
