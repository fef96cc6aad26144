"""Keys and connections of Airflow, as Kubernetes Secrets under the names that the chart expects."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pulumi

from components.aws import database
from components.kubernetes import keda, redis
from components.support.named_secret import NamedSecret, named_secret
from components.support.passwords import password
from settings import Secrets
from settings.rotation import RotationSettings

KEY_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class AirflowSecretsArgs:
    namespace: pulumi.Input[str]
    database_host: pulumi.Input[str]
    database_password: pulumi.Output[str]
    # Require TLS and verify the certificate of the database.
    database_tls: bool
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

        def key(
            suffix: str, configured: pulumi.Output[str] | None, rotation: int
        ) -> pulumi.Output[str]:
            return password(
                f"{name}-{suffix}-key",
                configured=configured,
                rotation=rotation,
                length=KEY_LENGTH,
                opts=child,
            )

        def address(user: str, known: pulumi.Output[str]) -> pulumi.Output[str]:
            return pulumi.Output.format(
                "{}:{}@{}:{}/{}",
                user,
                known.apply(_quoted),
                args.database_host,
                database.PORT,
                database.NAME,
            )

        airflow_address = address(database.USER, args.database_password)
        tls_options = (
            f"?sslmode=verify-full&sslrootcert={keda.CA_PATH}/ca.pem" if args.database_tls else ""
        )
        self.metadata = secret(
            "metadata",
            connection=pulumi.Output.concat("postgresql+psycopg2://", airflow_address, tls_options),
            connection_async=pulumi.Output.concat("postgresql+asyncpg://", airflow_address),
        )
        self.broker = secret(
            "broker",
            connection=pulumi.Output.format(
                "redis://:{}@{}:{}/0",
                args.redis_password.apply(_quoted),
                args.redis_host,
                redis.PORT,
            ),
        )
        self.fernet = secret("fernet", fernet_key=self._fernet_keys(name, args, child))
        self.api = secret(
            "api", api_secret_key=key("api", args.configured.api_secret_key, args.rotation.api)
        )
        self.jwt = secret(
            "jwt", jwt_secret=key("jwt", args.configured.jwt_secret, args.rotation.jwt)
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
                keda.USER,
                password(
                    f"{name}-keda-password",
                    configured=None,
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
        """The current key and the previous one, which decrypts what was encrypted with it."""
        if args.configured.fernet_key is not None:
            return args.configured.fernet_key
        current = args.rotation.fernet
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
            for rotation in range(current, max(0, current - 2), -1)
        ]
        return pulumi.Output.all(*keys).apply(",".join)


def _quoted(text: str) -> str:
    """Text as a password in a URL."""
    return quote(text, safe="")


def _fernet_key(text: str) -> str:
    """32 bytes in URL-safe base64: https://cryptography.io/en/latest/fernet/"""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
