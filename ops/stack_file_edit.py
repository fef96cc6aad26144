"""A number in a stack file, changed as a person would change it: comments and layout stay."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ops.shell import OperationError

Key = tuple[str, ...]


@contextmanager
def changed(file: Path, numbers: Mapping[Key, int], say: Callable[[str], None]) -> Generator[None]:
    """The file with these numbers at these keys. If the block raises, it is as it was."""
    before = file.read_bytes()
    text = before.decode()
    for key, number in numbers.items():
        try:
            text = with_number(text, key, number)
        except (ValueError, yaml.YAMLError):
            raise OperationError(
                f"{file.name}: {'.'.join(key)} cannot be changed there without a change of something else, "
                f"such as an alias; nothing was changed. Write {number} there by hand, then `make up`"
            ) from None
    try:
        file.write_bytes(text.encode())
        yield
    except BaseException:
        file.write_bytes(before)
        say(f"{file.name} is as it was")
        raise


def with_number(text: str, key: Key, number: int) -> str:
    """The same YAML with that number at that key.

    Raises `ValueError` if anything else would mean something else then.
    """
    wanted = _meaning(text)
    inner = wanted
    for part in key[:-1]:
        inner = inner.setdefault(part, {})
    inner[key[-1]] = number
    result = _put(text, yaml.compose(text, yaml.SafeLoader), key, number)
    if _meaning(result) != wanted:
        raise ValueError(f"{key} has no place of its own")
    return result


def _meaning(text: str) -> Any:
    """What the YAML says, with a copy for each alias."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def _put(text: str, node: Any, key: Key, number: int) -> str:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"no map for {key[0]!r}")
    first, *rest = key
    there: Any = next((value for name, value in node.value if name.value == first), None)
    if there is None:
        return _add(text, node, _entry(key, number))
    if rest:
        return _put(text, there, tuple(rest), number)
    return f"{text[: there.start_mark.index]}{number}{text[there.end_mark.index :]}"


def _entry(key: Key, number: int) -> str:
    """`a: {b: 1}` for the key (a, b)."""
    return "{".join(f"{part}: " for part in key) + str(number) + "}" * (len(key) - 1)


def _add(text: str, node: Any, entry: str) -> str:
    """The text with one more entry at the end of a map."""
    if node.flow_style:
        if not node.value:
            end = node.end_mark.index - 1
            return f"{text[:end]}{entry}{text[end:]}"
        end = node.value[-1][1].end_mark.index
        return f"{text[:end]}, {entry}{text[end:]}"
    lines = text.splitlines(keepends=True)
    last = _last_line(node)
    newline = "\r\n" if lines[last].endswith("\r\n") else "\n"
    if not lines[last].endswith("\n"):
        lines[last] += newline
    lines.insert(last + 1, f"{' ' * node.start_mark.column}{entry}{newline}")
    return "".join(lines)


def _last_line(node: Any) -> int:
    """Of what the node says: its own end is that of the comments after it."""
    values: Sequence[Any] = node.value
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and values:
        last = values[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    end = node.end_mark
    below = end.column == 0 and end.line > node.start_mark.line
    return end.line - 1 if below else end.line
