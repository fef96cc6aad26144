"""Keys and connections of Airflow, as Kubernetes Secrets under the names that the chart expects."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pulumi

from components.kubernetes import keda, redis
from components.support.database_login import DatabaseLogin
from components.support.named_secret import NamedSecret, named_secret
from components.support.passwords import password
from settings import Secrets
from settings.rotation import RotationSettings

KEY_LENGTH = 64
# Key ID of tokens without a configured one: of those that an earlier release of this program signed.
NO_KEY_ID = "not-used"


@dataclass(frozen=True, kw_only=True)
class AirflowSecretsArgs:
    namespace: pulumi.Input[str]
    database: DatabaseLogin
    redis_host: pulumi.Input[str]
    redis_password: pulumi.Output[str]
    for_keda: bool
    # The local user `admin` exists.
    admin_user: bool
    for_sso: bool
    rotation: RotationSettings
    configured: Secrets


class AirflowSecrets(pulumi.ComponentResource):
    metadata: NamedSecret
    broker: NamedSecret
    fernet: NamedSecret
    api: NamedSecret
    # Signs API tokens; only the API server and the schedulers use it.
    jwt: NamedSecret
    admin: NamedSecret | None
    # Client secret of the OpenID Connect provider; only the API server uses it.
    sso: NamedSecret | None
    # Used by KEDA only; workers refer to it because KEDA reads the reference from their pod spec.
    keda: NamedSecret | None
    # The key that encrypts, and others that decrypt as well.
    fernet_keys: pulumi.Output[str]

    def __init__(
        self, name: str, args: AirflowSecretsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:AirflowSecrets", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def secret(suffix: str, **data: pulumi.Input[str]) -> NamedSecret:
            return named_secret(
                f"{name}-{suffix}",
                name=f"airflow-{suffix}",
                namespace=args.namespace,
                data={key.replace("_", "-"): value for key, value in data.items()},
                opts=child,
            )

        def address(user: str, known: pulumi.Output[str]) -> pulumi.Output[str]:
            return pulumi.Output.format(
                "{}:{}@{}:{}/{}",
                user,
                known.apply(_quoted),
                args.database.host,
                args.database.port,
                args.database.name,
            )

        airflow_address = address(args.database.user, args.database.password)
        tls_options = (
            f"?sslmode=verify-full&sslrootcert={keda.CA_PATH}/ca.pem" if args.database.ca else ""
        )
        self.metadata = secret(
            "metadata",
            connection=pulumi.Output.concat("postgresql+psycopg2://", airflow_address, tls_options),
            connection_async=pulumi.Output.concat("postgresql+asyncpg://", airflow_address),
        )
        self.broker = secret(
            "broker",
            connection=pulumi.Output.format(
                "redis://{}:{}@{}:{}/0",
                redis.AIRFLOW,
                args.redis_password.apply(_quoted),
                args.redis_host,
                redis.PORT,
            ),
        )
        self.fernet_keys = self._fernet_keys(name, args, child)
        self.fernet = secret("fernet", fernet_key=self.fernet_keys)
        self.api = secret(
            "api",
            api_secret_key=password(
                f"{name}-api-key",
                configured=args.configured.api_secret_key,
                rotation=args.rotation.api,
                length=KEY_LENGTH,
                opts=child,
            ),
        )
        jwt_keys = self._jwt_keys(name, args, child)
        self.jwt = secret(
            "jwt",
            jwt_secret=jwt_keys.apply(lambda keys: keys[0]),
            jwt_kid=jwt_keys.apply(lambda keys: _key_id(keys[0])),
            jwks=jwt_keys.apply(_key_set),
        )
        self.admin = None
        if args.admin_user:
            self.admin = secret(
                "admin",
                password=password(
                    f"{name}-admin-password",
                    configured=args.configured.admin_password,
                    rotation=args.rotation.admin,
                    opts=child,
                ),
            )
        self.sso = None
        if args.for_sso and args.configured.sso_client_secret is not None:
            self.sso = secret("sso", client_secret=args.configured.sso_client_secret)
        self.keda = None
        if args.for_keda:
            keda_address = address(
                args.database.keda_user,
                password(
                    f"{name}-keda-password",
                    configured=args.configured.keda_password,
                    rotation=args.rotation.keda,
                    opts=child,
                ),
            )
            # KEDA's driver does not accept the scheme `postgresql+psycopg2`.
            url = pulumi.Output.concat("postgresql://", keda_address, tls_options)
            self.keda = secret("keda", connection=url)
        self.register_outputs({})

    @property
    def every_pod(self) -> Sequence[NamedSecret]:
        """The Secrets that every pod of Airflow uses."""
        return self.metadata, self.broker, self.fernet, self.api

    def _fernet_keys(
        self, name: str, args: AirflowSecretsArgs, opts: pulumi.ResourceOptions
    ) -> pulumi.Output[str]:
        if args.configured.fernet_key is not None:
            return args.configured.fernet_key
        keys = [
            # Not `random.RandomBytes`: its ID is its value, and IDs are stored unencrypted in the
            # state.
            password(
                f"{name}-fernet-{rotation}",
                configured=None,
                rotation=rotation,
                length=KEY_LENGTH,
                opts=opts,
            ).apply(_fernet_key)
            for rotation in accepted(args.rotation.fernet)
        ]
        return pulumi.Output.all(*keys).apply(",".join)

    def _jwt_keys(
        self, name: str, args: AirflowSecretsArgs, opts: pulumi.ResourceOptions
    ) -> pulumi.Output[list[str]]:
        """The key that signs tokens, and others whose tokens are accepted as well."""
        if args.configured.jwt_secret is not None:
            return args.configured.jwt_secret.apply(lambda keys: keys.split(","))
        current = args.rotation.jwt
        return pulumi.Output.all(
            *(
                password(
                    f"{name}-jwt-{rotation}",
                    configured=None,
                    rotation=rotation,
                    length=KEY_LENGTH,
                    opts=opts,
                    # Until 0.1.0, the only key: running tasks hold tokens that it signed.
                    former_name=f"{name}-jwt-key" if rotation == current else None,
                )
                for rotation in accepted(current)
            )
        )


def accepted(current: int) -> list[int]:
    """Rotation numbers of the keys that pods accept, the current one first.

    The next one, too: during a rollout, old pods receive what new pods signed or encrypted. The
    reasons: docs/adr/0021-keys-with-a-predecessor-and-a-successor.md.
    """
    return [current, current + 1, *range(current - 1, max(0, current - 2), -1)]


def _key_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _key_set(keys: Sequence[str]) -> str:
    """A JSON Web Key Set of symmetric keys: https://www.rfc-editor.org/rfc/rfc7518#section-6.4"""
    by_id = {NO_KEY_ID: keys[0], **{_key_id(key): key for key in keys}}
    return json.dumps(
        {
            "keys": [
                {
                    "kty": "oct",
                    "alg": "HS512",
                    "kid": key_id,
                    "k": base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
                }
                for key_id, key in by_id.items()
            ]
        }
    )


def _quoted(text: str) -> str:
    """Text as a password in a URL."""
    return quote(text, safe="")


def _fernet_key(text: str) -> str:
    """32 bytes in URL-safe base64: https://cryptography.io/en/latest/fernet/"""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
