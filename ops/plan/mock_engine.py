"""Runs a program on Pulumi's mock engine, and records everything that it declares.

Pulumi's mocks record neither options (`protect`, `parent`, `depends_on`) nor exports, and lose the
secret marks of outputs. The monitor below reads them from the gRPC requests instead.
"""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import mocks
from pulumi.runtime import settings as runtime
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_in_stack

from ops.plan import fake_cloud
from policies.view import Resource, Secret

STACK_TYPE = "pulumi:pulumi:Stack"
# Signatures of serialized secrets and resources; private constants in pulumi.runtime.rpc.
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a signature
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"


@dataclass
class StackSnapshot:
    """Everything that one run of a program declares."""

    resources: dict[str, Resource] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def all(self, type: str) -> list[Resource]:
        return [r for r in self.resources.values() if r.type == type]

    def one(self, type: str, name: str | None = None) -> Resource:
        """The only resource of a type, or of a type and name."""
        found = [r for r in self.all(type) if name in (None, r.name)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} of {type} {name or ''}: {[r.name for r in found]}")
        return found[0]

    def children(self, urn: str) -> list[Resource]:
        children = [r for r in self.resources.values() if r.parent == urn]
        return sorted(children, key=lambda r: (r.type, r.name))

    def waits_for(self, urn: str) -> set[str]:
        """URNs of the transitive dependencies: `depends_on`, inputs, parents and providers."""
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
    """Records the warnings of the program; forwards other records to the root logger."""

    def __init__(self, snapshot: StackSnapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            self.snapshot.warnings.append(record.getMessage())
        else:
            logging.getLogger().handle(record)


class _Monitor(mocks.MockMonitor):
    def __init__(self, snapshot: StackSnapshot) -> None:
        no_mocks: Any = None  # the overridden methods do not use them
        super().__init__(no_mocks)
        self.snapshot = snapshot
        self.lock = threading.Lock()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        raw = json_format.MessageToDict(request.object)
        with self.lock:
            if urn in self.snapshot.resources:
                raise ValueError(f"two resources are named {urn}")
            self.snapshot.resources[urn] = Resource(
                urn=urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                inputs=_plain(raw),
                protect=request.protect,
                provider=request.provider,
                depends_on=frozenset(request.dependencies) | _references(raw),
                delete_before_replace=request.deleteBeforeReplace,
                ignore_changes=tuple(request.ignoreChanges),
                aliases=frozenset(alias.spec.name for alias in request.aliases),
            )
        computed = fake_cloud.COMPUTED.get(request.type, lambda *_: {})
        state = {**raw, **computed(request.name, _plain(raw))}
        for name, (kind, outputs) in fake_cloud.CHILDREN.get(request.type, {}).items():
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
            values = fake_cloud.LOOKUPS[request.tok]
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
            self.snapshot.exports = _plain(json_format.MessageToDict(request.outputs))
        return empty_pb2.Empty()


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


def _plain(raw: Any) -> Any:
    """Values as the program passed them: secrets masked, resources as URNs, integers as int."""
    if isinstance(raw, dict):
        if raw.get(SIGNATURE) == SECRET:
            value = _plain(raw.get("value"))
            # Keys of a secret map stay visible: tests check which Secret has which key.
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
    """Resources in the inputs: a remote component does not list them as dependencies."""
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
) -> StackSnapshot:
    """Run `program`. Raises its exceptions; a `pulumi.RunError` is a user error."""
    snapshot = StackSnapshot()
    # Without Pulumi's debug messages the reason of a failing test stays visible.
    logger = logging.Logger(__name__, logging.INFO)
    logger.addHandler(_Warnings(snapshot))

    async def main() -> None:
        monitor = _Monitor(snapshot)
        # `set_mocks` would register a second stack, whose empty exports race with those of the
        # program. `outputs` and `package_refs` are global unless they are set.
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
            # Otherwise every dependent output prints the same traceback.
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            raise

    # Pulumi keeps settings, configuration and the root resource in context variables.
    contextvars.Context().run(lambda: asyncio.run(main()))
    return snapshot
