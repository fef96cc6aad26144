"""Components and stacks on the mock engine of the offline plan."""

import gc
from datetime import date
from functools import cache

import pytest
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2

from components.support import named_secret
from ops import stack_files
from ops.plan import mock_engine, policy_report

PROJECT = "airflow-platform"


def secret_data(snapshot, name):
    """Decrypted data of a Kubernetes Secret."""
    found = snapshot.all("kubernetes:core/v1:Secret")
    (secret,) = [s for s in found if s.inputs["metadata"]["name"] == name]
    return {key: kept.value for key, kept in secret.inputs["stringData"].items()}


def pytest_collection_finish():
    """Exclude the Pulumi SDKs, a large part of the heap, from garbage collection, and collect less."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)


@pytest.fixture(autouse=True, scope="session")
def _fast_programs():
    """Skip work that no test depends on: half of the CPU time of a program."""
    digest = named_secret._digest
    scrypt = cache(lambda name, items: digest(name, dict(items)))
    with pytest.MonkeyPatch.context() as patch:
        # One scrypt per content, not per run.
        patch.setattr(
            named_secret, "_digest", lambda name, c: scrypt(name, tuple(sorted(c.items())))
        )
        # The source position of a resource: a stack trace through pytest.
        patch.setattr(resource, "_get_stack_trace", source_pb2.StackTrace)
        yield


@pytest.fixture(autouse=True)
def _no_kubeconfig(monkeypatch):
    """The Kubernetes provider reads KUBECONFIG from the environment."""
    monkeypatch.delenv("KUBECONFIG", raising=False)


@pytest.fixture(autouse=True)
def _fixed_date(monkeypatch):
    """Support of versions ends on a date: the results must not depend on today."""

    class Day(date):
        @classmethod
        def today(cls):
            return cls(2026, 11, 24)

    monkeypatch.setattr(policy_report, "date", Day)


@pytest.fixture
def deploy():
    """Run a program and return its declared resources, which are complete only at its end."""

    def run(program, stack="test", config=None, secret_keys=()):
        return mock_engine.run(
            program, stack=stack, project=PROJECT, config=config, secret_keys=frozenset(secret_keys)
        )

    return run


@cache
def _declared(stack):
    return stack_files.run_stack(stack)


@pytest.fixture
def stack():
    """Declared resources and settings of a committed stack, from the real program."""
    return _declared


@pytest.fixture
def wire(monkeypatch):
    """Raw engine requests: registrations by name, invokes by token; `Resource` omits some options."""
    sent = {}

    def record(method, key):
        original = getattr(mock_engine._Monitor, method)

        def recorded(monitor, request):
            sent[key(request)] = request
            return original(monitor, request)

        monkeypatch.setattr(mock_engine._Monitor, method, recorded)

    record("RegisterResource", lambda request: request.name)
    record("Invoke", lambda request: request.tok)
    return sent
