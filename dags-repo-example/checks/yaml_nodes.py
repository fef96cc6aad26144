"""Reads YAML as nodes, which carry their line numbers."""

from pathlib import Path

import yaml

from checks.mistake import Mistake

MERGE = "tag:yaml.org,2002:merge"


def read(path: Path) -> tuple[yaml.Node | None, list[Mistake]]:
    """Return the root mapping, or None and the syntax error."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        text = f"is not valid YAML: {error.problem}; correct this line or the line above it"
        return None, [Mistake(path.name, error.problem_mark.line + 1, text)]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = f"is not valid YAML: {str(error).splitlines()[0]}; save it as UTF-8 text"
        return None, [Mistake(path.name, 1, text)]
    if not isinstance(node, yaml.MappingNode):
        text = "is not a YAML mapping (`key: value`); restore the file from Git"
        return None, [Mistake(path.name, 1, text)]
    return node, []


def line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the values of a mapping by key, including those merged with `<<`."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    merged: dict[str, yaml.Node] = {}
    own: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if key.tag == MERGE:
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in reversed(sources):
                merged |= entries(source)
        else:
            own[key.value] = value
    return merged | own


def items(node: yaml.Node | None) -> list[yaml.Node]:
    """Return the items of a list; a scalar or mapping counts as a list of one."""
    if node is None:
        return []
    return node.value if isinstance(node, yaml.SequenceNode) else [node]
