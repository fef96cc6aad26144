"""Reads a stack file like the Pulumi CLI, and runs the program of a stack on the mock engine."""

import json
import re
import runpy
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pulumi
import yaml

from ops.plan.mock_engine import StackSnapshot, run
from settings import Secrets, Settings, load
from settings.dags import REPOSITORY_LOGIN

ROOT = Path(__file__).parents[1]


def stack_names() -> list[str]:
    """Stacks with a stack file in this checkout."""
    return sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))


def stack_path(stack: str) -> Path:
    return ROOT / f"Pulumi.{stack}.yaml"


def project() -> str:
    """Name of the Pulumi project: the namespace of its keys in a stack file."""
    return yaml.load((ROOT / "Pulumi.yaml").read_text(), Loader=yaml.CSafeLoader)["name"]


def read_stack(stack: str) -> Iterator[tuple[str, str, bool]]:
    """Configuration of a stack as the CLI passes it: key, text, whether it is secret."""
    path = stack_path(stack)
    if not path.exists():
        known = ", ".join(stack_names())
        raise pulumi.RunError(f"{path.name}: no such stack file. Stacks: {known}")
    try:
        # Of libyaml: the Python parser takes 15 times as long.
        loader = yaml.CSafeLoader(path.read_text())
        node = loader.get_single_node()
        given = (loader.construct_document(node) if node else None) or {}
        duplicates = list(_duplicate_keys(node))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise pulumi.RunError(f"{path.name}: invalid YAML: {error}") from None
    if duplicates:
        raise pulumi.RunError("\n  ".join([f"{path.name}:", *duplicates]))
    config = (given.get("config") or {}) if isinstance(given, dict) else None
    if not isinstance(config, dict):
        raise pulumi.RunError(f"{path.name}: must be a map with a map under `config`")
    for key, value in config.items():
        if isinstance(value, dict) and set(value) == {"secure"}:
            yield str(key), f"decrypted-{key}", True
        else:
            yield (
                str(key),
                value if isinstance(value, str) else json.dumps(value, default=str),
                False,
            )


def _duplicate_keys(node: Any, parent: str = "") -> Iterator[str]:
    """Keys that a map defines twice: PyYAML takes the last one, the Pulumi CLI rejects them."""
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key_node, value in node.value:
        name, line = str(key_node.value), key_node.start_mark.line + 1
        path = f"{parent}{name}"
        if name in first:
            key = path.removeprefix("config.")
            yield f"{key}: defined in line {first[name]} and in line {line}; keep one"
        first.setdefault(name, line)
        yield from _duplicate_keys(value, f"{path}.")


@contextmanager
def restored_on_failure(file: Path) -> Generator[None]:
    """A change of a stack file that the checks after it may refuse."""
    before = file.read_bytes()
    try:
        yield
    except BaseException:  # Ctrl-C, too
        file.write_bytes(before)
        print(f"{file.name} is unchanged")
        raise


def run_stack(stack: str) -> tuple[StackSnapshot, Settings]:
    """Run the program of a stack. Returns what it declares, and its settings."""
    program: dict[str, Any] = {}
    handler = signal.getsignal(signal.SIGINT)
    try:
        snapshot = _run_for(
            stack, lambda: program.update(runpy.run_path(str(ROOT / "__main__.py")))
        )
    finally:
        # The program resets the handler, but the caller may have to clean up after Ctrl-C.
        signal.signal(signal.SIGINT, handler)
    return snapshot, program["stack"]


def read_settings(stack: str, *, copies: bool = True) -> Settings:
    """Settings of a stack, ten times as fast as `run_stack`."""
    found: list[Settings] = []
    _run_for(stack, lambda: found.append(load(copies=copies)))
    return found[0]


def _run_for(stack: str, program: Callable[[], None]) -> StackSnapshot:
    """Run `program` with the configuration of a stack."""
    entries = list(read_stack(stack))
    name = project()
    _refuse_unknown_keys(stack, name, [key for key, _, _ in entries])
    return run(
        program,
        stack=stack,
        project=name,
        config={key: text for key, text, _ in entries},
        secret_keys=frozenset(key for key, _, secret in entries if secret),
    )


def _refuse_unknown_keys(stack: str, project: str, keys: list[str]) -> None:
    """Reject misspelt secrets: the program would generate them instead."""
    known = ["settings", *(field.name for field in fields(Secrets))]
    of_project = [key for key in keys if key.startswith(f"{project}:")]
    unknown = [
        key
        for key in of_project
        if (name := key.partition(":")[2]) not in known and not re.fullmatch(REPOSITORY_LOGIN, name)
    ]
    if unknown:
        lines = "\n".join(
            f"  {key}: is not a known key. Keys: {', '.join(known)}" for key in unknown
        )
        raise pulumi.RunError(f"Pulumi.{stack}.yaml:\n{lines}")
