"""Runs a program on Pulumi's mock engine, and keeps everything that it declares.

Pulumi's own mocks see neither options (`protect`, `parent`, `depends_on`) nor exports, and forget that
some outputs are secret. The monitor below reads them from the requests instead.
"""

import asyncio
import contextvars
import json
import logging
import runpy
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pulumi
import yaml
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import mocks
from pulumi.runtime import settings as runtime
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_in_stack

from plan import cloud
from settings import Secrets, Settings, load

ROOT = Path(__file__).parents[1]
STACK_TYPE = "pulumi:pulumi:Stack"
# How secrets and resources travel: pulumi.runtime.rpc has the same marks, under private names.
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a mark, no secret
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"


@dataclass(frozen=True)
class Secret:
    """A secret value: it prints as [secret], `value` is for tests."""

    value: Any

    def __repr__(self) -> str:
        return "[secret]"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A resource as the program declares it. Secret `inputs` are `Secret`s."""

    urn: str
    type: str
    name: str
    parent: str
    inputs: dict[str, Any]
    protect: bool
    provider: str
    depends_on: frozenset[str]
    delete_before_replace: bool


@dataclass
class Declaration:
    """All that one run of a program declares."""

    resources: dict[str, Declared] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def all(self, type: str) -> list[Declared]:
        return [r for r in self.resources.values() if r.type == type]

    def one(self, type: str, name: str | None = None) -> Declared:
        """The only resource of that type, or of that type and name."""
        found = [r for r in self.all(type) if name in (None, r.name)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} of {type} {name or ''}: {[r.name for r in found]}")
        return found[0]

    def children(self, urn: str) -> list[Declared]:
        inside = [r for r in self.resources.values() if r.parent == urn]
        return sorted(inside, key=lambda r: (r.type, r.name))

    def waits_for(self, urn: str) -> set[str]:
        """URNs that must be there first: dependencies, parents, providers, and what those wait for."""
        seen: set[str] = set()
        todo = [urn]
        while todo:
            resource = self.resources.get(todo.pop())
            if resource is None:
                continue
            before = {resource.parent, resource.provider.rpartition("::")[0], *resource.depends_on}
            todo += before - seen
            seen |= before
        return seen & self.resources.keys()


class _Warnings(logging.Handler):
    """Keeps what the program warns of; anything else that it logs is logged as ever."""

    def __init__(self, declaration: Declaration) -> None:
        super().__init__()
        self.declaration = declaration

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            self.declaration.warnings.append(record.getMessage())
        else:
            logging.getLogger().handle(record)


class _Monitor(mocks.MockMonitor):
    def __init__(self, declaration: Declaration) -> None:
        nothing: Any = None  # what Pulumi's monitor would ask, this one answers
        super().__init__(nothing)
        self.declaration = declaration
        self.lock = threading.Lock()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        raw = json_format.MessageToDict(request.object)
        with self.lock:
            if urn in self.declaration.resources:
                raise ValueError(f"two resources are named {urn}")
            self.declaration.resources[urn] = Declared(
                urn=urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                inputs=_plain(raw),
                protect=request.protect,
                provider=request.provider,
                depends_on=frozenset(request.dependencies) | _references(raw),
                delete_before_replace=request.deleteBeforeReplace,
            )
        computed = cloud.COMPUTED.get(request.type, lambda *_: {})
        state = {**raw, **computed(request.name, _plain(raw))}
        for name, (kind, outputs) in cloud.CHILDREN.get(request.type, {}).items():
            state[name] = self._child(urn, kind, request.name, outputs(request.name))
        for name in request.additionalSecretOutputs:
            if name in state:
                state[name] = {SIGNATURE: SECRET, "value": state[name]}
        id_ = f"{request.name}-id" if request.custom else ""
        self.resources[urn] = mocks.MockMonitor.ResourceRegistration(urn, id_, state)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=_struct(state))

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        if request.tok == "pulumi:pulumi:getResource":
            values = self.resources[request.args["urn"]]._asdict()
        else:
            values = cloud.LOOKUPS[request.tok]
        # `return` is a keyword of Python.
        answer: dict[str, Any] = {"return": _struct(values)}
        return resource_pb2.ResourceInvokeResponse(**answer)

    def _child(self, parent: str, kind: str, name: str, outputs: dict[str, Any]) -> dict[str, str]:
        urn = self.make_urn(parent, kind, name)
        id_ = f"{name}-id"
        self.resources[urn] = mocks.MockMonitor.ResourceRegistration(urn, id_, outputs)
        return {SIGNATURE: RESOURCE, "urn": urn, "id": id_, "packageVersion": ""}

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        if request.urn.split("::")[2] == STACK_TYPE:
            self.declaration.exports = _plain(json_format.MessageToDict(request.outputs))
        return empty_pb2.Empty()


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


def _plain(raw: Any) -> Any:
    """Values as the program gave them: secrets masked, resources by URN, whole numbers whole."""
    if isinstance(raw, dict):
        if raw.get(SIGNATURE) == SECRET:
            value = _plain(raw.get("value"))
            # Of a secret map the keys are known: which Secret has which key is worth a test.
            if isinstance(value, dict):
                return {key: Secret(inner) for key, inner in value.items()}
            return Secret(value)
        if raw.get(SIGNATURE) == RESOURCE:
            return raw["urn"]
        return {key: _plain(value) for key, value in raw.items()}
    if isinstance(raw, list):
        return [_plain(value) for value in raw]
    return int(raw) if isinstance(raw, float) and raw.is_integer() else raw


def _references(raw: Any) -> frozenset[str]:
    """Resources inside the inputs: those of a remote component are not among its dependencies."""
    if isinstance(raw, dict):
        if raw.get(SIGNATURE) == RESOURCE:
            return frozenset({raw["urn"]})
        return frozenset().union(*map(_references, raw.values()))
    if isinstance(raw, list):
        return frozenset().union(*map(_references, raw))
    return frozenset()


def run(
    program: Callable[[], None],
    *,
    stack: str,
    project: str,
    config: dict[str, str] | None = None,
    secret_keys: frozenset[str] = frozenset(),
) -> Declaration:
    """Run `program` to its end. Raises what it raises; `pulumi.RunError` is a mistake of the user."""
    declaration = Declaration()
    # Pulumi's debug messages would bury the reason of a failing test.
    logger = logging.Logger(__name__, logging.INFO)
    logger.addHandler(_Warnings(declaration))

    async def main() -> None:
        monitor = _Monitor(declaration)
        # Not `set_mocks`: it registers a stack of its own, whose empty exports race with those of
        # the program. `outputs` and `package_refs` are global unless they are set.
        runtime.configure(
            mocks.MockSettings(
                monitor=monitor,
                engine=mocks.MockEngine(logger),
                project=project,
                stack=stack,
                dry_run=False,
                organization=None,
                callbacks=None,
                outputs=set(),
                package_refs={},
            )
        )
        set_all_config(config or {}, list(secret_keys))
        try:
            await run_in_stack(program)
        except BaseException:
            # Every output that depends on the failed one would print the same traceback again.
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            raise

    # Settings, configuration and the root resource of Pulumi are context variables.
    contextvars.Context().run(lambda: asyncio.run(main()))
    return declaration


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
