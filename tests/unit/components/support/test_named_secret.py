import hashlib

import pulumi
import pytest

from components.support.named_secret import annotations, named_secret
from ops.plan.mock_engine import Secret
from tests.unit.conftest import secret_data


def checksum(deploy, data, name="airflow-x"):
    def program():
        secret = named_secret("x", name=name, namespace="airflow", data=data, opts=None)
        pulumi.export("annotations", annotations(secret))

    return deploy(program).exports["annotations"][f"checksum/{name}"]


def test_the_secret_has_the_given_name(deploy):
    def program():
        named_secret("x", name="airflow-x", namespace="airflow", data={"key": "value"}, opts=None)

    snapshot = deploy(program)
    metadata = snapshot.one("kubernetes:core/v1:Secret", "x").inputs["metadata"]
    assert metadata == {"name": "airflow-x", "namespace": "airflow"}
    assert secret_data(snapshot, "airflow-x") == {"key": "value"}


@pytest.mark.parametrize(
    ("changed", "restarts"),
    [
        ({"b": "2", "a": "1"}, False),
        ({"a": "1", "b": "3"}, True),
        ({"a": "1", "c": "2"}, True),
        ({"a": "2", "b": "1"}, True),
        ({"a": "1"}, True),
    ],
    ids=["order", "value", "key", "swapped values", "missing key"],
)
def test_the_checksum_changes_only_with_the_content(deploy, changed, restarts):
    before = checksum(deploy, {"a": "1", "b": "2"})

    assert (checksum(deploy, changed) != before) is restarts


def test_equal_contents_have_different_checksums(deploy):
    assert checksum(deploy, {"a": "1"}) != checksum(deploy, {"a": "1"}, name="airflow-y")


def test_a_checksum_is_not_secret(deploy):
    def program():
        data = {"password": pulumi.Output.secret("hunter2")}
        secret = named_secret("x", name="airflow-x", namespace="airflow", data=data, opts=None)
        pulumi.export("checksum", secret.checksum)

    snapshot = deploy(program)
    assert isinstance(secret_data(snapshot, "airflow-x")["password"], str)
    shown = snapshot.exports["checksum"]
    assert not isinstance(shown, Secret), "a secret annotation makes all chart values secret"
    assert bytes.fromhex(shown)


def test_the_checksum_is_expensive_to_brute_force(deploy, monkeypatch):
    costs = []

    def scrypt(password, **parameters):
        costs.append(parameters["n"] * parameters["r"])
        return b"digest"

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    assert checksum(deploy, {"password": "short"}) == b"digest".hex()
    assert costs == [2**15]
