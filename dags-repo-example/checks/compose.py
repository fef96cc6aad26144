"""compose.yaml and .env, which a DAG author may have or not: what Docker Compose would start."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from checks import variables
from checks.mistake import Mistake
from checks.variables import Value
from checks.yaml_lines import entries, items, line
from checks.yaml_lines import read as read_yaml

# As Docker Compose looks for them, in this order.
FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


@dataclass(frozen=True)
class Mount:
    """A folder of this machine, as a service sees it."""

    source: str
    target: str
    line: int


@dataclass
class Service:
    """What of a service matters here; lines are those of the file."""

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
class Local:
    """What runs on this machine, if anything does."""

    path: str = FILES[0]
    services: list[Service] = field(default_factory=list)
    variables: dict[str, Value] = field(default_factory=dict)


def read(root: Path) -> tuple[Local, list[Mistake]]:
    """Return what .env and compose.yaml say, and what is wrong with the files as such."""
    found, mistakes = variables.read(root / ".env")
    local = Local(variables=found)
    path = next((root / name for name in FILES if (root / name).is_file()), None)
    if path is None:
        return local, mistakes
    local.path = path.name
    node, unreadable = read_yaml(path)
    services = entries(entries(node).get("services"))
    reader = Reader(root, path.name, found)
    local.services = [reader.service(name, service) for name, service in services.items()]
    return local, [*mistakes, *unreadable]


class Reader:
    """Reads services, with the variables of .env in their places."""

    def __init__(self, root: Path, path: str, found: dict[str, Value]) -> None:
        self._root = root
        self._path = path
        self._variables = found

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
            name = self._value(entries(item).get("path", item))
            if name:
                # What is wrong with the file itself is told where it is read as .env.
                result |= variables.read(self._root / name.text)[0]
        given = keys.get("environment")
        if isinstance(given, yaml.SequenceNode):
            pairs = [(self._value(item), item) for item in given.value]
            for value, _ in pairs:
                if value and "=" in value.text:
                    name, _, text = value.text.partition("=")
                    result[name] = Value(text, value.path, value.line, value.origins)
            return result
        for name, node in entries(given).items():
            value = self._value(node)
            if value and node.tag != "tag:yaml.org,2002:null":
                result[name] = value
        return result

    def _mount(self, node: yaml.Node) -> list[Mount]:
        if isinstance(node, yaml.MappingNode):
            keys = {key: self._value(value) for key, value in entries(node).items()}
            source, target = keys.get("source"), keys.get("target")
            if source and target and source.text.startswith((".", "/", "~")):
                return [Mount(source.text, target.text, line(node))]
            return []
        value = self._value(node)
        source, _, rest = value.text.partition(":") if value else ("", "", "")
        # Anything else is a volume by name, which Docker keeps elsewhere.
        if not rest or not source.startswith((".", "/", "~")):
            return []
        return [Mount(source, rest.partition(":")[0], line(node))]
