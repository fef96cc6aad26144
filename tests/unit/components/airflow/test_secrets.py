import base64
from dataclasses import fields
from urllib.parse import unquote, urlsplit

import pulumi
import pytest

from components.airflow.secrets import AirflowSecrets, AirflowSecretsArgs
from settings import Secrets
from settings.rotation import RotationSettings
from tests.unit.conftest import secret_data

PASSWORD = "pw"
GENERATED = "random:index/randomPassword:RandomPassword"


@pytest.fixture
def secrets(deploy):
    """The Secrets by name, each as its content in the clear."""

    def make(
        *,
        password=PASSWORD,
        database_tls=True,
        for_keda=True,
        rotation=None,
        **configured,
    ):
        def program():
            given = {f.name: None for f in fields(Secrets)}
            given |= {key: pulumi.Output.secret(value) for key, value in configured.items()}
            AirflowSecrets(
                "s",
                AirflowSecretsArgs(
                    namespace="airflow",
                    database_host="db.example",
                    database_password=pulumi.Output.secret(password),
                    database_tls=database_tls,
                    redis_host="redis.example",
                    redis_password=pulumi.Output.secret(password),
                    for_keda=for_keda,
                    rotation=RotationSettings(**rotation or {}),
                    configured=Secrets(**given),
                ),
            )

        return deploy(program)

    return make


VERIFIED = "?sslmode=verify-full&sslrootcert=/etc/rds-ca/ca.pem"


@pytest.mark.parametrize(("tls", "options"), [(True, VERIFIED), (False, "")], ids=["tls", "plain"])
@pytest.mark.parametrize(
    ("secret", "login"),
    [
        ("airflow-metadata", "postgresql+psycopg2://airflow:pw"),
        ("airflow-keda", "postgresql://airflow_keda:s-keda-password-1"),
    ],
)
def test_the_certificate_of_the_database_is_verified_where_there_is_one(
    secrets, secret, login, tls, options
):
    connection = secret_data(secrets(database_tls=tls), secret)["connection"]

    assert connection == f"{login}@db.example:5432/airflow{options}"


def test_keda_has_a_password_of_its_own_that_rotates_alone(secrets):
    old, new = secrets(), secrets(rotation={"keda": 2})

    assert ":s-keda-password-2@" in secret_data(new, "airflow-keda")["connection"]
    others = [f"airflow-{what}" for what in ("metadata", "broker", "fernet", "api", "jwt", "admin")]
    assert [secret_data(new, n) for n in others] == [secret_data(old, n) for n in others]


def test_another_password_of_airflow_is_none_of_keda_s(secrets):
    old, new = (secret_data(secrets(password=p), "airflow-keda") for p in ("one", "two"))

    assert old == new


@pytest.mark.parametrize("tls", [True, False])
def test_the_async_driver_gets_a_url_that_it_understands(secrets, tls):
    data = secret_data(secrets(database_tls=tls), "airflow-metadata")

    url = "postgresql+asyncpg://airflow:pw@db.example:5432/airflow"
    assert data["connection-async"] == url, "asyncpg knows no sslmode"


def test_the_broker_is_redis(secrets):
    data = secret_data(secrets(), "airflow-broker")

    assert data == {"connection": "redis://:pw@redis.example:6379/0"}


@pytest.mark.parametrize("password", ["p@ss", "a/b", "a:b", "50%", "#?&", "ünï"])
@pytest.mark.parametrize(
    ("secret", "key", "host"),
    [
        ("airflow-metadata", "connection", "db.example"),
        ("airflow-metadata", "connection-async", "db.example"),
        ("airflow-broker", "connection", "redis.example"),
    ],
    ids=lambda v: v,
)
def test_any_password_survives_a_connection_url(secrets, password, secret, key, host):
    declaration = secrets(password=password)

    url = urlsplit(secret_data(declaration, secret)[key])
    assert (unquote(url.password or ""), url.hostname) == (password, host)


def test_keda_has_a_connection_only_where_it_runs(secrets):
    names = {
        s.inputs["metadata"]["name"]
        for s in secrets(for_keda=False).all("kubernetes:core/v1:Secret")
    }

    assert "airflow-keda" not in names
    assert "s-keda-password" not in {r.name for r in secrets(for_keda=False).all(GENERATED)}
    assert "airflow-metadata" in names


@pytest.mark.parametrize(("generation", "keys"), [(1, 1), (2, 2), (5, 2)])
def test_a_fernet_key_is_valid_and_the_one_before_still_reads(secrets, generation, keys):
    def fernet(newest):
        data = secret_data(secrets(rotation={"fernet": newest}), "airflow-fernet")
        return data["fernet-key"].split(",")

    there = fernet(generation)

    decoded = [base64.b64decode(key, altchars=b"-_", validate=True) for key in there]
    assert [len(key) for key in decoded] == [32] * keys
    assert len(set(there)) == keys
    assert fernet(generation + 1)[1] == there[0]


@pytest.mark.parametrize(("generation", "kept"), [(1, {1}), (2, {1, 2}), (5, {4, 5})])
def test_an_old_fernet_key_stays_the_one_it_was(secrets, generation, kept):
    declaration = secrets(rotation={"fernet": generation})

    names = {r.name for r in declaration.all(GENERATED)}
    assert {n for n in names if n.startswith("s-fernet-")} == {f"s-fernet-{g}" for g in kept}


@pytest.mark.parametrize(
    ("setting", "secret", "key"),
    [
        ("fernet_key", "airflow-fernet", "fernet-key"),
        ("api_secret_key", "airflow-api", "api-secret-key"),
        ("jwt_secret", "airflow-jwt", "jwt-secret"),
        ("admin_password", "airflow-admin", "password"),
    ],
)
def test_a_configured_secret_replaces_the_generated_one(secrets, setting, secret, key):
    generated, configured = secrets(), secrets(**{setting: "configured"})

    assert secret_data(generated, secret)[key] != "configured"
    assert secret_data(configured, secret) == {key: "configured"}
    assert len(configured.resources) == len(generated.resources) - 1, "nothing is generated for it"


@pytest.mark.parametrize(
    ("number", "secret", "key", "resource"),
    [
        ("api", "airflow-api", "api-secret-key", "s-api-key"),
        ("jwt", "airflow-jwt", "jwt-secret", "s-jwt-key"),
        ("admin", "airflow-admin", "password", "s-admin-password"),
    ],
)
def test_each_rotation_number_replaces_its_secret(secrets, number, secret, key, resource):
    declaration = secrets(rotation={number: 4})

    assert secret_data(declaration, secret)[key] == f"{resource}-4"


@pytest.mark.parametrize("key", ["s-api-key", "s-jwt-key"])
def test_signing_keys_are_long(secrets, key):
    generated = secrets().one("random:index/randomPassword:RandomPassword", key)

    assert generated.inputs["length"] == 64


def test_the_pods_of_airflow_get_these_secrets_and_no_other(secrets):
    declaration = secrets(git_token="for the relay alone")

    names = {s.inputs["metadata"]["name"] for s in declaration.all("kubernetes:core/v1:Secret")}
    assert names == {
        f"airflow-{what}"
        for what in ("metadata", "broker", "fernet", "api", "jwt", "admin", "keda")
    }
