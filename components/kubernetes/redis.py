"""Redis: the Celery broker between the schedulers and the workers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core

from components.kubernetes.namespace import selector
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
EXPORTER = selector("prometheus-redis-exporter")

# Name of the user of Airflow in the broker URL.
AIRFLOW = "airflow"
ADMIN = "admin"
CONFIG = """\
dir /data
appendonly yes
appendfsync everysec
maxmemory {memory_mb}mb
maxmemory-policy noeviction
user default {default}
user airflow {airflow}
user exporter {exporter}
user admin {admin}
"""
# What kombu's Redis transport and the task keeper send: docs/adr/0024-users-of-redis.md. `get` and
# `del` are in the script of kombu's lock; CLIENT SETINFO is a subcommand since Redis 7.2.
BROKER_RIGHTS = (
    "~* &* +ping +select +client -client|kill -client|list -client|no-evict -client|pause "
    "-client|reply -client|unblock -client|unpause +multi +exec +discard +watch +unwatch +lpush +rpush "
    "+rpop +brpop +llen +lrange +hset +hget +hdel +hmget +hvals +hlen +zadd +zrem +zrangebyscore "
    "+zrevrangebyscore +sadd +srem +smembers +publish +subscribe +psubscribe +unsubscribe "
    "+punsubscribe +set +get +del +exists +evalsha +script|load"
)
# Of a redis_exporter, also with `--check-keys`: sizes of keys, but no content of messages.
EXPORTER_RIGHTS = (
    "~* +ping +info +select +client|setname +client|list +config|get +slowlog|len +latency|latest "
    "+type +llen +hlen +scard +zcard +scan"
)
ADMIN_RIGHTS = "~* &* +@all"
# No client can log in, but Redis replays the transactions of its append-only file with the rights of
# `default`: without them, the messages of these transactions would be lost at a restart.
DEFAULT_OFF = f"off {ADMIN_RIGHTS}"
# Pods of release 0.1.0 log in as `default`. On a volume of that release, this user has the rights of
# Airflow's user for a day: docs/adr/0024-users-of-redis.md.
START = """\
since=/data/named-users-since
if [ ! -e $since ]; then
  touch $since
  [ -e /data/appendonlydir ] || touch -t 197001020000 $since
fi
config=redis.conf
[ -z "$(find $since -mtime -1)" ] || config=upgrade.conf
exec redis-server /etc/redis/$config
"""


@dataclass(frozen=True, kw_only=True)
class RedisArgs:
    namespace: pulumi.Input[str]
    password: pulumi.Output[str] | None
    password_rotation: int
    settings: RedisSettings
    pull_secret: pulumi.Input[str] | None = None
    storage_class: str | None = None


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
        admin, exporter = (
            password(
                f"{name}-{user}-password",
                configured=None,
                rotation=args.password_rotation,
                opts=child,
            )
            for user in (ADMIN, "exporter")
        )

        def config(*, default_user: bool) -> pulumi.Output[str]:
            return pulumi.Output.all(passwords, admin, exporter).apply(
                lambda known: _config(*known, memory_mb=memory_mb, default_user=default_user)
            )

        # The whole configuration is a Secret: on the command line it would be readable.
        secret = named_secret(
            f"{name}-config",
            name=f"{name}-config",
            namespace=args.namespace,
            data={
                "redis.conf": config(default_user=False),
                "upgrade.conf": config(default_user=True),
                "password": self.password,
                "admin-password": admin,
                "exporter-password": exporter,
            },
            opts=child,
        )
        StatefulServer(
            name,
            StatefulServerArgs(
                namespace=args.namespace,
                pull_secret=args.pull_secret,
                storage_class=args.storage_class,
                image=args.settings.image_reference,
                args=["sh", "-c", START],
                env=[secret_env("REDISCLI_AUTH", secret, "admin-password")],
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path="/data",
                storage_gb=args.settings.storage_gb,
                memory_mb=MEMORY_FACTOR * memory_mb + MEMORY_BASE_MB,
                # Redis answers PONG only after it has loaded its log.
                ready=["sh", "-c", f"redis-cli --user {ADMIN} ping | grep -q PONG"],
                files={
                    "/etc/redis": core.SecretVolumeSourceArgs(
                        secret_name=secret.name,
                        items=[
                            core.KeyToPathArgs(key=file, path=file)
                            for file in ("redis.conf", "upgrade.conf")
                        ],
                    )
                },
                annotations=annotations(secret),
                clients=[
                    network_peers.airflow_pods(),
                    # A redis_exporter logs in as `exporter`, with a password of the same Secret.
                    network_peers.monitoring(EXPORTER),
                ],
                protect=args.settings.protect,
            ),
            opts=child,
        )
        self.register_outputs({"host": self.host})


def _config(
    passwords: Sequence[str], admin: str, exporter: str, *, memory_mb: int, default_user: bool
) -> str:
    broker = f"on {' '.join(map(_hash, passwords))} {BROKER_RIGHTS}"
    return CONFIG.format(
        memory_mb=memory_mb,
        default=broker if default_user else DEFAULT_OFF,
        airflow=broker,
        exporter=f"on {_hash(exporter)} {EXPORTER_RIGHTS}",
        admin=f"on {_hash(admin)} {ADMIN_RIGHTS}",
    )


def _hash(password: str) -> str:
    """A password in a rule: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/"""
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"
