import base64
import json
from dataclasses import fields
from urllib.parse import unquote, urlsplit

import pulumi
import pytest

from components.airflow.secrets import AirflowSecrets, AirflowSecretsArgs
from components.support.database_login import DatabaseLogin
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
        tls=True,
        rotation=None,
        login=None,
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
                    database=DatabaseLogin(
                        host="db.example",
                        password=pulumi.Output.secret(password),
                        ca="PEM" if tls else None,
                        **login or {},
                    ),
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
    connection = secret_data(secrets(tls=tls), secret)["connection"]

    assert connection == f"{login}@db.example:5432/airflow{options}"


def test_an_existing_database_has_its_own_names(secrets):
    login = {"port": 6432, "name": "flow", "user": "team-b"}
    found = secrets(tls=False, login=login, keda_password="given")

    data = secret_data(found, "airflow-metadata")
    assert data["connection"] == "postgresql+psycopg2://team-b:pw@db.example:6432/flow"
    assert data["connection-async"] == "postgresql+asyncpg://team-b:pw@db.example:6432/flow"
    keda = secret_data(found, "airflow-keda")["connection"]
    assert keda == "postgresql://team-b_keda:given@db.example:6432/flow", "roles are of the server"


def test_the_keda_connection_does_not_use_airflow_s_password(secrets):
    old, new = (secret_data(secrets(password=p), "airflow-keda") for p in ("one", "two"))

    assert old == new


@pytest.mark.parametrize("tls", [True, False])
def test_the_async_url_is_valid_for_asyncpg(secrets, tls):
    data = secret_data(secrets(tls=tls), "airflow-metadata")

    url = "postgresql+asyncpg://airflow:pw@db.example:5432/airflow"
    assert data["connection-async"] == url, "asyncpg does not accept sslmode"


def test_the_broker_is_redis(secrets):
    data = secret_data(secrets(), "airflow-broker")

    assert data == {"connection": "redis://airflow:pw@redis.example:6379/0"}


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


def fernet_keys(snapshot):
    return secret_data(snapshot, "airflow-fernet")["fernet-key"].split(",")


def token_keys(snapshot):
    """The key that signs, then the keys of valid tokens by their ID."""
    data = secret_data(snapshot, "airflow-jwt")
    keys = {key["kid"]: key for key in json.loads(data["jwks"])["keys"]}
    assert {(key["kty"], key["alg"]) for key in keys.values()} == {("oct", "HS512")}
    valid = {id_: base64.urlsafe_b64decode(key["k"] + "==").decode() for id_, key in keys.items()}
    assert valid[data["jwt-kid"]] == data["jwt-secret"], "the ID in a token names its key"
    return data["jwt-secret"], valid


@pytest.mark.parametrize(("rotation", "keys"), [(1, 2), (2, 3), (5, 3)])
def test_fernet_keys_have_32_bytes_and_differ(secrets, rotation, keys):
    found = fernet_keys(secrets(rotation={"fernet": rotation}))

    decoded = {base64.b64decode(key, altchars=b"-_", validate=True) for key in found}
    assert [len(key) for key in decoded] == [32] * keys


@pytest.mark.parametrize("rotation", [1, 2, 5])
def test_old_and_new_pods_decrypt_each_other_s_data(secrets, rotation):
    old, new = (fernet_keys(secrets(rotation={"fernet": n})) for n in (rotation, rotation + 1))

    assert old[0] != new[0], "the first key encrypts"
    assert old[0] in new
    assert new[0] in old


@pytest.mark.parametrize("rotation", [1, 2, 5])
def test_old_and_new_pods_accept_each_other_s_tokens(secrets, rotation):
    pods = (token_keys(secrets(rotation={"jwt": n})) for n in (rotation, rotation + 1))
    (old, valid_in_old), (new, valid_in_new) = pods

    assert old != new
    assert old in valid_in_new.values(), "running and queued tasks hold tokens of the old key"
    assert new in valid_in_old.values(), "in a rollout, a new scheduler meets an old API server"


def test_a_key_is_invalid_after_three_rotations(secrets):
    (old, _), (_, valid) = (token_keys(secrets(rotation={"jwt": n})) for n in (2, 5))

    assert old not in valid.values()


def test_tokens_of_an_earlier_release_stay_valid(secrets):
    snapshot = secrets(rotation={"jwt": 3})
    signing, valid = token_keys(snapshot)

    assert valid["not-used"] == signing, "Airflow's key ID of a token without one"
    former = {r.name: r.aliases for r in snapshot.all(GENERATED) if r.aliases}
    assert former == {"s-jwt-3": {"s-jwt-key"}}, "Pulumi would replace the key of that release"


def test_several_token_keys_can_be_configured(secrets):
    signing, valid = token_keys(secrets(jwt_secret="new,old"))

    assert signing == "new"
    assert set(valid.values()) == {"new", "old"}


@pytest.mark.parametrize("key", ["fernet", "jwt"])
@pytest.mark.parametrize(("rotation", "kept"), [(1, {1, 2}), (2, {1, 2, 3}), (5, {4, 5, 6})])
def test_a_rotation_changes_none_of_the_accepted_keys(secrets, key, rotation, kept):
    snapshot = secrets(rotation={key: rotation})

    names = {r.name for r in snapshot.all(GENERATED)}
    assert {n for n in names if n.startswith(f"s-{key}-")} == {f"s-{key}-{g}" for g in kept}


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
    assert secret_data(configured, secret)[key] == "configured"
    unused = {r.name for r in generated.all(GENERATED)} - {
        r.name for r in configured.all(GENERATED)
    }
    prefix = "s-" + setting.partition("_")[0]
    assert unused == {r.name for r in generated.all(GENERATED) if r.name.startswith(prefix)}, (
        "no password may be generated"
    )


@pytest.mark.parametrize("key", ["s-api-key", "s-jwt-1", "s-jwt-2"])
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
