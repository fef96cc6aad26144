import pytest

from policies.view import UNKNOWN, Secret
from tests.unit.policies.resources import (
    CONFIG_MAP,
    DATABASE,
    RELEASE,
    STATEFUL_SET,
    airflow,
    assert_complies,
    breaches,
    findings,
    resource,
)

KUBERNETES_SECRET = "kubernetes:core/v1:Secret"
BY_NAME = "a secret by its name"


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_an_unmarked_value_in_a_secret_is_a_breach(field):
    secret = resource(KUBERNETES_SECRET, **{field: {"user": Secret(), "password": "hunter2"}})
    assert breaches("secrets-encrypted-in-state", secret) == [
        ("it", f"{field}.password is not marked as secret", "Wrap it in pulumi.Output.secret")
    ]


def test_a_secret_with_marked_values_complies():
    secret = resource(KUBERNETES_SECRET, stringData={"a": Secret()}, data=Secret())
    assert_complies("secrets-encrypted-in-state", secret)


def test_a_secret_in_helm_values_is_a_breach():
    env = [{"name": "A", "value": "b"}, {"name": "TOKEN", "value": Secret()}]
    assert breaches("no-secrets-in-helm-values", resource(RELEASE, values={"env": env})) == [
        (
            "it",
            "values.env[1].TOKEN is a secret",
            "Store it in a Kubernetes Secret and reference the Secret",
        )
    ]


def test_helm_values_without_secrets_comply():
    assert_complies("no-secrets-in-helm-values", resource(RELEASE, values={"a": "b"}))


def test_secrets_outside_of_helm_values_comply():
    assert_complies("no-secrets-in-helm-values", resource(DATABASE, password=Secret()))


@pytest.mark.parametrize(
    ("plaintext", "found"),
    [
        (resource(DATABASE, password="hunter2"), f"password looks like {BY_NAME}"),
        (
            resource(RELEASE, values={"auth": {"apiToken": "x"}}),
            f"values.auth.apiToken looks like {BY_NAME}",
        ),
        (
            resource(STATEFUL_SET, env=[{"name": "GIT_TOKEN", "value": "x"}]),
            f"env[0].GIT_TOKEN looks like {BY_NAME}",
        ),
        *(
            (resource(CONFIG_MAP, data={"a": value}), f"data.a looks like {kind}")
            for value, kind in (
                ("AKIAIOSFODNN7EXAMPLE", "an AWS access key"),
                ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
                ("redis://:pw@redis:6379", "a URL with a password"),
                (f"ghp_{'a' * 36}", "a Git host token"),
                ("xoxb-1234567890-abc", "a Slack token"),
            )
        ),
    ],
)
def test_a_secret_in_plain_text_is_a_breach(plaintext, found):
    assert breaches("no-plaintext-secrets", plaintext) == [
        (
            "it",
            found,
            "Store it with `pulumi config set --secret` and pass it in a Kubernetes Secret",
        )
    ]


@pytest.mark.parametrize(
    "harmless",
    [
        resource(DATABASE, password=Secret(), username="airflow", masterUserSecretName=""),
        airflow(user={"password": "in-secret-airflow-admin"}),
        airflow(metadataSecretName="airflow-metadata"),
        resource(STATEFUL_SET, annotations={"checksum/db-password": "0a1b2c"}),
        resource(CONFIG_MAP, data={"url": "https://git@example.com/a:b"}),
        resource(CONFIG_MAP, data={"code": "redis://:${REDIS_PASSWORD}@redis"}),
        resource(CONFIG_MAP, data={"code": "redis://:{password}@redis"}),
        resource(CONFIG_MAP, data={"cert": "-----BEGIN CERTIFICATE-----"}),
    ],
)
def test_marked_secrets_and_placeholders_comply(harmless):
    assert_complies("no-plaintext-secrets", harmless)


def test_kubernetes_secrets_are_left_to_the_other_rule():
    secret = resource(KUBERNETES_SECRET, stringData={"password": "hunter2"})
    assert_complies("no-plaintext-secrets", secret)


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
    assert [f.what for f in found] == [f"values.auth.token looks like {BY_NAME}"]


def test_value_files_are_checked_if_the_values_are_unknown(value_file):
    release = resource(RELEASE, valueYamlFiles=[value_file], values=UNKNOWN)
    assert len(findings("no-plaintext-secrets", release)) == 2
