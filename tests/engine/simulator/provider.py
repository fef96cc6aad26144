"""The `aws` provider, at Pulumi's provider protocol.

https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto
This module implements the logic of the provider (names, tags, diffs); `cloud` implements AWS.
"""

import json
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import grpc
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from policies.view import at
from tests.engine.simulator import refusals, schema
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.faults import Faults
from tests.engine.simulator.resources import LOOKUPS, RESOURCES
from tests.engine.simulator.resources.kind import Resource
from tests.engine.simulator.values import (
    UNKNOWN,
    decode,
    encode,
    has_unknown,
    is_secret,
    plain,
    secret,
)

# Length of the random suffix of auto-names:
# https://www.pulumi.com/docs/iac/concepts/resources/names/
SUFFIX_HEX_DIGITS = 7

# Fields that AWS computes inside an input object, by type.
COMPUTED_INSIDE = {
    "aws:eks/cluster:Cluster": {"vpcConfig": {"clusterSecurityGroupId", "vpcId"}},
}
# Inputs that AWS fills in if the program does not set them: no change then.
OPTIONAL_INSIDE = {
    "aws:eks/cluster:Cluster": {"vpcConfig": {"publicAccessCidrs"}},
}

Diff = provider_pb2.PropertyDiff


class StepError(Exception):
    """The engine prints it as the reason of a failed step."""


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, cloud: Cloud, faults: Faults) -> None:
        self.cloud = cloud
        self.faults = faults
        self.default_tags: dict[str, str] = {}
        self.cancelled = threading.Event()

    # --- the provider itself

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=version("pulumi-aws"))

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        region = plain(decode(request.news)).get("region")
        failures = []
        if region is not UNKNOWN and region != self.cloud.region:
            reason = f"the simulated account is in {self.cloud.region}, got {region!r}"
            failures = [provider_pb2.CheckFailure(property="region", reason=reason)]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        tags = plain(decode(request.args)).get("defaultTags") or {}
        # The engine sends provider configuration as JSON strings.
        tags = json.loads(tags) if isinstance(tags, str) else tags
        self.default_tags = tags.get("tags") or {}
        self.cancelled.clear()
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:
        self.cancelled.set()
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        lookup = LOOKUPS.get(request.tok)
        if lookup is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{request.tok} is not simulated")
        with _reasons(context, f"looking up {request.tok}"):
            answer: dict[str, Any] = {
                "return": encode(lookup(self.cloud, plain(decode(request.args))))
            }
            return provider_pb2.InvokeResponse(**answer)

    def _cloud(self, values: dict[str, Any]) -> Cloud:
        """The account in the Region of a resource, by default that of the provider."""
        return self.cloud.in_region(plain(values).get("region"))

    # --- resources

    def Check(self, request: Any, context: Any) -> Any:
        token, kind = self._kind(request, context)
        raw = decode(request.news)
        if kind.autoname and kind.autoname not in raw:
            old = decode(request.olds).get(kind.autoname)
            raw[kind.autoname] = old or _auto_name(request.urn, request.randomSeed)
        inputs = plain(raw)
        refused = schema.refused(token, inputs)
        if not refused:
            tagged = schema.takes(token, "tags")
            tags = {"tags": {**self.default_tags, **(inputs.get("tags") or {})}} if tagged else {}
            refused = refusals.refused(token, {**inputs, **tags})
        failures = [
            provider_pb2.CheckFailure(property=r.property, reason=r.reason) for r in refused
        ]
        return provider_pb2.CheckResponse(inputs=encode(raw), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        token, kind = self._kind(request, context)
        old, new = plain(decode(request.old_inputs)), plain(decode(request.news))
        for key, names in OPTIONAL_INSIDE.get(token, {}).items():
            if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
                old[key] = _without(old[key], names - new[key].keys())
        ignored = set(request.ignoreChanges)
        changed = {
            key
            for key in old.keys() | new.keys()
            if key not in ignored and not _same(old.get(key), new.get(key))
        }
        state = plain(decode(request.olds))
        for key in (kind.lagging & new.keys() & state.keys()) - ignored:
            if not _same(state[key], new[key]):
                changed.add(key)
        if schema.takes(token, "tags"):
            before = state.get("tagsAll") or {}
            if before != {**self.default_tags, **(new.get("tags") or {})}:
                changed.add("tagsAll")
        fixed = {path.partition(".")[0] for path in kind.unchangeable if _rewritten(path, old, new)}
        replaces = changed & (kind.replaces | fixed | {"region"})
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME
            if changed
            else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted(changed),
            replaces=sorted(replaces),
            hasDetailedDiff=True,
            detailedDiff={
                key: Diff(kind=_diff_kind(key, old, new, key in replaces), inputDiff=True)
                for key in changed
            },
        )

    def Create(self, request: Any, context: Any) -> Any:
        token, kind = self._kind(request, context)
        raw = self._tagged(token, decode(request.properties))
        if request.preview:
            unknown = dict.fromkeys(schema.outputs(token), UNKNOWN)
            inside = {
                key: {**dict.fromkeys(names, UNKNOWN), **raw.get(key, {})}
                for key, names in COMPUTED_INSIDE.get(token, {}).items()
            }
            return provider_pb2.CreateResponse(properties=encode({**unknown, **raw, **inside}))
        with self._step("create", request, context):
            id_, computed = kind.create(self._cloud(raw), plain(raw))
        return provider_pb2.CreateResponse(id=id_, properties=encode(_outputs(kind, raw, computed)))

    def Read(self, request: Any, context: Any) -> Any:
        token, kind = self._kind(request, context)
        raw, inputs = decode(request.properties), decode(request.inputs)
        if not raw and kind.imported is not None:
            raw = inputs = kind.imported(request.id)
        with self._step("read", request, context):
            actual = kind.current(self._cloud(raw), request.id, plain(raw))
        if actual is None:
            return provider_pb2.ReadResponse(id="", properties=encode({}))
        state = _outputs(kind, raw, actual)
        inside = COMPUTED_INSIDE.get(token, {})
        seen = {
            key: _without(state.get(key), inside.get(key, set())) if key in actual else value
            for key, value in inputs.items()
        }
        return provider_pb2.ReadResponse(
            id=request.id, properties=encode(state), inputs=encode(seen)
        )

    def Update(self, request: Any, context: Any) -> Any:
        token, kind = self._kind(request, context)
        raw = self._tagged(token, decode(request.news))
        old = decode(request.olds)
        if request.preview:
            inside = {
                key: {**old.get(key, {}), **raw.get(key, {})}
                for key in COMPUTED_INSIDE.get(token, {})
            }
            return provider_pb2.UpdateResponse(properties=encode({**old, **raw, **inside}))
        with self._step("update", request, context):
            if kind.update is None:
                raise StepError("the type has no property that changes in place")
            computed = kind.update(self._cloud(old), request.id, plain(old), plain(raw))
        gone = decode(request.old_inputs).keys() - raw.keys()
        kept = {key: value for key, value in old.items() if key not in gone}
        return provider_pb2.UpdateResponse(
            properties=encode(_outputs(kind, {**kept, **raw}, computed))
        )

    def Delete(self, request: Any, context: Any) -> Any:
        _, kind = self._kind(request, context)
        state = decode(request.properties)
        with self._step("delete", request, context):
            kind.remove(self._cloud(state), request.id, plain(state))
        return empty_pb2.Empty()

    @contextmanager
    def _step(self, operation: str, request: Any, context: Any) -> Iterator[None]:
        """One operation on a resource, with injected faults."""
        token, name = _token(request.urn), _name(request.urn)
        with (
            _reasons(context, f"{operation} {token} {name!r}"),
            self.faults.around(operation, token, name, self.cancelled),
        ):
            yield

    def _kind(self, request: Any, context: Any) -> tuple[str, Resource]:
        token = _token(request.urn)
        if token not in RESOURCES:
            # A test must not pass on a resource that is not simulated.
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED, f"{token} is not simulated: add it to RESOURCES"
            )
        return token, RESOURCES[token]

    def _tagged(self, token: str, raw: dict[str, Any]) -> dict[str, Any]:
        if not schema.takes(token, "tags"):
            return raw
        return {**raw, "tagsAll": {**self.default_tags, **(raw.get("tags") or {})}}


