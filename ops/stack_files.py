"""Reads a stack file as the Pulumi CLI does, and runs the program of a stack on the mock engine."""

import json
import runpy
import signal
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pulumi
import yaml

from ops.plan.mock_engine import Declaration, run
from settings import Secrets, Settings, load

ROOT = Path(__file__).parents[1]


def stack_names() -> list[str]:
    """The stacks that have a file."""
    return sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))


def stack_path(stack: str) -> Path:
    return ROOT / f"Pulumi.{stack}.yaml"


def project() -> str:
    """Its name is the first part of every key in a stack file."""
    return yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["name"]


def read_stack(stack: str) -> Iterator[tuple[str, str, bool]]:
    """Configuration of a stack as the CLI hands it over: key, text, whether it is secret."""
    path = stack_path(stack)
    if not path.exists():
        known = ", ".join(stack_names())
        raise pulumi.RunError(f"{path.name}: no such stack file; there are {known}")
    try:
        text = path.read_text()
        given = yaml.safe_load(text) or {}
        twice = list(_twice(yaml.compose(text, yaml.SafeLoader)))
    except (yaml.YAMLError, UnicodeDecodeError) as bad:
        raise pulumi.RunError(f"{path.name}: is not YAML: {bad}") from None
    if twice:
        raise pulumi.RunError("\n  ".join([f"{path.name}:", *twice]))
    config = (given.get("config") or {}) if isinstance(given, dict) else None
    if not isinstance(config, dict):
        raise pulumi.RunError(f"{path.name}: should be a map with `config:`, and a map below it")
    for key, value in config.items():
        if isinstance(value, dict) and set(value) == {"secure"}:
            yield str(key), f"decrypted-{key}", True
        else:
            yield (
                str(key),
                value if isinstance(value, str) else json.dumps(value, default=str),
                False,
            )


def _twice(node: Any, above: str = "") -> Iterator[str]:
    """Keys that stand in a map more than once: Python takes the last, the Pulumi CLI refuses them."""
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        path = f"{above}{name}"
        if name in first:
            yield f"{path.removeprefix('config.')}: stands in line {first[name]} and in line {line}; keep one"
        first.setdefault(name, line)
        yield from _twice(value, f"{path}.")


def run_stack(stack: str) -> tuple[Declaration, Settings]:
    """Run the real program of a stack; the settings are those that it read."""
    program: dict[str, Any] = {}
    interrupted = signal.getsignal(signal.SIGINT)
    try:
        declaration = _run_for(
            stack, lambda: program.update(runpy.run_path(str(ROOT / "__main__.py")))
        )
    finally:
        # The program lets Ctrl-C end it at once; whoever reads it here may have something to put right.
        signal.signal(signal.SIGINT, interrupted)
    return declaration, program["stack"]


def read_settings(stack: str) -> Settings:
    """The settings that the program of a stack would read, in a tenth of the time that it takes to run."""
    found: list[Settings] = []
    _run_for(stack, lambda: found.append(load()))
    return found[0]


def _run_for(stack: str, program: Callable[[], None]) -> Declaration:
    """Run a program with the configuration of a stack."""
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
    """A misspelt secret would be generated instead of taken."""
    known = ["settings", *(field.name for field in fields(Secrets))]
    of_project = [key for key in keys if key.startswith(f"{project}:")]
    unknown = [key for key in of_project if key.partition(":")[2] not in known]
    if unknown:
        lines = "\n".join(
            f"  {key}: is not a known key; there are {', '.join(known)}" for key in unknown
        )
        raise pulumi.RunError(f"Pulumi.{stack}.yaml:\n{lines}")
