from policies.view import Secret
from tests.unit.policies.resources import (
    CONFIG_MAP,
    DATABASE,
    RELEASE,
    STATEFUL_SET,
    airflow,
    resource,
)

KUBERNETES_SECRET = "kubernetes:core/v1:Secret"
BY_NAME = "looks like a secret by its name"
ENV = [{"name": "A", "value": "b"}, {"name": "TOKEN", "value": Secret()}]
PLAINTEXT = {
    "AKIAIOSFODNN7EXAMPLE": "an AWS access key",
    "-----BEGIN RSA PRIVATE KEY-----": "a private key",
    "redis://:pw@redis:6379": "a URL with a password",
    f"ghp_{'a' * 36}": "a Git host token",
    "xoxb-1234567890-abc": "a Slack token",
}


def config(text):
    return resource(CONFIG_MAP, data={"a": text})


def secret(field):
    return resource(KUBERNETES_SECRET, **{field: {"user": Secret(), "password": "hunter2"}})


BREACHES = {
    "secrets-encrypted-in-state": {
        "Wrap it in pulumi.Output.secret": [
            ("data.password is not marked as secret", secret("data")),
            ("stringData.password is not marked as secret", secret("stringData")),
        ],
    },
    "no-secrets-in-helm-values": {
        "Store it in a Kubernetes Secret and reference the Secret": [
            ("values.env[1].TOKEN is a secret", resource(RELEASE, values={"env": ENV}))
        ],
    },
    "no-plaintext-secrets": {
        "Store it with `pulumi config set --secret` and pass it in a Kubernetes Secret": [
            (f"password {BY_NAME}", resource(DATABASE, password="hunter2")),
            (
                f"values.auth.apiToken {BY_NAME}",
                resource(RELEASE, values={"auth": {"apiToken": "x"}}),
            ),
            (
                f"env[0].GIT_TOKEN {BY_NAME}",
                resource(STATEFUL_SET, env=[{"name": "GIT_TOKEN", "value": "x"}]),
            ),
            *((f"data.a looks like {kind}", config(text)) for text, kind in PLAINTEXT.items()),
        ],
    },
}

COMPLIANT = {
    "secrets-encrypted-in-state": {
        "marked": resource(KUBERNETES_SECRET, stringData={"a": Secret()}, data=Secret())
    },
    "no-secrets-in-helm-values": {
        "no secret": resource(RELEASE, values={"a": "b"}),
        "outside of Helm": resource(DATABASE, password=Secret()),
    },
    "no-plaintext-secrets": {
        "marked": resource(
            DATABASE, password=Secret(), username="airflow", masterUserSecretName=""
        ),
        "name of a Secret": airflow(metadataSecretName="airflow-metadata"),
        "reference to a Secret": airflow(user={"password": "in-secret-airflow-admin"}),
        "checksum": resource(STATEFUL_SET, annotations={"checksum/db-password": "0a1b2c"}),
        "URL without a password": config("https://git@example.com/a:b"),
        "shell variable": config("redis://:${REDIS_PASSWORD}@redis"),
        "placeholder": config("redis://:{password}@redis"),
        "certificate": config("-----BEGIN CERTIFICATE-----"),
        "left to secrets-encrypted-in-state": secret("stringData"),
    },
}
