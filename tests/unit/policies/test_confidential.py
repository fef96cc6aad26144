"""Value files of a Helm release."""

import pytest

from policies.view import UNKNOWN
from tests.unit.policies.resources import RELEASE, findings, resource


@pytest.fixture
def value_file(tmp_path):
    """A Helm value file with two secrets in plain text."""
    path = tmp_path / "values.yaml"
    path.write_text("auth: {token: x, password: y}")
    return {"path": str(path)}


def test_values_of_the_release_override_value_files(value_file):
    values = {"auth": {"password": "in-secret-db"}}
    release = resource(RELEASE, valueYamlFiles=[value_file], values=values)

    found = findings("no-plaintext-secrets", release)
    assert [f.what for f in found] == ["values.auth.token looks like a secret by its name"]


def test_value_files_are_checked_if_the_values_are_unknown(value_file):
    release = resource(RELEASE, valueYamlFiles=[value_file], values=UNKNOWN)
    assert len(findings("no-plaintext-secrets", release)) == 2
