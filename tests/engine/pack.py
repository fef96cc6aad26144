"""The policy pack as the Pulumi engine runs it: a process with its own environment, over gRPC."""

import json
import os
import subprocess
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from ops import stack_files
from ops.plan import mock_engine

ROOT = Path(__file__).parents[2]


@contextmanager
def started(stack: str, **policies: Any) -> Generator[analyzer_pb2_grpc.AnalyzerStub]:
    """The pack for a stack, with changes to its section `policies`."""
    # Creates the environment of the pack on first use.
    subprocess.run(["make", "--no-print-directory", "policy-pack"], cwd=ROOT, check=True)
    config = {key: text for key, text, _ in stack_files.read_stack(stack)}
    settings = json.loads(config["airflow-platform:settings"])
    settings["policies"] = {**settings["policies"], **policies}
    config["airflow-platform:settings"] = json.dumps(settings)
    environment = {
        **os.environ,
        "PULUMI_PROJECT": "airflow-platform",
        "PULUMI_STACK": stack,
        "PULUMI_DRY_RUN": "true",
        "PULUMI_CONFIG": json.dumps(config),
    }
    # The engine starts a pack with the pack's folder as its program.
    command = [str(ROOT / "policies/.venv/bin/python"), str(ROOT / "policies")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            process.kill()


def request(resources: Iterable[mock_engine.Resource]) -> analyzer_pb2.AnalyzeStackRequest:
    """A request to analyze the resources of a stack."""
    return analyzer_pb2.AnalyzeStackRequest(resources=map(_resource, resources))


def _resource(declared: mock_engine.Resource) -> analyzer_pb2.AnalyzerResource:
    """A resource as the engine sends it to an analyzer."""
    return analyzer_pb2.AnalyzerResource(
        type=declared.type,
        urn=declared.urn,
        name=declared.name,
        parent=declared.parent,
        properties=json_format.ParseDict(plain(declared.inputs), struct_pb2.Struct()),
        options=analyzer_pb2.AnalyzerResourceOptions(protect=declared.protect),
        provider=analyzer_pb2.AnalyzerProviderResource(urn=declared.provider.rpartition("::")[0]),
        dependencies=sorted(declared.depends_on),
    )


def plain(value: Any) -> Any:
    """Unwrap secrets: the engine sends their values to analyzers."""
    if isinstance(value, mock_engine.Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value
