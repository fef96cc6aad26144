"""Conversion of property values between Pulumi's wire format and Python."""

from typing import Any

from google.protobuf import json_format, struct_pb2

# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/plugin/rpc.go
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN_MARKER = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """A value that a preview cannot know: an output of a resource that does not exist yet."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


def plain(raw: Any) -> Any:
    """Python values: secrets unwrapped, unknown values as `UNKNOWN`, integral floats as int."""
    if isinstance(raw, dict):
        if is_secret(raw):
            return plain(raw.get("value"))
        return {key: plain(value) for key, value in raw.items()}
    if isinstance(raw, list):
        return [plain(value) for value in raw]
    if raw == UNKNOWN_MARKER:
        return UNKNOWN
    return int(raw) if isinstance(raw, float) and raw.is_integer() else raw


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A message with its markers for secrets and unknown values."""
    return json_format.MessageToDict(struct)


def encode(values: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(_with_markers(values), struct_pb2.Struct())


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


def is_secret(raw: Any) -> bool:
    return isinstance(raw, dict) and raw.get(SIGNATURE) == SECRET


def has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(has_unknown, value))
    return value is UNKNOWN or value == UNKNOWN_MARKER


def _with_markers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_markers(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_with_markers(inner) for inner in value]
    return UNKNOWN_MARKER if value is UNKNOWN else value
