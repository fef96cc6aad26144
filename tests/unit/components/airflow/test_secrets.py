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
    """A stack with the Secrets of Airflow."""

    def make(
        *,
        password=PASSWORD,
        database_tls=True,
        rotation=None,
        admin_user=True,
        for_sso=False,
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
                    for_keda=True,
                    admin_user=admin_user,
                    for_sso=for_sso,
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
def test_connections_to_a_tls_database_verify_it(secrets, secret, login, tls, options):
    connection = secret_data(secrets(database_tls=tls), secret)["connection"]

    assert connection == f"{login}@db.example:5432/airflow{options}"


def test_the_keda_connection_does_not_use_airflow_s_password(secrets):
    old, new = (secret_data(secrets(password=p), "airflow-keda") for p in ("one", "two"))

    assert old == new


@pytest.mark.parametrize("tls", [True, False])
def test_the_async_url_is_valid_for_asyncpg(secrets, tls):
    data = secret_data(secrets(database_tls=tls), "airflow-metadata")

    url = "postgresql+asyncpg://airflow:pw@db.example:5432/airflow"
    assert data["connection-async"] == url, "asyncpg does not accept sslmode"


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
def test_any_password_is_valid_in_a_connection_url(secrets, password, secret, key, host):
    snapshot = secrets(password=password)

    url = urlsplit(secret_data(snapshot, secret)[key])
    assert (unquote(url.password or ""), url.hostname) == (password, host)


@pytest.mark.parametrize(("rotation", "keys"), [(1, 1), (2, 2), (5, 2)])
def test_fernet_rotation_keeps_the_previous_key(secrets, rotation, keys):
    def fernet(newest):
        data = secret_data(secrets(rotation={"fernet": newest}), "airflow-fernet")
        return data["fernet-key"].split(",")

    current = fernet(rotation)

    decoded = [base64.b64decode(key, altchars=b"-_", validate=True) for key in current]
    assert [len(key) for key in decoded] == [32] * keys
    assert len(set(current)) == keys
    assert fernet(rotation + 1)[1] == current[0]


@pytest.mark.parametrize(("rotation", "kept"), [(1, {1}), (2, {1, 2}), (5, {4, 5})])
def test_the_previous_fernet_key_does_not_change(secrets, rotation, kept):
    snapshot = secrets(rotation={"fernet": rotation})

    names = {r.name for r in snapshot.all(GENERATED)}
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
    assert len(configured.resources) == len(generated.resources) - 1, "no password may be generated"


@pytest.mark.parametrize("key", ["s-api-key", "s-jwt-key"])
def test_signing_keys_have_64_characters(secrets, key):
    generated = secrets().one("random:index/randomPassword:RandomPassword", key)

    assert generated.inputs["length"] == 64


def test_no_other_secrets_exist(secrets):
    snapshot = secrets(git_token="for the relay only")

    names = {s.inputs["metadata"]["name"] for s in snapshot.all("kubernetes:core/v1:Secret")}
    assert names == {
        f"airflow-{what}"
        for what in ("metadata", "broker", "fernet", "api", "jwt", "admin", "keda")
    }


def test_without_the_local_user_there_is_no_password(secrets):
    snapshot = secrets(admin_user=False, admin_password="configured")

    names = {r.inputs["metadata"]["name"] for r in snapshot.all("kubernetes:core/v1:Secret")}
    assert "airflow-admin" not in names


@pytest.mark.parametrize("for_sso", [True, False])
def test_the_client_secret_is_in_a_secret_if_sso_uses_it(secrets, for_sso):
    snapshot = secrets(for_sso=for_sso, sso_client_secret="hunter2")

    names = {r.inputs["metadata"]["name"] for r in snapshot.all("kubernetes:core/v1:Secret")}
    assert ("airflow-sso" in names) == for_sso
    if for_sso:
        assert secret_data(snapshot, "airflow-sso") == {"client-secret": "hunter2"}
