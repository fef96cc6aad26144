"""Redis: the Celery broker between the schedulers and the workers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core

from components.kubernetes.stateful_server import StatefulServer, StatefulServerArgs
from components.support import network_peers
from components.support.named_secret import annotations, named_secret, secret_env
from components.support.passwords import password
from settings.redis import RedisSettings

PORT = 6379
USER_ID = 999  # `redis` in the image
# Redis forks to rewrite its log, and every page that changes meanwhile exists twice.
MEMORY_FACTOR = 2
MEMORY_BASE_MB = 64
EXPORTER = {"app.kubernetes.io/name": "prometheus-redis-exporter"}

CONFIG = """\
requirepass {password}
dir /data
appendonly yes
appendfsync everysec
maxmemory {memory_mb}mb
maxmemory-policy noeviction
"""
# Of the only user, during a rotation: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
BOTH_PASSWORDS = 'user default on "~*" "&*" +@all {new} {old}\n'


@dataclass(frozen=True, kw_only=True)
class RedisArgs:
    namespace: pulumi.Input[str]
    password: pulumi.Output[str] | None
    password_rotation: int
    settings: RedisSettings
    pull_secret: pulumi.Input[str] | None = None


class Redis(pulumi.ComponentResource):
    """Broker that survives its pod: every write reaches the volume within a second."""

    host: str
    password: pulumi.Output[str]

    def __init__(
        self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:Redis", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        memory_mb = args.settings.memory_mb

        self.host = name

        def generated(rotation: int) -> pulumi.Output[str]:
            return password(
                f"{name}-password-{rotation}",
                configured=None,
                rotation=rotation,
                opts=child,
                former_name=f"{name}-password" if rotation == args.password_rotation else None,
            )

        # The previous one, too: schedulers and workers use it until the rollout replaces them.
        passwords = (
            [args.password]
            if args.password is not None
            else [
                generated(rotation)
                for rotation in range(
                    args.password_rotation, max(0, args.password_rotation - 2), -1
                )
            ]
        )
        self.password = passwords[0]
        # The whole configuration is a Secret: on the command line the password would be readable.
        secret = named_secret(
            f"{name}-config",
            name=f"{name}-config",
            namespace=args.namespace,
            data={
                "redis.conf": pulumi.Output.all(*passwords).apply(
                    lambda known: _config(known, memory_mb)
                ),
                "password": self.password,
            },
            opts=child,
        )
        StatefulServer(
            name,
            StatefulServerArgs(
                namespace=args.namespace,
                pull_secret=args.pull_secret,
                image=args.settings.image_reference,
                args=["redis-server", "/etc/redis/redis.conf"],
                env=[secret_env("REDISCLI_AUTH", secret, "password")],
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path="/data",
                storage_gb=args.settings.storage_gb,
                memory_mb=MEMORY_FACTOR * memory_mb + MEMORY_BASE_MB,
                # Redis answers PONG only after it has loaded its log.
                ready=["sh", "-c", "redis-cli ping | grep -q PONG"],
                files={
                    "/etc/redis": core.SecretVolumeSourceArgs(
                        secret_name=secret.name,
                        items=[core.KeyToPathArgs(key="redis.conf", path="redis.conf")],
                    )
                },
                annotations=annotations(secret),
                clients=[
                    network_peers.airflow_pods(),
                    # A redis_exporter reads its password from the same Secret.
                    network_peers.monitoring(EXPORTER),
                ],
                protect=args.settings.protect,
            ),
            opts=child,
        )
        self.register_outputs({"host": self.host})


def _config(passwords: Sequence[str], memory_mb: int) -> str:
    text = CONFIG.format(password=_quoted(passwords[0]), memory_mb=memory_mb)
    if len(passwords) > 1:
        new, old = (_quoted(f">{password}") for password in passwords)
        text += BOTH_PASSWORDS.format(new=new, old=old)
    return text


def _quoted(text: str) -> str:
    """Text as one argument in redis.conf, which uses the escapes of JSON."""
    return json.dumps(text, ensure_ascii=False)
