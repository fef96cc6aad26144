"""Every key and connection that Airflow needs, as Kubernetes Secrets that the chart knows by name."""

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
    """`database_tls` demands TLS and verifies the certificate of the database."""

    namespace: pulumi.Input[str]
    database_host: pulumi.Input[str]
    database_password: pulumi.Output[str]
    database_tls: bool
    redis_host: pulumi.Input[str]
    redis_password: pulumi.Output[str]
    for_keda: bool
    rotation: RotationSettings
    configured: Secrets


class AirflowSecrets(pulumi.ComponentResource):
    """The Secrets by use: `every_pod`, `signing` (API server and scheduler),
    `keda` (KEDA alone, although workers carry it: there KEDA looks which Secret it is), `admin`.
    """

    every_pod: Sequence[NamedSecret]
    signing: Sequence[NamedSecret]
    keda: NamedSecret | None
    admin: NamedSecret

    def __init__(
        self, name: str, args: AirflowSecretsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:AirflowSecrets", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def secret(what: str, **data: pulumi.Input[str]) -> NamedSecret:
            return named_secret(
                f"{name}-{what}",
                name=f"airflow-{what}",
                namespace=args.namespace,
                data={key.replace("_", "-"): value for key, value in data.items()},
                opts=child,
            )

        def key(
            what: str, configured: pulumi.Output[str] | None, generation: int
        ) -> pulumi.Output[str]:
            return password(
                f"{name}-{what}-key",
                configured=configured,
                generation=generation,
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

        of_airflow = address(database.USER, args.database_password)
        verified = (
            f"?sslmode=verify-full&sslrootcert={keda.CA_PATH}/ca.pem" if args.database_tls else ""
        )
        metadata = secret(
            "metadata",
            connection=pulumi.Output.concat("postgresql+psycopg2://", of_airflow, verified),
            connection_async=pulumi.Output.concat("postgresql+asyncpg://", of_airflow),
        )
        broker = secret(
            "broker",
            connection=pulumi.Output.format(
                "redis://:{}@{}:{}/0",
                args.redis_password.apply(_quoted),
                args.redis_host,
                redis.PORT,
            ),
        )
        fernet = secret("fernet", fernet_key=self._fernet_keys(name, args, child))
        api = secret(
            "api", api_secret_key=key("api", args.configured.api_secret_key, args.rotation.api)
        )
        self.every_pod = (metadata, broker, fernet, api)
        self.signing = (
            secret("jwt", jwt_secret=key("jwt", args.configured.jwt_secret, args.rotation.jwt)),
        )
        self.admin = secret(
            "admin",
            password=password(
                f"{name}-admin-password",
                configured=args.configured.admin_password,
                generation=args.rotation.admin,
                opts=child,
            ),
        )
        self.keda = None
        if args.for_keda:
            of_keda = address(
                keda.USER,
                password(
                    f"{name}-keda-password",
                    configured=None,
                    generation=args.rotation.keda,
                    opts=child,
                ),
            )
            # Its driver knows no `+psycopg2`.
            url = pulumi.Output.concat("postgresql://", of_keda, verified)
            self.keda = secret("keda", connection=url)
        self.register_outputs({})

    def _fernet_keys(
        self, name: str, args: AirflowSecretsArgs, opts: pulumi.ResourceOptions
    ) -> pulumi.Output[str]:
        """The key of this generation, then the one before it: what that one encrypted stays readable."""
        if args.configured.fernet_key is not None:
            return args.configured.fernet_key
        newest = args.rotation.fernet
        keys = [
            # Not `random.RandomBytes`: its ID is its value, and IDs stand in the state in plain text.
            password(
                f"{name}-fernet-{generation}",
                configured=None,
                generation=generation,
                length=KEY_LENGTH,
                opts=opts,
            ).apply(_fernet_key)
            for generation in range(newest, max(0, newest - 2), -1)
        ]
        return pulumi.Output.all(*keys).apply(",".join)


def _quoted(text: str) -> str:
    """Text as a password in a URL."""
    return quote(text, safe="")


def _fernet_key(text: str) -> str:
    """The 32 bytes of a key, in its alphabet: https://cryptography.io/en/latest/fernet/"""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