@contextmanager
def _reasons(context: Any, doing: str) -> Iterator[None]:
    """Turn an AWS error into the message of a failed step."""
    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        details = f"api error {details.get('Code')}: {details.get('Message')}"
        reason = f"operation error {error.operation_name}, {details}"
    except (BotoCoreError, StepError) as error:
        reason = str(error)
    else:
        return
    context.abort(grpc.StatusCode.UNKNOWN, f"{doing}: {reason}")


def _outputs(kind: Resource, raw: dict[str, Any], computed: dict[str, Any]) -> dict[str, Any]:
    """The outputs for the state: secret inputs stay secret."""
    state = dict(raw)
    for key, value in computed.items():
        if key in raw and _same(plain(raw[key]), value):
            continue
        hidden = key in kind.secrets or is_secret(raw.get(key))
        state[key] = secret(value) if hidden else value
    for key in kind.secrets & state.keys():
        if not is_secret(state[key]):
            state[key] = secret(state[key])
    return state


def _without(value: Any, names: set[str]) -> Any:
    return {k: v for k, v in value.items() if k not in names} if names else value


def _same(old: Any, new: Any) -> bool:
    return old == new and not has_unknown(new)


def _rewritten(path: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a path had a value and has another one."""
    before = at(old, path)
    return bool(before) and before != at(new, path)


def _diff_kind(key: str, old: dict[str, Any], new: dict[str, Any], replaces: bool) -> Any:
    kind = "UPDATE" if key in old and key in new else "ADD" if key in new else "DELETE"
    if key == "tagsAll":
        kind = "UPDATE"
    return Diff.Kind.Value(f"{kind}_REPLACE" if replaces else kind)


def _token(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _auto_name(urn: str, seed: bytes) -> str:
    return f"{_name(urn)}-{seed.hex()[:SUFFIX_HEX_DIGITS]}"


def start(provider: Provider, port: int = 0) -> tuple[grpc.Server, int]:
    """Serve on loopback: the server and its port."""
    server = grpc.server(futures.ThreadPoolExecutor(32))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound
